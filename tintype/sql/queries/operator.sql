-- name: statuses
select s.status, count(*) as jobs
from (
  select j.status from public.jobs as j where j.id >= $1 order by j.id desc limit $2
) as s
group by s.status;

-- name: held
select coalesce(sum(a.held), 0)::bigint as credits
from public.credit_accounts as a
where a.held > 0;

-- name: recent_findings
-- The rules that tie a job to its hold, of the newest jobs alone.
select count(*)
from (
  select j.id, j.status, j.result_count
  from public.jobs as j
  where j.id >= $1
  order by j.id desc
  limit $2
) as j
-- One look into the index for each: the whole ledger is not read for some jobs.
left join lateral (
  select e.hold_id
  from public.credit_entries as e
  where e.hold_id = j.id and e.part = 0
  order by e.hold_id
  limit 1
) as h on true
left join lateral (
  select e.hold_id, e.kind, e.units
  from public.credit_entries as e
  where e.hold_id = j.id and e.part = 1
  order by e.hold_id
  limit 1
) as r on true
where
  h.hold_id is null
  or (r.hold_id is not null) <> (j.status in ('completed', 'failed', 'canceled'))
  or (
    r.hold_id is not null
    and case r.kind when 'capture' then r.units else 0 end <> j.result_count
  );

-- name: throughput
with seen as materialized (
  select j.status, j.created_at, j.started_at, j.completed_at
  from public.jobs as j
  where j.id >= $1 and ($2::text is null or j.job_type = $2)
  order by j.id desc
  limit $3
),
accepted as (
  select
    date_bin($6 * interval '1 second', s.created_at, $4) as begins_at,
    count(*) as accepted
  from seen as s
  where s.created_at >= $4
  group by date_bin($6 * interval '1 second', s.created_at, $4)
),
ended as (
  select
    date_bin($6 * interval '1 second', s.completed_at, $4) as begins_at,
    count(*) filter (where s.status = 'completed') as completed,
    count(*) filter (where s.status = 'failed') as failed,
    count(*) filter (where s.status = 'canceled') as canceled,
    percentile_cont(array[0.5, 0.95]) within group (
      order by extract(epoch from s.completed_at - s.created_at)::double precision
    ) filter (where s.status = 'completed') as seconds,
    percentile_cont(array[0.5, 0.95]) within group (
      order by extract(epoch from s.started_at - s.created_at)::double precision
    ) filter (where s.started_at is not null) as queued_seconds
  from seen as s
  where s.completed_at >= $4
  group by date_bin($6 * interval '1 second', s.completed_at, $4)
)

select
  b.begins_at,
  coalesce(a.accepted, 0) as accepted,
  coalesce(e.completed, 0) as completed,
  coalesce(e.failed, 0) as failed,
  coalesce(e.canceled, 0) as canceled,
  e.seconds[1] as seconds_p50,
  e.seconds[2] as seconds_p95,
  e.queued_seconds[1] as queued_seconds_p50,
  e.queued_seconds[2] as queued_seconds_p95
from generate_series($4::timestamptz, $5::timestamptz, $6 * interval '1 second') as b (begins_at)
left join accepted as a on b.begins_at = a.begins_at
left join ended as e on b.begins_at = e.begins_at
order by b.begins_at;

-- name: counted
select count(*)
from (
  select from public.jobs as j
  where j.id >= $1 and ($2::text is null or j.job_type = $2)
  order by j.id
  limit $3
) as j;

-- name: leases
select l.id, l.worker as holder, l.expires_at, cardinality(l.job_ids) as jobs
from tintype.leases as l
order by l.expires_at
limit $1;

-- name: held_jobs
select j.id, j.job_type, j.queue, j.status, j.progress, j.attempt, l.worker as holder, l.expires_at
from tintype.leases as l
cross join unnest(l.job_ids, l.attempts) as h (job_id, attempt)
inner join public.jobs as j on h.job_id = j.id and h.attempt = j.attempt
where j.status in ('queued', 'processing')
order by l.expires_at, j.id
limit $1;

-- name: made
select
  coalesce(j.payload ->> 'model', j.job_type) as model,
  count(*) as jobs,
  count(*) filter (where j.status = 'completed') as completed,
  count(*) filter (where j.status = 'failed') as failed,
  coalesce(sum(j.result_count), 0)::bigint as outputs,
  coalesce(sum(e.amount), 0)::bigint as credits
from (
  select * from public.jobs as n where n.id >= $1 order by n.id desc limit $2
) as j
left join public.credit_entries as e on j.id = e.hold_id and e.part = 1 and e.kind = 'capture'
group by coalesce(j.payload ->> 'model', j.job_type)
order by coalesce(j.payload ->> 'model', j.job_type);

-- name: causes
with seen as materialized (
  select j.id, j.status, j.error_code, coalesce(j.payload ->> 'model', j.job_type) as model
  from public.jobs as j
  where j.id >= $1
  order by j.id desc
  limit $2
),
counted as (
  select s.model, s.error_code as cause, 1 as failed, 0 as retried
  from seen as s
  where s.status = 'failed'
  union all
  select s.model, h.code, 0, 1
  from seen as s
  inner join tintype.job_history as h on s.id = h.job_id
  where h.kind in ('retried', 'rescued')
)

select
  c.model,
  coalesce(c.cause, 'unknown') as cause,
  sum(c.failed) as failed,
  sum(c.retried) as retried
from counted as c
group by c.model, coalesce(c.cause, 'unknown')
order by c.model asc, sum(c.failed) desc, coalesce(c.cause, 'unknown') asc;

-- name: failures
with seen as materialized (
  select j.id, j.job_type, j.error_code, j.error_message, j.completed_at
  from (
    select * from public.jobs as n where n.id >= $1 order by n.id desc limit $2
  ) as j
  where j.status = 'failed'
),
grouped as (
  select
    coalesce(s.error_code, 'unknown') as cause,
    s.job_type,
    count(*) as jobs,
    max(s.id::text)::uuid as newest_id
  from seen as s
  group by coalesce(s.error_code, 'unknown'), s.job_type
)

select
  g.cause, g.job_type, g.jobs, g.newest_id as newest_job_id, s.completed_at as newest_at,
  s.error_message as message
from grouped as g
inner join seen as s on g.newest_id = s.id
order by g.jobs desc, g.cause asc, g.job_type asc
limit 200;

-- name: hold_entries
select e.id, e.kind, e.amount, e.units, e.hold_id, e.note, e.created_at
from public.credit_entries as e
where e.hold_id = $1
order by e.part, e.id;

-- name: lease_of
select l.id, l.worker as holder, l.expires_at
from tintype.leases as l
inner join public.jobs as j on $1 = j.id
where
  $1 = any(l.job_ids)
  and j.status in ('queued', 'processing')
  and exists (
    select from unnest(l.job_ids, l.attempts) as h (job_id, attempt)
    where h.job_id = j.id and h.attempt = j.attempt
  )
order by l.id
limit 1;

-- name: users
select
  u.id, u.email, u.created_at, u.last_sign_in_at, u.is_anonymous,
  coalesce(a.balance, 0) as balance,
  coalesce(a.held, 0) as held,
  coalesce(a.available, 0) as available,
  coalesce(a.is_premium, false) as is_premium,
  (
    select count(*) from public.jobs as j
    where j.user_id = u.id and j.created_at > tintype.clock() - interval '1 day'
  ) as jobs_last_day
from tintype.search_users($1, $2, $3, $4) as u
left join public.credit_accounts as a on u.id = a.user_id
order by u.created_at desc, u.id desc;

-- name: emails
select e.user_id, e.email from tintype.emails_of($1) as e;

-- name: storage
with counted as (
  select
    s.bucket_id,
    count(*) as objects,
    coalesce(sum((s.metadata ->> 'size')::bigint), 0)::bigint as bytes
  from storage.objects as s
  group by s.bucket_id
)

select
  b.id as bucket,
  coalesce(b.public, false) as is_public,
  b.file_size_limit as bytes_max,
  b.allowed_mime_types as media_types,
  coalesce(o.objects, 0) as objects,
  coalesce(o.bytes, 0) as bytes
from storage.buckets as b
left join counted as o on b.id = o.bucket_id
order by b.id;

-- name: logs
select l.id, l.at, l.function, l.request_id, l.level, l.message, l.status, l.seconds
from tintype.function_logs as l
where
  ($1::bigint is null or l.id < $1)
  and ($2::text is null or l.function = $2)
  and ($3::text is null or l.level = $3)
  and ($4::text is null or l.request_id = $4)
order by l.id desc
limit $5;

-- name: job_logs
-- All that was said in the calls in which somebody spoke of the job.
with spoke as materialized (
  select l.request_id
  from tintype.function_logs as l
  where strpos(l.message, $1::uuid::text) > 0
  order by l.id desc
  limit $2
)

select l.id, l.at, l.function, l.request_id, l.level, l.message, l.status, l.seconds
from tintype.function_logs as l
where l.request_id in (select s.request_id from spoke as s)
order by l.id desc
limit $2;

-- name: jobs
select
  j.id, j.user_id, j.job_type, j.queue, j.payload ->> 'model' as model, j.status, j.progress,
  j.quantity, j.result_count, j.attempt, j.retries, j.max_retries, j.error_code, j.error_message,
  left(j.prompt, $2) as prompt, j.created_at, j.started_at, j.completed_at, j.next_run_at
from (
  select * from public.jobs as n
  where true
  order by n.id desc
  limit $3
) as j
where true
order by j.id desc
limit $1;

-- name: last_seen
select n.id
from public.jobs as n
where true
order by n.id desc
limit 1 offset $1 - 1;
