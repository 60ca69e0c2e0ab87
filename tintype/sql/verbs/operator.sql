-- What an operator's console asks for that nobody else may: of the people, and of a job's turn.

-- Lets a job that waits for its time run now. Locks the job, then its place. TT404 for a job that
-- is unknown, TT409 for one that does not wait for a time.
create or replace function tintype.hasten(p_job_id uuid) returns void
language plpgsql security definer
set search_path = ''
as $$
declare
  v_now constant timestamptz := tintype.clock();
  v_job public.jobs;
begin
  select * into v_job from public.jobs as j where j.id = p_job_id for update;
  if not found then
    raise exception using errcode = 'TT404', message = 'There is no such job.';
  end if;
  update tintype.delayed as d
  set run_at = v_now
  where
    v_job.status = 'queued'
    and d.queue = v_job.queue
    and d.run_at = v_job.next_run_at
    and d.job_id = v_job.id
    and d.attempt = v_job.attempt
    and d.run_at > v_now;
  if not found then
    raise exception using
      errcode = 'TT409', message = 'The job does not wait for a time.', detail = v_job.status;
  end if;
  update public.jobs as j
  set next_run_at = v_now, seq = nextval('tintype.change_seq')
  where j.id = v_job.id;
  perform pg_catalog.pg_notify('tintype_jobs', 'ready');
end
$$;

-- A page of those who have signed up or have credits, newest first: all, or those whose address
-- holds `p_search` in any case, or the one with an id.
create or replace function tintype.search_users(
  p_search text, p_user_id uuid, p_limit integer, p_offset integer
)
returns table (
  id uuid, email text, created_at timestamptz, last_sign_in_at timestamptz, is_anonymous boolean
)
language sql stable security definer
set search_path = ''
as $$
  select p.id, p.email, p.created_at, p.last_sign_in_at, p.is_anonymous
  from (
    select u.id, u.email::text as email, u.created_at, u.last_sign_in_at, u.is_anonymous
    from auth.users as u
    where
      u.deleted_at is null
      and (p_user_id is null or u.id = p_user_id)
      and (p_search is null or strpos(lower(u.email), lower(p_search)) > 0)
    union all
    -- Another issuer's users have credits here and no row, those who were removed an account.
    select a.user_id, null, a.created_at, null, false
    from public.credit_accounts as a
    where
      p_search is null
      and (p_user_id is null or a.user_id = p_user_id)
      and not exists (
        select from auth.users as u where u.id = a.user_id and u.deleted_at is null
      )
  ) as p
  order by p.created_at desc, p.id desc
  limit p_limit offset p_offset
$$;

-- The addresses of users, of those that have one.
create or replace function tintype.emails_of(p_user_ids uuid[])
returns table (user_id uuid, email text)
language sql stable security definer
set search_path = ''
as $$
  select u.id, u.email::text
  from auth.users as u
  where u.id = any(p_user_ids) and u.email is not null
$$;
