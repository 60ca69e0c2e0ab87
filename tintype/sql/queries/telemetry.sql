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
