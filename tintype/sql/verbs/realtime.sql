-- Returns once every one of these transactions, given by the low 32 bits of its id, can be seen by
-- a new snapshot. The log tells of a commit a moment before other sessions see it, and with a
-- synchronous standby much earlier. Locks nothing; the caller's time limit ends it.
create or replace function tintype.await_commits(p_xids bigint[]) returns void
language plpgsql
as $$
begin
  while exists (
    select
    from unnest(p_xids) as t (xid)
    where
      -- Modulo 2^32, at or after the first id that the snapshot does not cover.
      (t.xid - pg_snapshot_xmax(pg_current_snapshot())::text::bigint) & 4294967295 < 2147483648
      or t.xid in (
        select s.xid::text::bigint & 4294967295
        from pg_snapshot_xip(pg_current_snapshot()) as s (xid)
      )
  ) loop
    perform pg_sleep(0.0002);
  end loop;
end
$$;

-- Returns the name of the prepared statement, of this session, that tells which of several rows of
-- a relation its caller may read; with p_prepare it is prepared. Planning is most of what such a
-- question costs; Postgres plans anew by itself when the role, the policies or the table change.
create or replace function tintype.visible_statement(
  p_relation regclass, p_key text[], p_prepare boolean
) returns text
language plpgsql
as $$
declare
  v_text text;
  v_name text;
begin
  select
    format(
      ' (integer, jsonb) as select $1, (n.value ->> 0)::integer'
      ' from jsonb_array_elements($2) as n (value)'
      ' where exists (select from %s as t where %s)',
      p_relation,
      string_agg(
        format(
          't.%I = (n.value ->> %s)::%s', k.name, k.n, format_type(a.atttypid, a.atttypmod)
        ),
        ' and '
      )
    )
  into strict v_text
  from unnest(p_key) with ordinality as k (name, n)
  inner join pg_catalog.pg_attribute as a
    on a.attrelid = p_relation and k.name = a.attname and not a.attisdropped;
  v_name := 'tintype_' || md5(v_text);
  if p_prepare then
    execute format('prepare %s%s', v_name, v_text);
  end if;
  return v_name;
end
$$;

-- Tells which rows each of several callers may read at this moment, by the relation's own grants
-- and policies: each viewer's rows are selected under that viewer's role and claims. p_sets are
-- sets of rows, each [place, key values as text]; p_roles, p_claims and p_asks (a set from 0) are
-- the viewers. A viewer whose policies raise an error gets the place -1; a row may come twice.
-- Waits until the transactions p_xids can be seen. Locks nothing.
create or replace function tintype.visible_rows(
  p_relation regclass,
  p_key text[],
  p_sets jsonb,
  p_roles text[],
  p_claims text[],
  p_asks integer[],
  p_xids bigint[]
) returns table (viewer integer, place integer)
language plpgsql
as $$
declare
  v_statement text := tintype.visible_statement(p_relation, p_key, false);
begin
  perform tintype.await_commits(p_xids);
  -- All in one go. Each is asked alone the first time, and where policies raise an error.
  begin
    return query
    select * from tintype.visible_of(v_statement, p_sets, p_roles, p_claims, p_asks, false);
    return;
  exception when others then
    null;
  end;
  if not exists (select from pg_catalog.pg_prepared_statements as s where s.name = v_statement) then
    perform tintype.visible_statement(p_relation, p_key, true);
  end if;
  return query
  select * from tintype.visible_of(v_statement, p_sets, p_roles, p_claims, p_asks, true);
end
$$;

-- Asks the prepared statement p_statement for each viewer; the rest is told at visible_rows. With
-- p_apart an error of one viewer is not the others'. Leaves role and claims as they were.
create or replace function tintype.visible_of(
  p_statement text,
  p_sets jsonb,
  p_roles text[],
  p_claims text[],
  p_asks integer[],
  p_apart boolean
) returns table (viewer integer, place integer)
language plpgsql
as $$
declare
  v_role text := current_setting('role');
  v_claims text := coalesce(current_setting('request.jwt.claims', true), '');
  v_viewer record;
  v_call text;
begin
  for v_viewer in
    select (t.n - 1)::integer as number, t.role, t.claims, p_sets -> t.ask as rows
    from unnest(p_roles, p_claims, p_asks) with ordinality as t (role, claims, ask, n)
    order by t.role
  loop
    v_call := format('execute %s(%s, %L)', p_statement, v_viewer.number, v_viewer.rows);
    if current_setting('role') <> v_viewer.role then
      perform set_config('role', v_viewer.role, true);
    end if;
    perform set_config('request.jwt.claims', v_viewer.claims, true);
    if p_apart then
      begin
        return query execute v_call;
      exception
        when insufficient_privilege then
          null;
        when others then
          viewer := v_viewer.number;
          place := -1;
          return next;
      end;
    else
      return query execute v_call;
    end if;
  end loop;
  perform set_config('role', v_role, true), set_config('request.jwt.claims', v_claims, true);
end
$$;

-- Returns what a view over one table shows of rows that this table had: the view's definition is
-- evaluated over each of p_rows (rows of p_base as JSON) in place of the table. A row that the
-- view leaves out is left out; place counts from 0. Reads and locks no table.
create or replace function tintype.shape_rows(p_view regclass, p_base regclass, p_rows json)
returns table (place integer, shaped text)
language plpgsql
as $$
declare
  v_base record;
begin
  select n.nspname as schema, c.relname as name
  into strict v_base
  from pg_catalog.pg_class as c
  inner join pg_catalog.pg_namespace as n on c.relnamespace = n.oid
  where c.oid = p_base;

  -- With the table's schema in the path its name stands bare in the view's text, so that the
  -- common table expression of that name takes its place.
  perform
    set_config('search_path', quote_ident(v_base.schema), true),
    set_config('timezone', 'UTC', true);
  return query execute format(
    'select (e.n - 1)::integer, v.shaped'
    ' from json_array_elements($1) with ordinality as e (value, n),'
    ' lateral (with %I as (select b.* from json_populate_record(null::%I.%I, e.value) as b)'
    ' select row_to_json(x)::text as shaped from (%s) as x) as v',
    v_base.name, v_base.schema, v_base.name,
    rtrim(pg_get_viewdef(p_view), '; ')
  )
  using p_rows;
end
$$;

-- Tells what a caller may do on each of several private topics, by the policies of
-- realtime.messages: who can select a message of the topic may hear, who can insert one may speak;
-- extension is broadcast or presence. Messages are inserted to find out and never kept. A policy
-- that raises an error allows nothing and is told as trouble. Locks nothing.
create or replace function tintype.topic_rights(p_topics text[], p_role text, p_claims text)
returns table (place integer, hears text[], speaks text[], trouble text)
language plpgsql
as $$
declare
  v_topic record;
  v_extension text;
  v_ids uuid[] := array[gen_random_uuid(), gen_random_uuid()];
begin
  for v_topic in select t.name, t.n from unnest(p_topics) with ordinality as t (name, n) loop
    place := v_topic.n - 1;
    hears := '{}';
    speaks := '{}';
    trouble := null;
    begin
      insert into realtime.messages (id, topic, extension, private)
      values
      (v_ids[1], v_topic.name, 'broadcast', true), (v_ids[2], v_topic.name, 'presence', true);
      perform
        set_config('role', p_role, true),
        set_config('request.jwt.claims', p_claims, true),
        set_config('realtime.topic', v_topic.name, true);
      begin
        select coalesce(array_agg(m.extension), '{}')
        into hears
        from realtime.messages as m
        where m.topic = v_topic.name and m.id = any(v_ids);
      exception when insufficient_privilege then
        null;
      end;
      foreach v_extension in array array['broadcast', 'presence'] loop
        begin
          insert into realtime.messages (topic, extension, private)
          values (v_topic.name, v_extension, true);
          speaks := speaks || v_extension;
        exception when insufficient_privilege then
          null;
        end;
      end loop;
      -- Nothing of this block stays.
      raise sqlstate 'TTUND';
    exception
      when sqlstate 'TTUND' then
        null;
      when others then
        hears := '{}';
        speaks := '{}';
        trouble := sqlerrm;
    end;
    return next;
  end loop;
end
$$;

-- Removes at most p_limit messages that are older than p_days and returns how many. On a Supabase
-- project, whose own service removes them, it does nothing. Locks the rows it removes and waits for
-- none.
create or replace function tintype.prune_messages(p_days integer, p_limit integer) returns integer
language plpgsql security definer set search_path = ''
as $$
declare
  v_removed integer;
begin
  if
    to_regclass('realtime.messages') is null
    or not has_table_privilege('realtime.messages', 'delete')
  then
    return 0;
  end if;
  delete from realtime.messages as m
  using (
    select o.id, o.inserted_at
    from realtime.messages as o
    where o.inserted_at < (tintype.clock() at time zone 'utc') - make_interval(days => p_days)
    order by o.inserted_at
    limit p_limit
    for update skip locked
  ) as old
  where m.id = old.id and m.inserted_at = old.inserted_at;
  get diagnostics v_removed = row_count;
  return v_removed;
end
$$;
