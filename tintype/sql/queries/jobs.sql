-- name: get
select j.*
from public.jobs as j
where j.id = $1 and ($2::uuid is null or j.user_id = $2);

-- name: list
select j.*
from public.jobs as j
where ($1::uuid is null or j.user_id = $1) and ($2::text is null or j.status = $2)
order by j.created_at desc
limit $3;

-- name: outputs
select
  g.position, g.bucket, g.path, g.url, g.thumbnail_url, g.width, g.height, g.seed, g.provider,
  g.model, g.metadata, g.created_at
from public.generations as g
where g.job_id = $1 and g.status = 'completed'
order by g.position;

-- name: ended
select j.*
from public.jobs as j
where j.id = any($1::uuid[]) and j.status in ('completed', 'failed', 'canceled');

-- name: prepared
select j.*
from public.jobs as j
where
  j.id = any($1::uuid[])
  and (
    j.payload ->> 'stage' <> 'prepare'
    or j.status in ('completed', 'failed', 'canceled')
    -- Nobody stays for that.
    or j.next_run_at > tintype.clock() + interval '15 seconds'
  );

-- name: queue_position
select (
  select count(*) from tintype.ready as b
  where b.queue = r.queue and (b.rank, b.share, b.job_id) < (r.rank, r.share, r.job_id)
)
from tintype.ready as r
where r.queue = $1 and r.job_id = $2;

-- name: depth
select
  q.name as queue,
  (select count(*) from tintype.ready as r where r.queue = q.name) as ready,
  (select count(*) from tintype.delayed as d where d.queue = q.name) as delayed,
  (
    select count(*)
    from tintype.leases as l
    cross join unnest(l.job_ids, l.attempts) as h (job_id, attempt)
    inner join public.jobs as j on h.job_id = j.id and h.attempt = j.attempt
    where j.queue = q.name and j.status in ('queued', 'processing')
  ) as leased
from (select distinct u.name from tintype.queues as u) as q
order by q.name;

-- name: waiting
select
  (
    select count(*)
    from (
      select from tintype.ready as r
      where r.queue = $1
      order by r.rank, r.share, r.job_id
      limit $2
    ) as r
  )
  + (
    select count(*)
    from (
      select from tintype.delayed as d
      where d.queue = $1 and d.run_at <= tintype.clock()
      order by d.run_at
      limit $2
    ) as d
  );

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

-- name: history
select h.number, h.at, h.attempt, h.kind, h.code, h.message, h.worker
from tintype.job_history as h
where h.job_id = $1
order by h.number;

-- name: made_again
select j.id
from public.jobs as j
where
  j.user_id = $1
  and j.created_at >= (select o.created_at from public.jobs as o where o.id = $2::uuid)
  and j.metadata ->> 'requeued_from' = $2::uuid::text
order by j.created_at
limit 1;
