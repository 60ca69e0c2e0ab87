-- Workers that are not this server's own: who they are, what they reported, and the rows of
-- pictures and videos that stand before there is anything to see.
do $$
begin
  if not exists (select from pg_roles where rolname = 'tintype_worker') then
    create role tintype_worker nologin noinherit;
  end if;
exception when duplicate_object or unique_violation then
  null; -- another database of the same cluster is being migrated at this moment
end
$$;

-- A worker holds one key (a token that names `id` and `key_id`) and one token for its lanes, of
-- which only the hash is kept.
create table tintype.workers (
  id uuid primary key,
  name text not null,
  queues text[] not null,
  key_id uuid not null,
  lane_token_hash bytea not null unique,
  created_at timestamptz not null default now(),
  seen_at timestamptz,
  revoked_at timestamptz,
  constraint name_is_plain check (name ~ '^[a-z0-9][a-z0-9_-]{0,62}$'),
  constraint queues_are_named check (cardinality(queues) between 1 and 16)
);

-- A name is free again when its worker was revoked.
create unique index workers_by_name on tintype.workers (name) where revoked_at is null;

-- Who reported an outcome of which job, so that the same again is told from a stranger's. What
-- became of the job is in its own row.
create table tintype.callbacks (
  job_id uuid not null,
  worker_id uuid not null,
  reported_at timestamptz not null,
  primary key (job_id, worker_id)
);

-- Serves prune.
create index callbacks_by_age on tintype.callbacks (reported_at);
-- Serves the question which job a worker has.
create index leases_by_worker on tintype.leases (worker);

-- The row of images or videos that a job fills, and whether the job has rows that follow it.
alter table public.jobs
add column image_id uuid,
add column video_id uuid,
add column has_assets boolean not null default false;

-- pending      its owner, before there is a job
-- generating   enqueue
-- completed    deliver
-- failed       the end of the job without this output
alter table public.generations
alter column job_id drop not null,
alter column position drop not null,
alter column bucket drop not null,
alter column path drop not null,
alter column url drop not null,
add column error_message text,
add constraint status_is_known
check (status in ('pending', 'generating', 'completed', 'failed')),
add constraint completed_is_whole check (
  status <> 'completed'
  or (
    job_id is not null and position is not null
    and bucket is not null and path is not null and url is not null
  )
),
add constraint generating_has_a_job check (
  status <> 'generating' or (job_id is not null and position is not null)
),
add constraint pending_is_small check (
  status <> 'pending' or (length(prompt) <= 5000 and pg_column_size(metadata) <= 16384)
);

-- Serves the end of a job, which fails the rows that it did not fill.
create index generations_awaited on public.generations (job_id) where status = 'generating';

-- One private bucket for each type of job, with what its files may be.
insert into storage.buckets (id, name, public, file_size_limit, allowed_mime_types)
select t.name as id, t.name, false, t.megabytes * 1048576, t.media_types
from (
  values
  ('sdxl_image_fast', 10, array['image/png', 'image/jpeg', 'image/webp']),
  ('sdxl_image_high', 10, array['image/png', 'image/jpeg', 'image/webp']),
  ('image_fast', 5, array['image/png', 'image/jpeg', 'image/webp']),
  ('image_high', 10, array['image/png', 'image/jpeg', 'image/webp']),
  ('video_fast', 100, array['video/mp4']),
  ('video_high', 200, array['video/mp4']),
  ('image7b_fast_enhanced', 10, array['image/png', 'image/jpeg', 'image/webp']),
  ('image7b_high_enhanced', 10, array['image/png', 'image/jpeg', 'image/webp']),
  ('video7b_fast_enhanced', 100, array['video/mp4']),
  ('video7b_high_enhanced', 200, array['video/mp4'])
) as t (name, megabytes, media_types)
on conflict (id) do nothing;
