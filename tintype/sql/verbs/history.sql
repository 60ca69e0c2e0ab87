-- What is remembered beside the rows themselves: how a job came to its end, what functions said.

-- Notes one step of a job that did not go the plain way. The trigger's condition leaves out every
-- step of a job that succeeds at its first attempt, so that it pays nothing. A job has at most 100
-- such rows, and one for its end. The job is locked by whoever changes it.
create or replace function tintype.note_history() returns trigger
language plpgsql security definer
set search_path = ''
as $$
declare
  v_number constant integer := (
    select coalesce(max(h.number), 0) + 1 from tintype.job_history as h where h.job_id = new.id
  );
  v_kind constant text := case
    when new.status in ('failed', 'canceled') then new.status
    when new.queue <> old.queue then 'forwarded'
    when new.attempt = old.attempt then 'started'
    when new.error_code = 'worker_lost' then 'rescued'
    else 'retried'
  end;
  v_worker text;
begin
  if v_number > 100 and v_kind not in ('failed', 'canceled') then
    return null;
  end if;
  -- Rescue ends whole leases: it names their worker itself, once for all of their jobs.
  if coalesce(new.error_code, '') not in ('worker_lost', 'expired') then
    select l.worker into v_worker
    from tintype.leases as l
    cross join unnest(l.job_ids, l.attempts) as h (job_id, attempt)
    where old.id = any(l.job_ids) and h.job_id = old.id and h.attempt = old.attempt
    limit 1;
  end if;
  insert into tintype.job_history (job_id, number, at, attempt, kind, code, message, worker)
  values (
    new.id, v_number, tintype.clock(), old.attempt, v_kind,
    case when v_kind not in ('started', 'forwarded') then new.error_code end,
    case when v_kind not in ('started', 'forwarded') then left(new.error_message, 1000) end,
    v_worker
  );
  return null;
end
$$;

create or replace trigger note_history
after update on public.jobs
for each row
when (
  new.attempt <> old.attempt
  or (
    new.status <> old.status
    and (
      new.status in ('failed', 'canceled')
      or (new.status = 'processing' and new.attempt > 1)
    )
  )
)
execute function tintype.note_history();

-- Says whose the jobs were that rescue has just taken from under the leases.
create or replace function tintype.name_lost_worker(p_lease_ids uuid[]) returns void
language sql security definer
set search_path = ''
as $$
  update tintype.job_history as h
  set worker = l.worker
  from tintype.leases as l
  cross join unnest(l.job_ids, l.attempts) as u (job_id, attempt)
  where
    l.id = any(p_lease_ids)
    and h.job_id = u.job_id
    and h.attempt = u.attempt
    and h.worker is null
    and h.kind in ('rescued', 'failed')
$$;

-- Adds what functions said, `[{at, function, request_id, level, message, status, seconds}]`.
create or replace function tintype.add_logs(p_lines json) returns void
language sql security definer
set search_path = ''
as $$
  insert into tintype.function_logs (at, function, request_id, level, message, status, seconds)
  select l.at, l.function, l.request_id, l.level, l.message, l.status, l.seconds
  from pg_catalog.json_to_recordset(p_lines) as l (
    at timestamptz, function text, request_id text, level text, message text, status smallint,
    seconds double precision
  )
$$;

-- Forgets the history of jobs that were made 30 days ago (ids grow with time), and of what
-- functions said all that is older than 7 days or has 100,000 newer lines; up to `p_limit` rows of
-- each.
-- Returns how many rows went.
create or replace function tintype.prune_history(p_limit integer) returns integer
language plpgsql security definer
set search_path = ''
as $$
declare
  v_now constant timestamptz := tintype.clock();
  v_bound constant uuid := tintype.first_id(v_now - interval '30 days');
  v_rows integer;
  v_total integer := 0;
begin
  delete from tintype.job_history as h
  where (h.job_id, h.number) in (
    select o.job_id, o.number from tintype.job_history as o
    where o.job_id < v_bound
    order by o.job_id
    limit p_limit
    for update skip locked
  );
  get diagnostics v_rows = row_count;
  v_total := v_total + v_rows;
  delete from tintype.function_logs as l
  where l.id in (
    select o.id
    from (
      select f.id, f.at from tintype.function_logs as f order by f.id limit p_limit
    ) as o
    where
      o.at < v_now - interval '7 days'
      or o.id <= (select max(f.id) from tintype.function_logs as f) - 100000
  );
  get diagnostics v_rows = row_count;
  return v_total + v_rows;
end
$$;
