-- name: find_relation
select c.oid
from pg_class as c
inner join pg_namespace as n on c.relnamespace = n.oid
where n.nspname = $1 and c.relname = $2 and c.relkind in ('r', 'p', 'v');

-- name: relation
select
  n.nspname as schema,
  c.relname as name,
  c.relkind::text as kind,
  c.relrowsecurity as row_security,
  exists(
    select
    from pg_publication_tables as p
    where p.pubname = 'supabase_realtime' and p.schemaname = n.nspname and p.tablename = c.relname
  ) as published,
  (
    select
      jsonb_agg(
        jsonb_build_object(
          'name', a.attname,
          'type', t.typname,
          'sql_type', format_type(a.atttypid, a.atttypmod),
          'base', coalesce(b.typname, t.typname),
          'element', e.typname,
          'delimiter', coalesce(e.typdelim, ','),
          'is_generated', a.attgenerated <> '',
          'is_enum', coalesce(b.typtype, t.typtype) = 'e',
          'roles', (
            select coalesce(jsonb_agg(r.role), '[]')
            from unnest(array['anon', 'authenticated', 'service_role']) as r (role)
            where
              has_schema_privilege(r.role, n.oid, 'usage')
              and has_column_privilege(r.role, c.oid, a.attnum, 'select')
          )
        )
        order by a.attnum
      )
    from pg_attribute as a
    inner join pg_type as t on a.atttypid = t.oid
    left join pg_type as b on t.typtype = 'd' and t.typbasetype = b.oid
    left join pg_type as e
      on coalesce(b.typelem, t.typelem) = e.oid and coalesce(b.typcategory, t.typcategory) = 'A'
    where a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
  ) as columns,
  (
    select array_agg(a.attname::text order by array_position(i.indkey::int2[], a.attnum))
    from pg_index as i
    inner join pg_attribute as a on i.indrelid = a.attrelid and a.attnum = any(i.indkey::int2[])
    where i.indrelid = c.oid and i.indisprimary
  ) as key
from pg_class as c
inner join pg_namespace as n on c.relnamespace = n.oid
where c.oid = $1;

-- name: base_of_view
select max(d.refobjid::bigint) as base
from pg_rewrite as r
inner join pg_depend as d
  on d.classid = 'pg_rewrite'::regclass and r.oid = d.objid and d.refclassid = 'pg_class'::regclass
inner join pg_class as b on d.refobjid = b.oid and b.relkind in ('r', 'p', 'v', 'm', 'f')
where r.ev_class = $1 and d.refobjid <> $1
having count(distinct d.refobjid) = 1;

-- name: can_capture
select
  current_setting('wal_level') = 'logical' as logs_enough,
  (select r.rolreplication or r.rolsuper from pg_roles as r where r.rolname = session_user)
    as may_replicate,
  exists(select from pg_publication where pubname = 'supabase_realtime') as publishes;

-- name: seen
insert into tintype.captures (slot) values ($1)
on conflict (slot) do update set seen_at = now();

-- name: unseen
delete from tintype.captures where slot = $1;

-- name: create_slot
select lsn::text from pg_create_logical_replication_slot($1, 'pgoutput');

-- name: free_slot
select pg_terminate_backend(active_pid)
from pg_replication_slots
where slot_name = $1 and active_pid is not null;

-- name: drop_slot
select pg_drop_replication_slot(slot_name) from pg_replication_slots where slot_name = $1;

-- name: abandoned_slots
select
  s.slot_name::text as slot,
  coalesce(c.seen_at < now() - make_interval(secs => $2), true) as is_stale
from pg_replication_slots as s
left join tintype.captures as c on s.slot_name = c.slot
where
  s.database = current_database()
  and s.plugin = 'pgoutput'
  and not s.active
  and starts_with(s.slot_name, $1);

-- name: visible_rows
select viewer, place
from tintype.visible_rows($1::oid, $2::text[], $3::text::jsonb, $4::text::jsonb, $5::bigint[]);

-- name: await_commits
select tintype.await_commits($1::bigint[]);

-- name: shape_rows
select place, shaped from tintype.shape_rows($1::oid, $2::oid, $3::text::json);
