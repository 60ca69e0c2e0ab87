-- name: list
select w.id, w.name, w.queues, w.key_id, w.created_at, w.seen_at
from tintype.workers as w
where w.revoked_at is null
order by w.name;

-- name: by_token
select
  w.id, w.name, w.queues, w.key_id, w.created_at, w.seen_at,
  array(
    select q.name
    from unnest(w.queues) as q (name)
    -- In the order of the index: what was popped lies at the front of the table, dead.
    where
      (
        select r.job_id
        from tintype.ready as r
        where r.queue = q.name
        order by r.rank, r.share, r.job_id
        limit 1
      ) is null
      and not exists (
        select from tintype.delayed as d
        where d.queue = q.name and d.run_at <= tintype.clock()
      )
  ) as idle_queues
from tintype.workers as w
where w.lane_token_hash = $1 and w.revoked_at is null;

-- name: by_key
select w.id, w.name, w.queues, w.key_id, w.created_at, w.seen_at
from tintype.workers as w
where w.id = $1 and w.key_id = $2 and w.revoked_at is null;

-- name: by_id
select w.id, w.name, w.queues, w.key_id, w.created_at, w.seen_at
from tintype.workers as w
where w.id = $1 and w.revoked_at is null;

-- name: held
select j.*, h.lease_id, h.holder
from tintype.held_by($1, $2) as h
inner join public.jobs as j on j.id = $2 and h.attempt = j.attempt;

-- name: lane_range
select j.*
from (
  select r.job_id, r.rank, r.share
  from tintype.ready as r
  where r.queue = $1
  order by r.rank, r.share, r.job_id
  limit $3 offset $2
) as r
inner join public.jobs as j on r.job_id = j.id
order by r.rank, r.share, r.job_id;

-- name: reported
select
  j.status,
  -- A training whose adapter is there has gone on to other hands.
  coalesce(j.payload ->> 'stage' = 'finish', false) as is_handed_on
from tintype.callbacks as c
inner join public.jobs as j on c.job_id = j.id
where c.job_id = $1 and c.worker_id = $2;

-- name: checkpoints
select c.job_id, c.bucket, c.path, c.step
from tintype.checkpoints as c
where c.job_id = any($1::uuid[]);

-- name: is_in_scope
select tintype.is_in_scope(j, $2, $3)
from public.jobs as j
where j.id = $1;

-- name: signers
with holders as (
  select l.worker as holder from tintype.leases as l where $1 = any(l.job_ids)
)

select w.id, w.name, w.queues, w.key_id, w.created_at, w.seen_at
from tintype.workers as w
where
  w.revoked_at is null
  and (
    'worker:' || w.id in (select h.holder from holders as h)
    or array(select 'carrier:' || q.name from unnest(w.queues) as q (name))
    && array(select h.holder from holders as h)
    or w.id in (select c.worker_id from tintype.callbacks as c where c.job_id = $1)
  )
order by w.name
limit 20;

-- name: leases_of
select l.id
from tintype.leases as l
where l.worker = $1 and l.id = any($2::uuid[]);

-- name: queues_ready
select q.name as queue
from unnest($1::text[]) as q (name)
where
  (
    select r.job_id
    from tintype.ready as r
    where r.queue = q.name
    order by r.rank, r.share, r.job_id
    limit 1
  ) is not null
  or exists (
    select from tintype.delayed as d
    where d.queue = q.name and d.run_at <= tintype.clock()
  );

-- name: held_counts
select l.worker as holder, sum(cardinality(l.job_ids))::integer as jobs
from tintype.leases as l
where l.worker like 'worker:%'
group by l.worker;

-- name: carried
select j.*, l.id as lease_id
from tintype.leases as l
cross join unnest(l.job_ids, l.attempts) as h (job_id, attempt)
inner join public.jobs as j on h.job_id = j.id and h.attempt = j.attempt
where l.worker = $1 and j.status in ('queued', 'processing');

-- name: undelivered
select o.bucket_id, o.name
from storage.objects as o
left join public.jobs as j on j.id = $1
where
  o.bucket_id = any($3::text[])
  and o.name collate "C" >= $2::text || '/' and o.name collate "C" < $2::text || '0'
  and o.owner_id like 'worker:%'
  and case
    when j.id is null then strpos(o.name, $1::text) > 37
    else tintype.is_in_scope(j, o.bucket_id, o.name)
  end
order by o.name
limit 1000;

-- name: leftovers
with due as (
  select
    d.job_id,
    -- A job that was erased tells no more where it wrote.
    case
      when j.id is null then array(select b.id from storage.buckets as b order by b.id)
      else array[coalesce(j.payload ->> 'bucket', 'generations')]
    end as buckets
  from tintype.leftovers as d
  left join public.jobs as j on d.job_id = j.id
  where
    d.ended_at < tintype.clock() - $1 * interval '1 second'
    and (
      d.ended_at < tintype.clock() - $2 * interval '1 second'
      or not (
        coalesce(j.has_assets, false)
        or exists (select from tintype.callbacks as c where c.job_id = d.job_id)
      )
    )
    and (j.id is null or j.completed_at is not null)
  order by d.ended_at
  limit $3
  for update of d skip locked
)

delete from tintype.leftovers as l
using due
where l.job_id = due.job_id
returning l.job_id, l.user_id, due.buckets;
