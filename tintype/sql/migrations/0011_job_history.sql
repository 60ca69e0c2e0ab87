-- What happened to jobs that did not go the plain way, and what functions said of themselves.

-- retried    fail: back to its queue
-- rescued    rescue: back to its queue, its worker was lost
-- forwarded  handed on to another queue
-- started    report, the first of an attempt after the first
-- failed     fail, rescue, expire
-- canceled   cancel
create table tintype.job_history (
  job_id uuid not null references public.jobs (id) on delete cascade,
  number integer not null,
  at timestamptz not null,
  attempt integer not null,
  kind text not null,
  code text,
  message text,
  worker text,
  primary key (job_id, number),
  constraint kind_is_known
  check (kind in ('retried', 'rescued', 'forwarded', 'started', 'failed', 'canceled'))
);

create table tintype.function_logs (
  id bigint generated always as identity primary key,
  at timestamptz not null,
  function text not null,
  request_id text not null,
  level text not null,
  message text not null,
  status smallint,
  seconds double precision,
  constraint level_is_known check (level in ('info', 'warning', 'error'))
);
