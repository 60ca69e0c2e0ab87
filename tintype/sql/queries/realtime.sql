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
          'is_virtual', a.attgenerated = 'v',
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
  coalesce(
    (
      select array_agg(p.pubname::text order by p.pubname)
      from pg_publication as p
      where p.pubname in ('supabase_realtime', 'supabase_realtime_messages_publication')
    ),
    '{}'
  ) as publications;

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
select s.slot_name::text as slot
from pg_replication_slots as s
left join tintype.captures as c on s.slot_name = c.slot
where
  s.database = current_database()
  and s.plugin = 'pgoutput'
  and not s.active
  and starts_with(s.slot_name, $1)
  and coalesce(c.seen_at < now() - make_interval(secs => $2), true);

-- name: visible_rows
select viewer, place
from tintype.visible_rows(
  $1::oid, $2::text[], $3::text::jsonb, $4::text[], $5::text[], $6::integer[], $7::bigint[]
);

-- name: await_commits
select tintype.await_commits($1::bigint[]);

-- name: shape_rows
select place, shaped from tintype.shape_rows($1::oid, $2::oid, $3::text::json);

-- name: topic_rights
select place, hears, speaks, trouble from tintype.topic_rights($1::text[], $2, $3) order by place;

-- name: prune_messages
select tintype.prune_messages($1, $2);

-- name: begin_notes
insert into tintype.captures (slot, read_to) values ($1, '0'::xid8);

-- name: noted_tables
select relation, is_message, trigger from tintype.noted_tables($1) order by relation;

-- name: note_table
select tintype.note_table($1::oid::regclass, $2);

-- name: stop_notes
select tintype.stop_notes();

-- name: snapshot
select pg_current_snapshot()::text;

-- name: notes_until
select
  pg_snapshot_xmin(pg_current_snapshot())::text as until,
  exists(
    select from tintype.changes as c
    where c.xid >= $1::text::xid8 and c.xid < pg_snapshot_xmin(pg_current_snapshot())
  ) as is_news;

-- name: notes
select
  c.relation,
  n.nspname as schema,
  r.relname as name,
  c.kind,
  c.record::text as record,
  c.old::text as old,
  c.changed_at
from tintype.changes as c
left join pg_class as r on c.relation = r.oid
left join pg_namespace as n on r.relnamespace = n.oid
where
  c.xid >= $1::text::xid8
  and c.xid < $2::text::xid8
  and not pg_visible_in_snapshot(c.xid, $3::text::pg_snapshot)
order by max(c.id) over (partition by c.xid), c.id
offset $4;

-- name: notes_read
update tintype.captures set seen_at = now(), read_to = $2::text::xid8 where slot = $1
returning pg_relation_size('tintype.changes') < 1073741824;

-- name: forget_notes
delete from tintype.changes
where xid < (select min(c.read_to) from tintype.captures as c where c.read_to is not null);

-- name: forget_readers
delete from tintype.captures
where read_to is not null and seen_at < now() - make_interval(secs => $1);

-- name: missing_triggers
select count(*)
from unnest($1::oid[], $2::oid[]) as k (relation, trigger)
inner join pg_class as c on k.relation = c.oid
where not exists (select from pg_trigger as t where t.oid = k.trigger);
