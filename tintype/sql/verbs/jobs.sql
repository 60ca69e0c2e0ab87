-- Jobs: enqueue, claim, renew, report, deliver, complete, fail, cancel, rescue, prune. These
-- functions know jobs and queues, and nothing of credits.
--
-- The wide row in public.jobs is the truth. A job that has not ended is in exactly one place:
-- `ready`, `delayed` or the arrays of one lease, always with the row's own attempt number. That
-- number is the fencing token: whoever writes for an older attempt writes nothing, and gets TT409
-- where it must know. Locks are taken on jobs in the order of id, then on `shares`.

-- A job that a verb has just ended (or, from rescue, taken): `delivered` outputs of it are to be
-- paid for; when it was `broken_off` on the way, it may have left bytes behind; with `has_assets`
-- there are rows of pictures or videos that follow it.
create type tintype.ended as (
  job_id uuid, user_id uuid, status text, delivered integer, broken_off boolean, has_assets boolean
);

-- Puts `[{job_id, user_id, …}]` on their queues, all in the caller's transaction. Users take turns:
-- each job gets the user's next share, starting from the queue's virtual time, so that one user's
-- thousand jobs do not stand before another's first. Locks the users' shares in order, then wakes
-- workers with one notification per call.
create or replace function tintype.enqueue(p_jobs json) returns void
language plpgsql security definer
set search_path = ''
as $$
declare
  v_now constant timestamptz := tintype.clock();
begin
  insert into tintype.queues (name, rank)
  select distinct n.queue, -n.priority
  from pg_catalog.json_to_recordset(p_jobs) as n (queue text, priority smallint)
  where not exists (
    select from tintype.queues as q where q.name = n.queue and q.rank = -n.priority
  )
  order by 1, 2
  on conflict do nothing;

  insert into public.jobs (
    id, user_id, project_id, template_id, created_at, expires_at, job_type, queue, priority,
    quantity, max_retries, prompt, payload, metadata, image_id, video_id, batch_id, model_id,
    identity_id, has_assets
  )
  select
    n.job_id, n.user_id, n.project_id, n.template_id, v_now,
    v_now + n.expires_seconds * interval '1 second', n.job_type, n.queue, n.priority,
    n.quantity, n.max_retries, n.prompt, n.payload, n.metadata, n.image_id, n.video_id,
    n.batch_id, n.model_id, n.identity_id,
    coalesce(n.image_id, n.video_id) is not null
    or n.batch_id is not null
    or n.job_type in ('train_model', 'train_identity')
  from pg_catalog.json_to_recordset(p_jobs) as n (
    job_id uuid, user_id uuid, project_id uuid, template_id uuid, expires_seconds integer,
    job_type text, queue text, priority smallint, quantity smallint, max_retries smallint,
    prompt text, payload jsonb, metadata jsonb, image_id uuid, video_id uuid, batch_id bigint,
    model_id bigint, identity_id uuid
  );
  perform tintype.begin_rows(p_jobs);

  with new_jobs as (
    select
      n.job_id, n.user_id, n.queue, -n.priority as rank,
      row_number() over (partition by n.queue, n.priority, n.user_id order by n.job_id) as turn
    from pg_catalog.json_to_recordset(p_jobs)
      as n (job_id uuid, user_id uuid, queue text, priority smallint)
  ),
  taken as (
    insert into tintype.shares as s (queue, rank, user_id, last_share)
    select n.queue, n.rank, n.user_id, q.virtual_time + count(*)
    from new_jobs as n
    inner join tintype.queues as q on n.queue = q.name and n.rank = q.rank
    group by n.queue, n.rank, n.user_id, q.virtual_time
    order by n.queue, n.rank, n.user_id
    on conflict (queue, rank, user_id) do update
    set last_share = greatest(
      excluded.last_share,
      s.last_share + excluded.last_share
      - (select q.virtual_time from tintype.queues as q where q.name = s.queue and q.rank = s.rank)
    )
    returning s.queue, s.rank, s.user_id, s.last_share
  )
  insert into tintype.ready (queue, rank, share, job_id, attempt)
  select
    n.queue, n.rank,
    t.last_share - count(*) over (partition by n.queue, n.rank, n.user_id) + n.turn,
    n.job_id, 1
  from new_jobs as n
  inner join taken as t using (queue, rank, user_id);

  perform pg_catalog.pg_notify('tintype_jobs', 'ready');
end
$$;

-- Begins the rows that follow the new jobs, of those jobs that have any.
create or replace function tintype.begin_rows(p_jobs json) returns void
language plpgsql security definer
set search_path = ''
as $$
declare
  v_assets json;
  v_followers json;
begin
  select
    json_agg(n.value) filter (
      where coalesce(n.value ->> 'image_id', n.value ->> 'video_id') is not null
    ),
    json_agg(n.value) filter (
      where
        n.value ->> 'batch_id' is not null
        or n.value ->> 'job_type' in ('train_model', 'train_identity')
    )
  into v_assets, v_followers
  from pg_catalog.json_array_elements(p_jobs) as n;
  perform tintype.begin_assets(v_assets);
  perform tintype.begin_followers(v_followers);
end
$$;

-- Makes the rows of pictures or videos that the new jobs are to fill, as `generating`, one for each
-- output. The first is the job's image_id or video_id: an own row that is pending or failed is
-- taken over, and where there is none it is made. Null for no jobs.
create or replace function tintype.begin_assets(p_jobs json) returns void
language plpgsql security definer
set search_path = ''
as $$
begin
  if p_jobs is null then
    return;
  end if;
  update public.generations as g
  set
    job_id = n.job_id,
    position = 0,
    status = 'generating',
    project_id = coalesce(n.project_id, g.project_id),
    prompt = n.prompt,
    error_message = null,
    seq = nextval('tintype.change_seq')
  from pg_catalog.json_to_recordset(p_jobs) as n (
    job_id uuid, user_id uuid, project_id uuid, prompt text, image_id uuid, video_id uuid
  )
  where
    g.id = coalesce(n.image_id, n.video_id)
    and g.user_id = n.user_id
    and g.status in ('pending', 'failed');
  insert into public.generations (
    id, user_id, job_id, project_id, media_type, status, position, prompt, created_at
  )
  select
    case p.position when 0 then coalesce(n.image_id, n.video_id) else gen_random_uuid() end,
    n.user_id, n.job_id, n.project_id,
    case when n.image_id is null then 'video' else 'image' end,
    'generating', p.position, n.prompt, tintype.clock()
  from pg_catalog.json_to_recordset(p_jobs) as n (
    job_id uuid, user_id uuid, project_id uuid, prompt text, quantity smallint,
    image_id uuid, video_id uuid
  )
  cross join lateral generate_series(0, n.quantity - 1) as p (position)
  on conflict do nothing;
end
$$;

-- Fails the rows that ended jobs were to fill and did not, with the job's own reason.
create or replace function tintype.end_assets(p_job_ids uuid[]) returns void
language sql security definer
set search_path = ''
as $$
  update public.generations as g
  set
    status = 'failed',
    error_message = coalesce(j.error_message, 'This one was not made.'),
    seq = nextval('tintype.change_seq')
  from public.jobs as j
  where g.job_id = j.id and j.id = any(p_job_ids) and g.status = 'generating'
$$;

-- Moves up to 1000 delayed jobs of a queue whose time has come to its ready jobs, at the head of
-- the line. Skips what another transaction is moving. A job that was given back twice is moved
-- once.
create or replace function tintype.promote(p_queue text, p_now timestamptz) returns integer
language plpgsql security definer
set search_path = ''
as $$
declare
  v_promoted integer;
begin
  with due as (
    delete from tintype.delayed as d
    where (d.queue, d.run_at, d.job_id) in (
      select w.queue, w.run_at, w.job_id
      from tintype.delayed as w
      where w.queue = p_queue and w.run_at <= p_now
      order by w.run_at
      limit 1000
      for update skip locked
    )
    returning d.queue, d.rank, d.job_id, d.attempt
  )
  insert into tintype.ready as r (queue, rank, share, job_id, attempt)
  select p_queue, due.rank, coalesce(max(q.virtual_time), 0), due.job_id, max(due.attempt)
  from due
  left join tintype.queues as q on due.queue = q.name and due.rank = q.rank
  group by due.rank, due.job_id
  on conflict (queue, rank, share, job_id) do update
  set attempt = greatest(r.attempt, excluded.attempt);
  get diagnostics v_promoted = row_count;
  return v_promoted;
end
$$;

-- Gives `p_limit` jobs of a queue at most to one worker for `p_lease_seconds`, under a lease whose
-- id the worker chose: highest priority first, then users in turn, then the oldest. They are the
-- caller's until the lease expires; a worker that dies loses them to rescue. Rows that another
-- claim is taking are skipped, not waited for. The job rows are not written: the first report of an
-- attempt shows it as processing. Rows of jobs that ended meanwhile are dropped on the way; there
-- may be fewer jobs than the limit, and none only when nothing is due, or after a hundred batches
-- of such rows.
create or replace function tintype.claim(
  p_lease_id uuid, p_queue text, p_worker text, p_limit integer, p_lease_seconds integer
)
returns setof public.jobs
language plpgsql security definer
rows 100
set search_path = ''
-- The plan does not depend on the values, and planning costs more than running it.
set plan_cache_mode = force_generic_plan
as $$
declare
  v_now constant timestamptz := tintype.clock();
  v_job_ids uuid[];
  v_attempts integer[];
  v_live integer;
begin
  if exists (
    select from tintype.delayed as d where d.queue = p_queue and d.run_at <= v_now
  ) then
    perform tintype.promote(p_queue, v_now);
  end if;
  for v_batch in 1 .. 100 loop
    select t.job_ids, t.attempts into v_job_ids, v_attempts
    from tintype.take(p_queue, p_limit) as t;
    exit when v_job_ids is null;

    return query
    select j.*
    from unnest(v_job_ids, v_attempts) with ordinality as t (job_id, attempt, place)
    inner join public.jobs as j on t.job_id = j.id and t.attempt = j.attempt
    where j.status in ('queued', 'processing')
    order by t.place;
    get diagnostics v_live = row_count;
    if v_live > 0 then
      insert into tintype.leases (id, worker, expires_at, job_ids, attempts)
      values (
        p_lease_id, p_worker, v_now + p_lease_seconds * interval '1 second',
        v_job_ids, v_attempts
      );
      exit;
    end if;
  end loop;
end
$$;

-- Takes rows from the head of a queue and moves its virtual time along; nulls when there were none.
create or replace function tintype.take(
  p_queue text, p_limit integer, out job_ids uuid[], out attempts integer[]
)
language plpgsql security definer
set search_path = ''
as $$
begin
  -- The arrays of places are made first and whole: a plan that joins could take more rows than the
  -- limit. A claim that meets another at the time leaves it to that one: it need only be about
  -- right.
  with taken as (
    delete from tintype.ready as r
    where r.ctid = any(
      array(
        select c.ctid
        from tintype.ready as c
        where c.queue = p_queue
        order by c.rank, c.share, c.job_id
        limit p_limit
        for update skip locked
      )
    )
    returning r.rank, r.share, r.job_id, r.attempt
  ),
  moved as (
    update tintype.queues as q
    set virtual_time = m.share
    from (select t.rank, max(t.share) as share from taken as t group by t.rank) as m
    where
      q.name = p_queue and q.rank = m.rank and q.virtual_time < m.share
      and q.ctid = any(
        array(select u.ctid from tintype.queues as u where u.name = p_queue for update skip locked)
      )
  )
  select
    array_agg(t.job_id order by t.rank, t.share, t.job_id),
    array_agg(t.attempt order by t.rank, t.share, t.job_id)
  into job_ids, attempts
  from taken as t;
end
$$;

-- claim for a worker that cannot renew: the jobs are shown as processing, and the lease lasts as
-- long as the slowest of them may take by `p_seconds`, `{job_type: seconds}`, or ten minutes. What
-- was canceled at this moment is not among them.
create or replace function tintype.pop(
  p_lease_id uuid, p_queue text, p_holder text, p_limit integer, p_seconds jsonb
)
returns setof public.jobs
language plpgsql security definer
rows 1
set search_path = ''
as $$
declare
  v_job_ids uuid[];
  v_attempts integer[];
  v_seconds integer;
begin
  select
    array_agg(c.id), array_agg(c.attempt),
    max(coalesce((p_seconds ->> c.job_type)::integer, 600))
  into v_job_ids, v_attempts, v_seconds
  from tintype.claim(p_lease_id, p_queue, p_holder, p_limit, 60) as c;
  if v_job_ids is null then
    return;
  end if;
  perform tintype.renew(p_holder, array[p_lease_id], v_seconds);
  perform tintype.report(
    v_job_ids, v_attempts, array_fill(0::smallint, array[cardinality(v_job_ids)])
  );
  return query
  select j.*
  from unnest(v_job_ids, v_attempts) with ordinality as t (job_id, attempt, place)
  inner join public.jobs as j on t.job_id = j.id and t.attempt = j.attempt
  where j.status = 'processing'
  order by t.place;
end
$$;

-- The lease under which one of the holders has a job, with the job's attempt; no row when none of
-- them has it.
create or replace function tintype.held_by(p_holders text[], p_job_id uuid)
returns table (lease_id uuid, holder text, attempt integer)
language sql stable security definer
rows 1
set search_path = ''
as $$
  select l.id, l.worker, j.attempt
  from tintype.leases as l
  inner join public.jobs as j on p_job_id = j.id
  where
    l.worker = any(p_holders)
    and p_job_id = any(l.job_ids)
    and j.status in ('queued', 'processing')
    and exists (
      select from unnest(l.job_ids, l.attempts) as h (job_id, attempt)
      where h.job_id = j.id and h.attempt = j.attempt
    )
  limit 1
$$;

-- Extends the leases of a worker and returns the jobs under them that it holds no longer, so that
-- it can stop working on them. A lease that is gone returns nothing: its jobs are fenced.
create or replace function tintype.renew(
  p_worker text, p_lease_ids uuid[], p_lease_seconds integer
)
returns table (lost_job_id uuid)
language plpgsql security definer
set search_path = ''
as $$
begin
  perform from tintype.leases as l
  where l.id = any(p_lease_ids) and l.worker = p_worker
  order by l.id
  for update;
  update tintype.leases as l
  set expires_at = tintype.clock() + p_lease_seconds * interval '1 second'
  where l.id = any (p_lease_ids) and l.worker = p_worker;
  return query
  select h.job_id
  from tintype.leases as l
  cross join unnest(l.job_ids, l.attempts) as h (job_id, attempt)
  inner join public.jobs as j on h.job_id = j.id
  where
    l.id = any(p_lease_ids)
    and l.worker = p_worker
    and (j.attempt <> h.attempt or j.status not in ('queued', 'processing'))
    -- Taken again, under another of these leases, it is this worker's all the same.
    and not exists (
      select
      from tintype.leases as o
      cross join unnest(o.job_ids, o.attempts) as i (job_id, attempt)
      where
        o.id = any(p_lease_ids) and o.worker = p_worker and i.job_id = j.id
        and i.attempt = j.attempt and j.status in ('queued', 'processing')
    );
end
$$;

-- Shows the progress, in per cent, of each job. The first report of an attempt turns the job to
-- processing. Reports of older attempts and of ended jobs change nothing and are not among the ids
-- returned.
create or replace function tintype.report(
  p_job_ids uuid[], p_attempts integer[], p_progress smallint[]
)
returns table (job_id uuid)
language plpgsql security definer
rows 100
set search_path = ''
as $$
declare
  v_now constant timestamptz := tintype.clock();
begin
  -- In order and in a statement of its own, so that two batches never wait for each other, and the
  -- update sees what the lock waited for.
  perform from public.jobs as l where l.id = any(p_job_ids) order by l.id for no key update;
  return query
  update public.jobs as j
  set
    status = 'processing',
    started_at = coalesce(j.started_at, v_now),
    next_run_at = null,
    progress = greatest(j.progress, r.progress),
    seq = nextval('tintype.change_seq')
  from unnest(p_job_ids, p_attempts, p_progress) as r (id, attempt, progress)
  where j.id = r.id and j.attempt = r.attempt and j.status in ('queued', 'processing')
  returning j.id;
end
$$;

-- Records one finished output of a job: its row in generations, its URL and count in the job, in
-- one transaction with whatever else the caller writes. Returns false, and changes nothing, when
-- that position has its output already. Locks the job. TT409 when this attempt no longer holds it.
create or replace function tintype.deliver(p_job_id uuid, p_attempt integer, p_output jsonb)
returns boolean
language plpgsql security definer
set search_path = ''
as $$
declare
  v_job public.jobs;
begin
  select * into v_job
  from public.jobs as j
  where j.id = p_job_id and j.attempt = p_attempt and j.status in ('queued', 'processing')
  for update;
  if not found then
    raise exception using errcode = 'TT409', message = 'The job is no longer held.';
  end if;
  insert into public.generations as g (
    user_id, job_id, project_id, batch_id, media_type, position, bucket, path, url, thumbnail_url,
    prompt, enhanced_prompt, width, height, seed, provider, model, metadata, created_at
  )
  select
    v_job.user_id, v_job.id, v_job.project_id, v_job.batch_id, coalesce(o.media_type, 'image'),
    o.position, o.bucket, o.path, o.url, o.thumbnail_url, v_job.prompt, o.enhanced_prompt,
    o.width, o.height, o.seed, o.provider, o.model, coalesce(o.metadata, '{}'), tintype.clock()
  from pg_catalog.jsonb_to_record(p_output) as o (
    media_type text, position smallint, bucket text, path text, url text, thumbnail_url text,
    enhanced_prompt text, width integer, height integer, seed bigint, provider text, model text,
    metadata jsonb
  )
  where o.position between 0 and v_job.quantity - 1
  on conflict (job_id, position) do update
  set
    status = 'completed',
    bucket = excluded.bucket,
    path = excluded.path,
    url = excluded.url,
    thumbnail_url = excluded.thumbnail_url,
    enhanced_prompt = excluded.enhanced_prompt,
    width = excluded.width,
    height = excluded.height,
    seed = excluded.seed,
    provider = excluded.provider,
    model = excluded.model,
    metadata = g.metadata || excluded.metadata,
    error_message = null,
    seq = excluded.seq
  where g.status = 'generating';
  if not found then
    return false;
  end if;
  update public.jobs as j
  set
    status = 'processing',
    started_at = coalesce(j.started_at, tintype.clock()),
    next_run_at = null,
    result_count = j.result_count + 1,
    result_urls = array(
      select g.url from public.generations as g
      where g.job_id = j.id and g.status = 'completed'
      order by g.position
    ),
    progress = greatest(j.progress, (100 * (j.result_count + 1)) / j.quantity),
    seq = nextval('tintype.change_seq')
  where j.id = p_job_id;
  return true;
end
$$;

-- Ends jobs as completed, in one statement, with what was delivered; an error's code and message
-- say why outputs are missing. Older attempts and ended jobs change nothing. Locks the jobs.
-- Returns those that this call ended.
create or replace function tintype.complete(
  p_job_ids uuid[], p_attempts integer[], p_error_codes text[], p_error_messages text[]
)
returns setof tintype.ended
language plpgsql security definer
rows 100
set search_path = ''
as $$
declare
  v_now constant timestamptz := tintype.clock();
begin
  -- In order and in a statement of its own, so that two batches never wait for each other, and the
  -- update sees what the lock waited for.
  perform from public.jobs as l where l.id = any(p_job_ids) order by l.id for no key update;
  return query
  update public.jobs as j
  set
    status = 'completed',
    progress = 100,
    started_at = coalesce(j.started_at, j.created_at),
    completed_at = v_now,
    next_run_at = null,
    error_code = c.error_code,
    error_message = c.error_message,
    seq = nextval('tintype.change_seq')
  from unnest(p_job_ids, p_attempts, p_error_codes, p_error_messages)
    as c (id, attempt, error_code, error_message)
  where j.id = c.id and j.attempt = c.attempt and j.status in ('queued', 'processing')
  returning j.id, j.user_id, j.status, j.result_count, j.attempt > 1, j.has_assets;
end
$$;

-- Gives up one attempt. With `p_delay_seconds` the job goes back to its queue after that time, with
-- what was delivered so far; `p_spends_retry` false leaves its retries as they are (quota, drain).
-- `p_metadata` is merged into the job's. Without a delay, or when no retry is left, it ends: as
-- completed when something was delivered, else as failed. Locks the job. An older attempt or an
-- ended job changes nothing and returns no row. Returns the job's new status, and when it runs
-- again.
create or replace function tintype.fail(
  p_job_id uuid, p_attempt integer, p_error_code text, p_error_message text,
  p_delay_seconds double precision, p_spends_retry boolean, p_metadata jsonb
)
returns table (
  status text, next_run_at timestamptz, retries smallint, delivered integer, user_id uuid
)
language plpgsql security definer
set search_path = ''
as $$
declare
  v_job public.jobs;
begin
  update public.jobs as j
  set metadata = j.metadata || coalesce(p_metadata, '{}')
  where j.id = p_job_id and j.attempt = p_attempt and j.status in ('queued', 'processing')
  returning * into v_job;
  if not found then
    return;
  end if;
  if p_delay_seconds is null or (p_spends_retry and v_job.retries >= v_job.max_retries) then
    v_job := tintype.end_unfinished(v_job, p_error_code, p_error_message);
  else
    v_job := tintype.requeue(
      v_job, p_error_code, p_error_message, p_delay_seconds, p_spends_retry
    );
  end if;
  return query select
    v_job.status, v_job.next_run_at, v_job.retries, v_job.result_count::integer, v_job.user_id;
end
$$;

-- Puts a job that the caller has locked back on its queue under the next attempt number.
create or replace function tintype.requeue(
  p_job public.jobs, p_error_code text, p_error_message text,
  p_delay_seconds double precision, p_spends_retry boolean
) returns public.jobs
language plpgsql security definer
set search_path = ''
as $$
declare
  v_run_at constant timestamptz := tintype.clock() + p_delay_seconds * interval '1 second';
begin
  update public.jobs as j
  set
    status = 'queued',
    attempt = j.attempt + 1,
    retries = j.retries + p_spends_retry::integer,
    next_run_at = v_run_at,
    error_code = p_error_code,
    error_message = p_error_message,
    seq = nextval('tintype.change_seq')
  where j.id = p_job.id
  returning * into p_job;
  if p_delay_seconds > 0 then
    insert into tintype.delayed (queue, run_at, job_id, attempt, rank)
    values (p_job.queue, v_run_at, p_job.id, p_job.attempt, -p_job.priority)
    on conflict (queue, run_at, job_id) do update set attempt = excluded.attempt;
  else
    insert into tintype.ready (queue, rank, share, job_id, attempt)
    select
      p_job.queue, -p_job.priority, coalesce(max(q.virtual_time), 0), p_job.id, p_job.attempt
    from tintype.queues as q
    where q.name = p_job.queue and q.rank = -p_job.priority
    on conflict (queue, rank, share, job_id) do update set attempt = excluded.attempt;
    perform pg_catalog.pg_notify('tintype_jobs', 'ready');
  end if;
  return p_job;
end
$$;

-- Ends a job that the caller has locked and that gets no further attempt: completed with what was
-- delivered, or failed when that is nothing.
create or replace function tintype.end_unfinished(
  p_job public.jobs, p_error_code text, p_error_message text
) returns public.jobs
language plpgsql security definer
set search_path = ''
as $$
begin
  update public.jobs as j
  set
    status = case when j.result_count > 0 then 'completed' else 'failed' end,
    progress = case when j.result_count > 0 then 100 else j.progress end,
    completed_at = tintype.clock(),
    next_run_at = null,
    error_code = p_error_code,
    error_message = p_error_message,
    seq = nextval('tintype.change_seq')
  where j.id = p_job.id
  returning * into p_job;
  return p_job;
end
$$;

-- Ends a job as canceled, wherever it is; what was delivered stays. A null p_user_id cancels
-- anyone's. Canceling twice is once. Locks the job; workers are told by a notification, and are
-- fenced whether they hear it or not. TT404 for a job that is unknown or another user's, TT409
-- for one that has ended otherwise.
create or replace function tintype.cancel(p_job_id uuid, p_user_id uuid, p_message text)
returns setof tintype.ended
language plpgsql security definer
set search_path = ''
as $$
declare
  v_job public.jobs;
begin
  select * into v_job
  from public.jobs as j
  where j.id = p_job_id and (p_user_id is null or j.user_id = p_user_id)
  for update;
  if not found then
    raise exception using errcode = 'TT404', message = 'There is no such job.';
  end if;
  if v_job.status = 'canceled' then
    return;
  end if;
  if v_job.status in ('completed', 'failed') then
    raise exception using
      errcode = 'TT409', message = 'The job has ended already.', detail = v_job.status;
  end if;
  update public.jobs as j
  set
    status = 'canceled',
    completed_at = tintype.clock(),
    next_run_at = null,
    error_code = 'canceled',
    error_message = p_message,
    seq = nextval('tintype.change_seq')
  where j.id = p_job_id;
  perform pg_catalog.pg_notify('tintype_jobs', 'canceled ' || p_job_id);
  return query select
    v_job.id, v_job.user_id, 'canceled'::text, v_job.result_count, true, v_job.has_assets;
end
$$;

-- Takes the jobs of up to `p_limit` expired leases from their workers: each goes back to its queue
-- at once, which spends a retry, or ends when none is left, or when nothing is left to be made.
-- Skips leases that another rescue or a renewal is holding; locks the leases, then all their jobs
-- in order. Returns every job taken; `status` is queued, completed or failed.
create or replace function tintype.rescue(p_limit integer)
returns setof tintype.ended
language plpgsql security definer
set search_path = ''
as $$
declare
  v_now constant timestamptz := tintype.clock();
  v_lease_ids uuid[];
  v_job public.jobs;
begin
  v_lease_ids := array(
    select l.id from tintype.leases as l
    where l.expires_at < v_now
    order by l.expires_at
    limit p_limit
    for update skip locked
  );
  for v_job in
    select j.*
    from tintype.leases as l
    cross join unnest(l.job_ids, l.attempts) as h (job_id, attempt)
    inner join public.jobs as j on h.job_id = j.id and h.attempt = j.attempt
    where l.id = any(v_lease_ids) and j.status in ('queued', 'processing')
    order by j.id
    for update of j
  loop
    if v_job.result_count >= v_job.quantity then
      v_job := tintype.end_unfinished(v_job, null, null);
    elsif v_job.retries >= v_job.max_retries then
      v_job := tintype.end_unfinished(
        v_job, 'worker_lost', 'The worker stopped answering, on the last attempt.'
      );
    else
      v_job := tintype.requeue(v_job, 'worker_lost', 'The worker stopped answering.', 0, true);
    end if;
    return query select
      v_job.id, v_job.user_id, v_job.status, v_job.result_count, true, v_job.has_assets;
  end loop;
  perform tintype.name_lost_worker(v_lease_ids);
  delete from tintype.leases as l where l.id = any(v_lease_ids);
end
$$;

-- Ends up to `p_limit` jobs that waited longer than jobs may, for queues that nobody works on. Ids
-- grow with time: only those of an hour ago or older are looked at. Skips jobs that another
-- transaction is at, and locks the others in order; what a claim is taking off the queue at this
-- moment is left to it, as it drops ended jobs. Returns the jobs that this call ended.
create or replace function tintype.expire(p_limit integer)
returns setof tintype.ended
language plpgsql security definer
set search_path = ''
as $$
declare
  v_now constant timestamptz := tintype.clock();
  v_bound constant uuid := tintype.first_id(v_now - interval '1 hour');
  v_job public.jobs;
  v_job_ids uuid[] := '{}';
begin
  for v_job in
    select j.* from public.jobs as j
    where
      j.id in (
        select r.job_id from tintype.ready as r where r.job_id < v_bound
        union all
        select d.job_id from tintype.delayed as d where d.job_id < v_bound
      )
      and j.status = 'queued'
      and j.expires_at <= v_now
    order by j.id
    limit p_limit
    for update skip locked
  loop
    v_job := tintype.end_unfinished(v_job, 'expired', 'The job waited longer than jobs may wait.');
    v_job_ids := v_job_ids || v_job.id;
    return query select
      v_job.id, v_job.user_id, v_job.status, v_job.result_count, true, v_job.has_assets;
  end loop;
  delete from tintype.ready as r
  where (r.queue, r.rank, r.share, r.job_id) in (
    select o.queue, o.rank, o.share, o.job_id from tintype.ready as o
    where o.job_id = any(v_job_ids)
    for update skip locked
  );
  delete from tintype.delayed as d
  where (d.queue, d.run_at, d.job_id) in (
    select o.queue, o.run_at, o.job_id from tintype.delayed as o
    where o.job_id = any(v_job_ids)
    for update skip locked
  );
end
$$;

-- Drops those of the leases whose jobs have all ended or moved on. A lease with work left stays,
-- and so does one that rescue is looking at: waiting for it could wait for ever, as rescue locks
-- leases before jobs.
create or replace function tintype.close_leases(p_lease_ids uuid[]) returns void
language plpgsql security definer
set search_path = ''
as $$
begin
  delete from tintype.leases as l
  where l.id in (
    select c.id from tintype.leases as c
    where c.id = any(p_lease_ids) and not exists (
      select
      from unnest(c.job_ids, c.attempts) as h (job_id, attempt)
      inner join public.jobs as j on h.job_id = j.id and h.attempt = j.attempt
      where j.status in ('queued', 'processing')
    )
    for update skip locked
  );
end
$$;

-- Forgets what has expired, up to `p_limit` rows of each kind: stored answers, shares of users who
-- are no longer ahead of their queue, what workers reported a week ago, pauses that are over,
-- removals done long ago and what is remembered too long; and ends what was begun and never asked
-- for. Returns how many rows.
create or replace function tintype.prune(p_limit integer) returns integer
language plpgsql security definer
set search_path = ''
as $$
declare
  v_now constant timestamptz := tintype.clock();
  v_rows integer;
  v_total integer := tintype.prune_history(p_limit);
begin
  delete from tintype.answers as a
  where (a.user_id, a.route, a.key) in (
    select e.user_id, e.route, e.key from tintype.answers as e
    where e.expires_at < v_now
    order by e.expires_at
    limit p_limit
    for update skip locked
  );
  get diagnostics v_rows = row_count;
  v_total := v_total + v_rows;
  delete from tintype.shares as s
  where (s.queue, s.rank, s.user_id) in (
    select o.queue, o.rank, o.user_id from tintype.shares as o
    inner join tintype.queues as q on o.queue = q.name and o.rank = q.rank
    where o.last_share <= q.virtual_time
    limit p_limit
    for update of o skip locked
  );
  get diagnostics v_rows = row_count;
  v_total := v_total + v_rows;
  delete from tintype.callbacks as c
  where (c.job_id, c.worker_id) in (
    select o.job_id, o.worker_id from tintype.callbacks as o
    where o.reported_at < v_now - interval '7 days'
    order by o.reported_at
    limit p_limit
    for update skip locked
  );
  get diagnostics v_rows = row_count;
  v_total := v_total + v_rows;
  delete from tintype.provider_pauses as p where p.paused_until < v_now;
  get diagnostics v_rows = row_count;
  v_total := v_total + v_rows;
  delete from tintype.removals as r
  where r.id in (
    select o.id from tintype.removals as o
    where o.done_at < v_now - interval '90 days'
    limit p_limit
    for update skip locked
  );
  get diagnostics v_rows = row_count;
  return v_total + v_rows + tintype.end_unasked(p_limit);
end
$$;
