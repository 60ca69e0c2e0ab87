-- name: server
select
  current_setting('server_version') as version,
  current_setting('wal_level') as wal_level,
  current_setting('max_slot_wal_keep_size') as slot_keep,
  r.rolname::text as login_role,
  r.rolreplication or r.rolsuper as may_replicate
from pg_roles as r
where r.rolname = session_user;

-- name: lost
select count(*)
from public.jobs as j
where
  j.status in ('queued', 'processing')
  and not exists (
    select from tintype.ready as r where r.job_id = j.id and r.attempt = j.attempt
  )
  and not exists (
    select from tintype.delayed as d where d.job_id = j.id and d.attempt = j.attempt
  )
  and not exists (
    select
    from tintype.leases as l
    cross join unnest(l.job_ids, l.attempts) as h (job_id, attempt)
    where h.job_id = j.id and h.attempt = j.attempt
  );
