-- Where jobs stand in their line.

-- Says how many jobs of its queue run before a waiting job of the caller's own, itself counted.
-- There is no row for a job that does not wait, that is not the caller's, or before which more
-- than 999 wait. Locks nothing: the answer is as of now.
create or replace function public.queue_positions(p_job_ids uuid[])
returns table (job_id uuid, queue_position integer)
language sql stable security definer
rows 10
set search_path = ''
as $$
  select l.job_id, l.place::integer as queue_position
  from (
    select distinct j.queue
    from public.jobs as j
    where
      j.id = any(p_job_ids[1:50]) and j.user_id = (select auth.uid()) and j.status = 'queued'
  ) as q
  cross join lateral (
    select r.job_id, row_number() over (order by r.rank, r.share, r.job_id) as place
    from (
      select c.rank, c.share, c.job_id
      from tintype.ready as c
      where c.queue = q.queue
      order by c.rank, c.share, c.job_id
      limit 1000
    ) as r
  ) as l
  inner join public.jobs as j on l.job_id = j.id
  where j.id = any(p_job_ids[1:50]) and j.user_id = (select auth.uid())
$$;
