-- What apps read of jobs and outputs, and what the kernel keeps for itself.

-- Every change of a job or an output takes the next number, so that a client that was away can
-- ask for all that is newer than the last one it saw.
create sequence tintype.change_seq;

create table public.projects (
  id uuid primary key default gen_random_uuid(),
  user_id uuid not null,
  name text not null default 'Untitled',
  canvas_state jsonb not null default '{}',
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now(),
  constraint canvas_state_is_small check (pg_column_size(canvas_state) <= 4194304)
);

-- Serves the owner's list of projects.
create index projects_by_user on public.projects (user_id, updated_at desc);

create table public.templates (
  id uuid primary key default gen_random_uuid(),
  user_id uuid,
  name text not null,
  prompt text not null default '',
  settings jsonb not null default '{}',
  is_public boolean not null default false,
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now()
);

-- Serves the owner's list of templates.
create index templates_by_user on public.templates (user_id);

-- Columns that never change come first; the fill factor leaves room to rewrite a row in place.
create table public.jobs (
  id uuid primary key,
  user_id uuid not null,
  project_id uuid,
  template_id uuid,
  created_at timestamptz not null,
  expires_at timestamptz not null,
  job_type text not null default 'image',
  queue text not null default 'images',
  priority smallint not null default 0,
  quantity smallint not null default 1,
  max_retries smallint not null default 3,
  prompt text,
  payload jsonb not null default '{}',
  metadata jsonb not null default '{}',
  -- queued       enqueue; or again from processing, by fail and rescue
  -- processing   report, the first of an attempt
  -- completed    complete; or fail and rescue, out of attempts but with an output
  -- failed       fail, rescue
  -- canceled     cancel
  status text not null default 'queued',
  progress smallint not null default 0,
  retries smallint not null default 0,
  attempt integer not null default 1,
  seq bigint not null default nextval('tintype.change_seq'),
  next_run_at timestamptz,
  started_at timestamptz,
  completed_at timestamptz,
  result_count integer not null default 0,
  result_urls text[] not null default '{}',
  error_code text,
  error_message text,
  constraint status_is_known
  check (status in ('queued', 'processing', 'completed', 'failed', 'canceled')),
  constraint completed_at_means_ended
  check ((completed_at is not null) = (status in ('completed', 'failed', 'canceled'))),
  constraint progress_is_a_percentage check (progress between 0 and 100),
  constraint quantity_is_positive check (quantity > 0),
  constraint results_within_quantity check (result_count between 0 and quantity),
  constraint retries_within_limit check (retries between 0 and max_retries)
) with (fillfactor = 60);

-- Serves the owner's list of jobs and the repair of a gap by seq within it.
create index jobs_by_user on public.jobs (user_id, created_at desc);
-- Serves the editor, which reads by project.
create index jobs_by_project on public.jobs (project_id, created_at desc)
where project_id is not null;

create table public.generations (
  id uuid primary key default gen_random_uuid(),
  user_id uuid not null,
  job_id uuid not null references public.jobs (id) on delete cascade,
  project_id uuid,
  batch_id uuid,
  media_type text not null default 'image',
  status text not null default 'completed',
  position smallint not null,
  bucket text not null,
  path text not null,
  url text not null,
  thumbnail_url text,
  prompt text,
  enhanced_prompt text,
  width integer,
  height integer,
  seed bigint,
  provider text,
  model text,
  metadata jsonb not null default '{}',
  seq bigint not null default nextval('tintype.change_seq'),
  created_at timestamptz not null default now(),
  constraint media_type_is_known check (media_type in ('image', 'video')),
  constraint one_output_per_position unique (job_id, position)
);

-- Serves the gallery.
create index generations_by_user on public.generations (user_id, created_at desc);
-- Serves the project's pictures.
create index generations_by_project on public.generations (project_id, created_at desc)
where project_id is not null;

-- One row per queue and rank. `virtual_time` is the share number of the job claimed last: a user
-- who comes back from a pause starts there and not at the head of everybody.
create table tintype.queues (
  name text not null,
  rank smallint not null,
  virtual_time bigint not null default 0,
  primary key (name, rank)
);

-- How many jobs each user has put on a queue, at a rank, in the current busy period.
create table tintype.shares (
  queue text not null,
  rank smallint not null,
  user_id uuid not null,
  last_share bigint not null,
  primary key (queue, rank, user_id)
) with (fillfactor = 50);

-- The jobs a worker may take now, in the order in which to take them: rank is the priority
-- negated, share makes users take turns, and ids grow with time.
create table tintype.ready (
  queue text not null,
  rank smallint not null,
  share bigint not null,
  job_id uuid not null,
  attempt integer not null,
  primary key (queue, rank, share, job_id)
) with (
  autovacuum_vacuum_scale_factor = 0,
  autovacuum_vacuum_threshold = 5000,
  autovacuum_vacuum_insert_threshold = -1,
  autovacuum_vacuum_cost_delay = 0
);

-- The jobs that wait for a time: retries, provider quotas.
create table tintype.delayed (
  queue text not null,
  run_at timestamptz not null,
  job_id uuid not null,
  attempt integer not null,
  rank smallint not null,
  primary key (queue, run_at, job_id)
);

-- One row for the jobs that one claim took. Small: as many rows as there are batches in flight.
create table tintype.leases (
  id uuid primary key,
  worker text not null,
  expires_at timestamptz not null,
  job_ids uuid[] not null,
  attempts integer[] not null
) with (fillfactor = 50, autovacuum_vacuum_cost_delay = 0);

-- Ended jobs that may have left bytes without a row: an attempt was broken off. Swept later.
create table tintype.leftovers (
  job_id uuid primary key,
  user_id uuid not null,
  ended_at timestamptz not null
);

-- A provider that must not be called before a time, known to every worker.
create table tintype.provider_pauses (
  provider text not null,
  model text not null,
  cause text not null,
  detail text not null,
  paused_until timestamptz not null,
  primary key (provider, model)
);

-- The answers to requests that carried an Idempotency-Key.
create table tintype.answers (
  user_id uuid not null,
  route text not null,
  key text not null,
  fingerprint text not null,
  answer jsonb not null,
  expires_at timestamptz not null,
  primary key (user_id, route, key)
);

-- Serves prune.
create index answers_by_expiry on tintype.answers (expires_at);
