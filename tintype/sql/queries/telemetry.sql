-- name: queues
select
  q.name as queue,
  (
    select count(*)
    from (
      select
      from tintype.ready as r
      where r.queue = q.name
      order by r.rank, r.share, r.job_id
      limit $1
    ) as r
  ) as ready,
  (
    select count(*)
    from (
      select
      from tintype.delayed as d
      where d.queue = q.name
      order by d.run_at, d.job_id
      limit $1
    ) as d
  ) as delayed,
  coalesce(h.leased, 0) as leased,
  (
    select greatest(extract(epoch from tintype.clock() - j.created_at), 0)::double precision
    from public.jobs as j
    where j.id = (
      -- Ids grow with time.
      select w.job_id
      from (
        select r.job_id
        from tintype.ready as r
        where r.queue = q.name
        order by r.rank, r.share, r.job_id
        limit $1
      ) as w
      order by w.job_id
      limit 1
    )
  ) as oldest_seconds
from (select distinct u.name from tintype.queues as u) as q
left join (
  select j.queue, count(*) as leased
  from tintype.leases as l
  cross join unnest(l.job_ids, l.attempts) as h (job_id, attempt)
  inner join public.jobs as j on h.job_id = j.id and h.attempt = j.attempt
  where j.status in ('queued', 'processing')
  group by j.queue
) as h on q.name = h.queue
order by q.name;

-- name: outside_workers
select u.queue, count(*) as workers
from tintype.workers as w
cross join unnest(w.queues) as u (queue)
where w.revoked_at is null and w.seen_at > tintype.clock() - $1 * interval '1 second'
group by u.queue
order by u.queue;

-- name: storage
select
  o.bucket_id as bucket,
  count(*) as objects,
  coalesce(sum((o.metadata ->> 'size')::bigint), 0)::bigint as bytes
from storage.objects as o
group by o.bucket_id
order by o.bucket_id;

-- name: credits_held
select coalesce(sum(a.held), 0)::bigint as credits from public.credit_accounts as a;

-- name: active_users
select
  count(distinct j.user_id) filter (where j.id >= $1) as hour,
  count(distinct j.user_id) as day
from public.jobs as j
where j.id >= $2;
