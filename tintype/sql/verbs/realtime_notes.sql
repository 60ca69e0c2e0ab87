-- Notes one changed row for the servers that cannot read the log. Its arguments are the columns of
-- the replica identity; without any it is the whole row. Beyond 1 GB of notes, which nobody reads
-- then, it notes nothing more; a reader tells that changes are missing. Values are written in UTC,
-- whatever the session of the writer has set.
create or replace function tintype.note_change() returns trigger
language plpgsql security definer
set search_path = ''
set timezone = 'UTC'
set datestyle = 'ISO'
set intervalstyle = 'postgres'
set extra_float_digits = '1'
set bytea_output = 'hex'
as $$
declare
  v_old json;
begin
  if pg_relation_size('tintype.changes') >= 1073741824 then
    return null;
  end if;
  if tg_op <> 'INSERT' then
    v_old := to_json(old);
    if tg_nargs > 0 then
      select json_object_agg(e.key, e.value)
      into v_old
      from json_each(v_old) as e
      where e.key = any(tg_argv);
    end if;
  end if;
  insert into tintype.changes (relation, kind, record, old)
  values (tg_relid, left(tg_op, 1), case when tg_op <> 'DELETE' then to_json(new) end, v_old);
  return null;
end
$$;

-- The published tables whose changes must be noted, with whether they are; p_messages_only leaves
-- out all but the broadcasts of the database. Locks nothing.
create or replace function tintype.noted_tables(p_messages_only boolean)
returns table (relation oid, is_message boolean, trigger oid)
language sql stable security definer set search_path = ''
as $$
  select c.oid, p.pubname <> 'supabase_realtime', t.oid
  from pg_catalog.pg_publication_tables as p
  inner join pg_catalog.pg_namespace as n on p.schemaname = n.nspname
  inner join pg_catalog.pg_class as c on n.oid = c.relnamespace and p.tablename = c.relname
  left join pg_catalog.pg_trigger as t on c.oid = t.tgrelid and t.tgname = 'tintype_notes'
  where
    p.pubname = 'supabase_realtime_messages_publication'
    or (p.pubname = 'supabase_realtime' and not p_messages_only)
$$;

-- Makes the trigger that notes a table's changes, unless it is there. Waits at most half a second
-- (55P03) for the table, as everybody else who writes to it waits meanwhile. Locks the advisory key
-- of the notes, then the table.
create or replace function tintype.note_table(p_relation regclass, p_is_message boolean)
returns void
language plpgsql security definer set search_path = '' set lock_timeout = '500ms'
as $$
declare
  v_identity text;
begin
  perform pg_advisory_xact_lock(7305417222);
  if exists (
    select from pg_catalog.pg_trigger as t
    where t.tgrelid = p_relation and t.tgname = 'tintype_notes'
  ) then
    return;
  end if;
  select string_agg(quote_literal(a.attname), ', ' order by a.attnum)
  into v_identity
  from pg_catalog.pg_class as c
  inner join pg_catalog.pg_index as i
    on
      c.oid = i.indrelid
      and ((c.relreplident = 'd' and i.indisprimary) or (c.relreplident = 'i' and i.indisreplident))
  inner join pg_catalog.pg_attribute as a
    on i.indrelid = a.attrelid and a.attnum = any(i.indkey::int2[])
  where c.oid = p_relation;
  execute format(
    'create trigger tintype_notes after %s on %s for each row'
    ' execute function tintype.note_change(%s)',
    case when p_is_message then 'insert' else 'insert or update or delete' end,
    p_relation,
    coalesce(v_identity, '')
  );
end
$$;

-- Removes the notes and their triggers once no server reads them. Returns whether all are gone; a
-- table that is in use is left for the next time. Locks the advisory key of the notes, then the
-- tables.
create or replace function tintype.stop_notes() returns boolean
language plpgsql security definer set search_path = '' set lock_timeout = '500ms'
as $$
declare
  v_relation regclass;
begin
  perform pg_advisory_xact_lock(7305417222);
  if exists (select from tintype.captures as c where c.read_to is not null) then
    return true;
  end if;
  if
    not exists (select from tintype.changes)
    and not exists (
      select from pg_catalog.pg_trigger as t where t.tgfoid = 'tintype.note_change'::regproc
    )
  then
    return true;
  end if;
  for v_relation in
    select t.tgrelid::regclass from pg_catalog.pg_trigger as t
    where t.tgfoid = 'tintype.note_change'::regproc and t.tgparentid = 0
  loop
    begin
      execute format('drop trigger if exists tintype_notes on %s', v_relation);
    exception when lock_not_available then
      return false;
    end;
  end loop;
  truncate tintype.changes;
  return true;
exception when lock_not_available then
  return false;
end
$$;
