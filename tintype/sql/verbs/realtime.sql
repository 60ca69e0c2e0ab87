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

-- Tells which rows each of several callers may read at this moment, by the relation's own grants
-- and policies: every viewer's rows are selected under that viewer's role and claims. p_key names
-- the columns that p_rows holds the text values of; p_viewers is [{role, claims, rows}], rows being
-- places in p_rows from 0. A viewer whose policies raise an error gets the place -1 and no other.
-- Waits until the transactions p_xids can be seen. Locks nothing.
create or replace function tintype.visible_rows(
  p_relation regclass,
  p_key text[],
  p_rows jsonb,
  p_viewers jsonb,
  p_xids bigint[]
) returns table (viewer integer, place integer)
language plpgsql
as $$
declare
  v_role text := current_setting('role');
  v_claims text := coalesce(current_setting('request.jwt.claims', true), '');
  v_query text;
  v_viewer record;
begin
  perform tintype.await_commits(p_xids);
  select
    format(
      'select $1, n.value::integer from jsonb_array_elements_text($2) as n (value)'
      ' where exists (select from %s as t where %s)',
      p_relation,
      string_agg(
        format(
          't.%I = ($3 -> n.value::integer ->> %s)::%s',
          k.name, k.n - 1, format_type(a.atttypid, a.atttypmod)
        ),
        ' and '
      )
    )
  into strict v_query
  from unnest(p_key) with ordinality as k (name, n)
  inner join pg_catalog.pg_attribute as a
    on a.attrelid = p_relation and k.name = a.attname and not a.attisdropped;

  for v_viewer in
    select
      (e.n - 1)::integer as number,
      e.value ->> 'role' as role,
      e.value ->> 'claims' as claims,
      e.value -> 'rows' as rows
    from jsonb_array_elements(p_viewers) with ordinality as e (value, n)
  loop
    begin
      perform
        set_config('role', v_viewer.role, true),
        set_config('request.jwt.claims', v_viewer.claims, true);
      return query execute v_query using v_viewer.number, v_viewer.rows, p_rows;
    exception
      when insufficient_privilege then
        null;
      when others then
        viewer := v_viewer.number;
        place := -1;
        return next;
    end;
    perform set_config('role', v_role, true), set_config('request.jwt.claims', v_claims, true);
  end loop;
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
