-- Workers outside the server: add, revoke, and what they reported. The jobs that one of them has
-- are under leases whose holder is `worker:<id>`, or `carrier:<queue>` where a queue is carried to
-- them by Redis.

-- Adds a worker for the queues given, or gives the one of that name new queues and new secrets:
-- what it had before opens nothing any more. Returns its id.
create or replace function tintype.add_worker(
  p_name text, p_queues text[], p_key_id uuid, p_lane_token_hash bytea
) returns uuid
language sql security definer
set search_path = ''
as $$
  insert into tintype.workers as w (id, name, queues, key_id, lane_token_hash, created_at)
  values (gen_random_uuid(), p_name, p_queues, p_key_id, p_lane_token_hash, tintype.clock())
  on conflict (name) where revoked_at is null do update
  set
    queues = excluded.queues,
    key_id = excluded.key_id,
    lane_token_hash = excluded.lane_token_hash
  returning w.id
$$;

-- Ends a worker's key and token at once and gives its jobs back to their queues when their leases
-- are rescued, which is now. Locks the worker, then its leases in the order of id. Returns false
-- when there is none of that name.
create or replace function tintype.revoke_worker(p_name text) returns boolean
language plpgsql security definer
set search_path = ''
as $$
declare
  v_id uuid;
begin
  update tintype.workers as w
  set revoked_at = tintype.clock()
  where w.name = p_name and w.revoked_at is null
  returning w.id into v_id;
  if v_id is null then
    return false;
  end if;
  -- As renew locks them, so that the two never wait for each other.
  perform from tintype.leases as l
  where l.worker = 'worker:' || v_id
  order by l.id
  for update;
  update tintype.leases as l
  set expires_at = tintype.clock() - interval '1 second'
  where l.worker = 'worker:' || v_id;
  return true;
end
$$;

-- Notes that a worker was heard of, at most once in ten seconds.
create or replace function tintype.see_worker(p_worker_id uuid) returns void
language sql security definer
set search_path = ''
as $$
  update tintype.workers as w
  set seen_at = tintype.clock()
  where
    w.id = p_worker_id
    and (w.seen_at is null or w.seen_at < tintype.clock() - interval '10 seconds')
$$;

-- Lets a lease that has not expired last `p_seconds` from now at least.
create or replace function tintype.prolong(p_lease_id uuid, p_seconds integer) returns void
language sql security definer
set search_path = ''
as $$
  update tintype.leases as l
  set expires_at = greatest(l.expires_at, tintype.clock() + p_seconds * interval '1 second')
  where l.id = p_lease_id and l.expires_at > tintype.clock()
$$;

-- Remembers for a week that a worker reported an outcome of a job, and that the job may have files
-- that are nobody's when it has ended.
create or replace function tintype.note_callback(p_job_id uuid, p_worker_id uuid) returns void
language sql security definer
set search_path = ''
as $$
  insert into tintype.callbacks as c (job_id, worker_id, reported_at)
  values (p_job_id, p_worker_id, tintype.clock())
  on conflict (job_id, worker_id) do update
  set reported_at = excluded.reported_at;
  insert into tintype.leftovers (job_id, user_id, ended_at)
  select j.id, j.user_id, tintype.clock()
  from public.jobs as j
  where j.id = p_job_id
  on conflict do nothing
$$;

-- Whether an object's name lies in a job's scope: its bucket, then the folder of its user, and in
-- the rest of the name the id of the job or of the picture or video that it fills.
create or replace function tintype.is_in_scope(p_job public.jobs, p_bucket text, p_name text)
returns boolean
language sql immutable
set search_path = ''
as $$
  select
    p_bucket = coalesce(p_job.payload ->> 'bucket', 'generations')
    and starts_with(p_name, p_job.user_id || '/')
    and p_name !~ '(^|/)\.\.?(/|$)'
    and (
      strpos(p_name, p_job.id::text) > 37
      or coalesce(strpos(p_name, p_job.image_id::text), 0) > 37
      or coalesce(strpos(p_name, p_job.video_id::text), 0) > 37
    )
$$;

-- The job that a worker holds and in whose scope an object's name lies; null when there is none,
-- or when the key is not the worker's any more. Looks only at the jobs that the name names.
create or replace function tintype.job_written_to(
  p_worker_id uuid, p_key_id uuid, p_bucket text, p_name text
) returns uuid
language plpgsql stable security definer
set search_path = ''
as $$
declare
  v_holders text[];
  v_ids constant uuid[] := array(
    select m[1]::uuid
    from regexp_matches(p_name, '[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}', 'g') as m
  );
begin
  select 'worker:' || w.id || array(select 'carrier:' || q.name from unnest(w.queues) as q (name))
  into v_holders
  from tintype.workers as w
  where w.id = p_worker_id and w.key_id = p_key_id and w.revoked_at is null;
  return (
    select j.id
    from public.jobs as j
    cross join lateral tintype.held_by(v_holders, j.id)
    where
      j.id in (
        select unnest(v_ids)
        union
        select g.job_id from public.generations as g where g.id = any(v_ids)
      )
      and tintype.is_in_scope(j, p_bucket, p_name)
    limit 1
  );
end
$$;

-- Whether the worker whose key this session speaks for may write an object: the name lies in the
-- folder of the user of a job that it holds and names that job, or the picture or video it fills.
create or replace function tintype.worker_may_write(p_bucket text, p_name text) returns boolean
language sql stable security definer
set search_path = ''
as $$
  select tintype.job_written_to(
    (auth.jwt() ->> 'worker')::uuid, (auth.jwt() ->> 'key_id')::uuid, p_bucket, p_name
  ) is not null
$$;

-- The same with the job locked, in the transaction that records the object: its bytes may have
-- come for minutes, and what was delivered meanwhile must not change. Locks the job before the
-- object, as delivery does, so that neither misses the other.
create or replace function tintype.confirm_write(
  p_worker_id uuid, p_key_id uuid, p_bucket text, p_name text
) returns boolean
language plpgsql security definer
set search_path = ''
as $$
begin
  perform from public.jobs as j
  where j.id = tintype.job_written_to(p_worker_id, p_key_id, p_bucket, p_name)
  for share;
  return
    tintype.job_written_to(p_worker_id, p_key_id, p_bucket, p_name) is not null
    and not exists (
      select from storage.objects as o
      where
        o.bucket_id = p_bucket
        and o.name = p_name
        and coalesce(o.owner_id, '') not like 'worker:%'
    );
end
$$;

-- Whether a file that a worker was granted may still be kept: its job is there, going on or ended.
-- What an erased job brings late would be found by nobody. Locks the job until the commit.
create or replace function tintype.confirm_grant(p_bucket text, p_name text) returns boolean
language plpgsql security definer
set search_path = ''
as $$
begin
  perform from public.jobs as j
  where
    j.id = substring(
      p_name from '^[^/]+/([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})/'
    )::uuid
    and tintype.is_in_scope(j, p_bucket, p_name)
  for share;
  return found;
end
$$;
