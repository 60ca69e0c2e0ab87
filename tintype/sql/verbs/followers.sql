-- Batches, models and identities: the rows that follow a job, what a training tells, and removal.
-- A job with such a row has `has_assets`. Locks are taken on the job first, then on its row; a
-- removal holds no row while it asks for a job.

-- Ties the new jobs' rows to them, as begin_batches and begin_trainings do. Null for no jobs.
create or replace function tintype.begin_followers(p_jobs json) returns void
language plpgsql security definer
set search_path = ''
as $$
begin
  if p_jobs is not null then
    perform tintype.begin_batches(p_jobs);
    perform tintype.begin_trainings(p_jobs);
  end if;
end
$$;

-- Makes the new batches of jobs, or takes over the own ones that they name. Screened before.
create or replace function tintype.begin_batches(p_jobs json) returns void
language sql security definer
set search_path = ''
as $$
  insert into public.batches as b (
    id, user_id, project_id, model_id, identity_id, prompt, aspect_ratio, reference_image_urls,
    total_images, created_at, status, job_id, credits_held
  )
  select
    n.batch_id, n.user_id, n.project_id, n.model_id, n.identity_id, n.prompt,
    n.payload ->> 'aspect_ratio',
    array(select jsonb_array_elements_text(n.payload -> 'reference_urls')),
    n.quantity, tintype.clock(), 'processing', n.job_id,
    (
      select e.amount from public.credit_entries as e where e.hold_id = n.job_id and e.part = 0
    )
  from pg_catalog.json_to_recordset(p_jobs) as n (
    job_id uuid, user_id uuid, project_id uuid, model_id bigint, identity_id uuid, batch_id bigint,
    prompt text, quantity smallint, payload jsonb
  )
  where n.batch_id is not null
  on conflict (id) do update
  set
    project_id = coalesce(excluded.project_id, b.project_id),
    model_id = coalesce(excluded.model_id, b.model_id),
    identity_id = coalesce(excluded.identity_id, b.identity_id),
    prompt = excluded.prompt,
    aspect_ratio = coalesce(excluded.aspect_ratio, b.aspect_ratio),
    reference_image_urls = excluded.reference_image_urls,
    total_images = excluded.total_images,
    status = 'processing',
    job_id = excluded.job_id,
    progress = 0,
    completed_images = 0,
    failed_images = 0,
    credits_held = excluded.credits_held,
    credits_used = 0,
    error_code = null,
    error_message = null,
    started_at = null,
    completed_at = null,
    seq = nextval('tintype.change_seq');
$$;

-- Shows the models that jobs train as such, makes the identities, and calls off what was planned to
-- be removed with these. Screened before.
create or replace function tintype.begin_trainings(p_jobs json) returns void
language sql security definer
set search_path = ''
as $$
  update public.models as m
  set
    status = 'training',
    job_id = n.job_id,
    base_model = n.payload -> 'training' ->> 'base',
    trigger_word = n.payload -> 'training' ->> 'trigger_word',
    training_config = n.payload -> 'training',
    steps_total = (n.payload -> 'training' ->> 'steps')::integer,
    step = 0,
    progress = 0,
    loss = null,
    error_code = null,
    error_message = null,
    updated_at = tintype.clock(),
    seq = nextval('tintype.change_seq')
  from pg_catalog.json_to_recordset(p_jobs) as n (
    job_id uuid, job_type text, model_id bigint, payload jsonb
  )
  where n.job_type = 'train_model' and m.id = n.model_id;

  insert into public.trained_identities (
    id, user_id, identity_name, model_id, repository, huggingface_repo_url, base_model,
    trigger_word, num_training_images, consent, created_at, updated_at, job_id, steps_total,
    training_config, findings, image_paths, thumbnail_url
  )
  select
    n.identity_id, n.user_id, i.identity_name, i.model_id, i.repository, i.huggingface_repo_url,
    n.payload -> 'training' ->> 'base', n.payload -> 'training' ->> 'trigger_word',
    cardinality(i.image_paths), i.consent, tintype.clock(), tintype.clock(), n.job_id,
    (n.payload -> 'training' ->> 'steps')::integer, i.training_config, i.findings, i.image_paths,
    i.thumbnail_url
  from pg_catalog.json_to_recordset(p_jobs) as n (
    job_id uuid, job_type text, user_id uuid, identity_id uuid, payload jsonb
  )
  cross join lateral jsonb_to_record(n.payload -> 'identity') as i (
    identity_name text, model_id text, repository text, huggingface_repo_url text, consent jsonb,
    training_config jsonb, findings jsonb, image_paths text[], thumbnail_url text
  )
  where n.job_type = 'train_identity'
  -- Trained once more, by an operator.
  on conflict (id) do update
  set
    status = 'training',
    job_id = excluded.job_id,
    progress = 0,
    step = 0,
    loss = null,
    error_code = null,
    error_message = null,
    updated_at = tintype.clock(),
    seq = nextval('tintype.change_seq')
  where trained_identities.user_id = excluded.user_id;

  delete from tintype.removals as r
  where r.id in (
    select n.identity_id
    from pg_catalog.json_to_recordset(p_jobs) as n (job_type text, identity_id uuid)
    where n.job_type = 'train_identity'
  );
$$;

-- Lets the row that follows a job show what has become of the job. A repository that was begun for
-- a training that never began is left to the remover.
create or replace function tintype.follow_job() returns trigger
language plpgsql security definer
set search_path = ''
as $$
declare
  v_ended constant boolean := new.status in ('completed', 'failed', 'canceled');
begin
  if new.batch_id is not null then
    update public.batches as b
    set
      status = case
        when not v_ended then 'processing'
        when new.status = 'completed' then 'completed'
        else 'failed'
      end,
      progress = new.progress,
      completed_images = new.result_count,
      failed_images = case when v_ended then new.quantity - new.result_count else 0 end,
      credits_used = case
        when v_ended then b.credits_held / new.quantity * new.result_count else 0
      end,
      error_code = new.error_code,
      error_message = new.error_message,
      started_at = new.started_at,
      completed_at = new.completed_at,
      seq = nextval('tintype.change_seq')
    where b.id = new.batch_id and b.job_id = new.id;
  elsif new.job_type = 'train_model' then
    update public.models as m
    set
      status = case
        when not v_ended then 'training'
        when new.result_count > 0 and m.adapter_path is not null then 'ready'
        else 'failed'
      end,
      progress = new.progress,
      error_code = new.error_code,
      error_message = new.error_message,
      trained_at = case when new.result_count > 0 then new.completed_at else m.trained_at end,
      updated_at = tintype.clock(),
      seq = nextval('tintype.change_seq')
    where m.job_id = new.id;
  elsif new.job_type = 'train_identity' then
    update public.trained_identities as i
    set
      status = case
        when not v_ended then 'training'
        when new.result_count > 0 and i.adapter_path is not null then 'ready'
        else 'failed'
      end,
      progress = new.progress,
      error_code = new.error_code,
      error_message = new.error_message,
      trained_at = case when new.result_count > 0 then new.completed_at else i.trained_at end,
      updated_at = tintype.clock(),
      seq = nextval('tintype.change_seq')
    where i.job_id = new.id;
    if new.status in ('failed', 'canceled') and new.payload ->> 'stage' = 'prepare' then
      -- What was being published may be there, or come for as long as its publisher hears of this.
      insert into tintype.removals (id, user_id, kind, repository, not_before, created_at)
      select
        gen_random_uuid(), i.user_id, 'identity', i.repository,
        tintype.clock() + interval '1 minute', tintype.clock()
      from public.trained_identities as i
      where i.job_id = new.id and i.repository is not null;
    end if;
  end if;
  if v_ended and new.job_type in ('train_model', 'train_identity') then
    delete from tintype.checkpoints as c where c.job_id = new.id;
    delete from tintype.training_files as f where f.job_id = new.id;
  end if;
  return null;
end
$$;

create or replace trigger follow_job
after update on public.jobs
for each row
when (
  new.has_assets
  and (new.status, new.progress, new.result_count, new.error_code, new.attempt)
  is distinct from (old.status, old.progress, old.result_count, old.error_code, old.attempt)
)
execute function tintype.follow_job();

-- Moves a job that this attempt holds on to another queue, for other hands: the same job and the
-- same hold, with a new attempt number and its retries anew. `p_payload` is merged into its own.
-- Users take turns there as with new jobs. Returns false, and changes nothing, when the attempt
-- holds it no longer. Locks the job, then the user's share.
create or replace function tintype.forward(
  p_job_id uuid, p_attempt integer, p_queue text, p_payload jsonb
) returns boolean
language plpgsql security definer
set search_path = ''
as $$
declare
  v_job public.jobs;
  v_share bigint;
begin
  update public.jobs as j
  set
    status = 'queued',
    queue = p_queue,
    attempt = j.attempt + 1,
    retries = 0,
    payload = j.payload || coalesce(p_payload, '{}'),
    next_run_at = null,
    error_code = null,
    error_message = null,
    seq = nextval('tintype.change_seq')
  where j.id = p_job_id and j.attempt = p_attempt and j.status in ('queued', 'processing')
  returning * into v_job;
  if not found then
    return false;
  end if;
  insert into tintype.queues (name, rank) values (p_queue, -v_job.priority) on conflict do nothing;
  insert into tintype.shares as s (queue, rank, user_id, last_share)
  select q.name, q.rank, v_job.user_id, q.virtual_time + 1
  from tintype.queues as q
  where q.name = p_queue and q.rank = -v_job.priority
  on conflict (queue, rank, user_id) do update
  set last_share = greatest(excluded.last_share, s.last_share + 1)
  returning s.last_share into v_share;
  insert into tintype.ready (queue, rank, share, job_id, attempt)
  values (p_queue, -v_job.priority, v_share, v_job.id, v_job.attempt)
  on conflict (queue, rank, share, job_id) do update set attempt = excluded.attempt;
  perform pg_catalog.pg_notify('tintype_jobs', 'ready');
  return true;
end
$$;

-- Counts a file that a worker may upload for a training job beside its output. False, and nothing
-- counted, when it has `p_limit` of them already.
create or replace function tintype.grant_file(p_job_id uuid, p_limit integer) returns boolean
language plpgsql security definer
set search_path = ''
as $$
begin
  insert into tintype.training_files as f (job_id, granted)
  values (p_job_id, 1)
  on conflict (job_id) do update set granted = f.granted + 1 where f.granted < p_limit;
  return found;
end
$$;

-- Keeps where a training that the caller has locked can go on: `{bucket, path, step}`. Returns the
-- checkpoint that is needed no more, as `{bucket, path}`, or null: the one before, or this one when
-- its attempt has told a later one.
create or replace function tintype.keep_checkpoint(
  p_job_id uuid, p_attempt integer, p_step integer, p_checkpoint jsonb
) returns jsonb
language plpgsql security definer
set search_path = ''
as $$
declare
  v_old jsonb;
begin
  select jsonb_build_object('bucket', c.bucket, 'path', c.path) into v_old
  from tintype.checkpoints as c
  where c.job_id = p_job_id and c.path <> p_checkpoint ->> 'path';
  insert into tintype.checkpoints as c (job_id, bucket, path, step, attempt)
  values (
    p_job_id, p_checkpoint ->> 'bucket', p_checkpoint ->> 'path',
    coalesce((p_checkpoint ->> 'step')::integer, p_step), p_attempt
  )
  on conflict (job_id) do update
  set
    bucket = excluded.bucket,
    path = excluded.path,
    step = excluded.step,
    attempt = excluded.attempt
  where c.attempt < excluded.attempt or c.step <= excluded.step;
  return case when found then v_old else p_checkpoint - 'step' end;
end
$$;

-- Notes how far a training is: `{step, steps, loss, learning_rate, sample_url, checkpoint}`, the
-- last as `{bucket, path, step}`. What is told late, of an earlier step, shows in the course alone.
-- Returns what keep_checkpoint does. A job has at most 5000 rows of its course. TT409 when this
-- attempt holds the job no longer. Locks the job.
create or replace function tintype.report_training(
  p_job_id uuid, p_attempt integer, p_report jsonb
) returns jsonb
language plpgsql security definer
set search_path = ''
as $$
declare
  v_job public.jobs;
  v_step constant integer := (p_report ->> 'step')::integer;
begin
  select * into v_job
  from public.jobs as j
  where j.id = p_job_id and j.attempt = p_attempt and j.status in ('queued', 'processing')
  for no key update;
  if not found then
    raise exception using errcode = 'TT409', message = 'The job is no longer held.';
  end if;
  -- A training that goes on from a checkpoint tells some steps again.
  insert into public.training_steps as t (
    job_id, step, user_id, steps_total, loss, learning_rate, sample_url, created_at
  )
  select
    v_job.id, v_step, v_job.user_id, r.steps, r.loss, r.learning_rate, r.sample_url, tintype.clock()
  from jsonb_to_record(p_report) as r (
    steps integer, loss real, learning_rate real, sample_url text
  )
  where (select count(*) from public.training_steps as c where c.job_id = v_job.id) < 5000
  on conflict (job_id, step) do update
  set
    loss = coalesce(excluded.loss, t.loss),
    learning_rate = coalesce(excluded.learning_rate, t.learning_rate),
    sample_url = coalesce(excluded.sample_url, t.sample_url),
    seq = excluded.seq;
  update public.models as m
  set
    step = greatest(m.step, v_step),
    steps_total = coalesce((p_report ->> 'steps')::integer, m.steps_total),
    loss = case
      when v_step >= m.step then coalesce((p_report ->> 'loss')::real, m.loss) else m.loss
    end,
    sample_urls = case
      when p_report ->> 'sample_url' is null then m.sample_urls
      else array_remove(m.sample_urls, p_report ->> 'sample_url') || (p_report ->> 'sample_url')
    end,
    updated_at = tintype.clock(),
    seq = nextval('tintype.change_seq')
  where m.job_id = v_job.id;
  update public.trained_identities as i
  set
    step = greatest(i.step, v_step),
    steps_total = coalesce((p_report ->> 'steps')::integer, i.steps_total),
    loss = case
      when v_step >= i.step then coalesce((p_report ->> 'loss')::real, i.loss) else i.loss
    end,
    sample_urls = case
      when p_report ->> 'sample_url' is null then i.sample_urls
      else array_remove(i.sample_urls, p_report ->> 'sample_url') || (p_report ->> 'sample_url')
    end,
    updated_at = tintype.clock(),
    seq = nextval('tintype.change_seq')
  where i.job_id = v_job.id;
  if p_report -> 'checkpoint' ->> 'path' is null then
    return null;
  end if;
  return tintype.keep_checkpoint(v_job.id, p_attempt, v_step, p_report -> 'checkpoint');
end
$$;

-- Records the adapter that a training job made: `{bucket, path, bytes, sha256, sample_url, step,
-- loss}`, in the model or identity that follows the job. The training is over: its checkpoint is
-- forgotten, and returned as `{bucket, path}`. TT409 when this attempt holds the job no longer.
-- Locks the job.
create or replace function tintype.record_adapter(
  p_job_id uuid, p_attempt integer, p_adapter jsonb
) returns jsonb
language plpgsql security definer
set search_path = ''
as $$
declare
  v_checkpoint jsonb;
begin
  perform from public.jobs as j
  where j.id = p_job_id and j.attempt = p_attempt and j.status in ('queued', 'processing')
  for no key update;
  if not found then
    raise exception using errcode = 'TT409', message = 'The job is no longer held.';
  end if;
  update public.models as m
  set
    adapter_bucket = a.bucket,
    adapter_path = a.path,
    adapter_bytes = a.bytes,
    adapter_sha256 = a.sha256,
    thumbnail_url = coalesce(a.sample_url, m.thumbnail_url),
    step = coalesce(a.step, m.step),
    loss = coalesce(a.loss, m.loss),
    updated_at = tintype.clock(),
    seq = nextval('tintype.change_seq')
  from jsonb_to_record(p_adapter) as a (
    bucket text, path text, bytes bigint, sha256 text, sample_url text, step integer, loss real
  )
  where m.job_id = p_job_id;
  update public.trained_identities as i
  set
    adapter_bucket = a.bucket,
    adapter_path = a.path,
    adapter_bytes = a.bytes,
    adapter_sha256 = a.sha256,
    thumbnail_url = coalesce(a.sample_url, i.thumbnail_url),
    step = coalesce(a.step, i.step),
    loss = coalesce(a.loss, i.loss),
    updated_at = tintype.clock(),
    seq = nextval('tintype.change_seq')
  from jsonb_to_record(p_adapter) as a (
    bucket text, path text, bytes bigint, sha256 text, sample_url text, step integer, loss real
  )
  where i.job_id = p_job_id;
  delete from tintype.checkpoints as c
  where c.job_id = p_job_id
  returning jsonb_build_object('bucket', c.bucket, 'path', c.path) into v_checkpoint;
  return v_checkpoint;
end
$$;

-- Notes where an identity was published: its repository with the owner, and the address. TT409 when
-- this attempt holds the job no longer. Locks the job.
create or replace function tintype.note_published(
  p_job_id uuid, p_attempt integer, p_repository text, p_url text
) returns void
language plpgsql security definer
set search_path = ''
as $$
begin
  perform from public.jobs as j
  where j.id = p_job_id and j.attempt = p_attempt and j.status in ('queued', 'processing')
  for no key update;
  if not found then
    raise exception using errcode = 'TT409', message = 'The job is no longer held.';
  end if;
  update public.trained_identities as i
  set
    repository = p_repository,
    huggingface_repo_url = p_url,
    updated_at = tintype.clock(),
    seq = nextval('tintype.change_seq')
  where
    i.job_id = p_job_id
    and (i.repository, i.huggingface_repo_url) is distinct from (p_repository, p_url);
end
$$;

-- Records the pictures that a model is trained on, and what was found in them. TT409 when this
-- attempt holds the job no longer. Locks the job.
create or replace function tintype.record_training_images(
  p_job_id uuid, p_attempt integer, p_paths text[], p_findings jsonb
) returns void
language plpgsql security definer
set search_path = ''
as $$
begin
  perform from public.jobs as j
  where j.id = p_job_id and j.attempt = p_attempt and j.status in ('queued', 'processing')
  for no key update;
  if not found then
    raise exception using errcode = 'TT409', message = 'The job is no longer held.';
  end if;
  update public.models as m
  set
    image_paths = p_paths,
    images_count = cardinality(p_paths),
    findings = p_findings,
    updated_at = tintype.clock(),
    seq = nextval('tintype.change_seq')
  where m.job_id = p_job_id;
end
$$;

-- Fails, up to `p_limit` of each, the batches and models that their owner began an hour ago and for
-- which no job ever came. Returns how many.
create or replace function tintype.end_unasked(p_limit integer) returns integer
language plpgsql security definer
set search_path = ''
as $$
declare
  v_now constant timestamptz := tintype.clock();
  v_batches integer;
  v_models integer;
begin
  update public.batches as b
  set
    status = 'failed',
    error_code = 'not_requested',
    error_message = 'No pictures were asked for.',
    completed_at = v_now,
    seq = nextval('tintype.change_seq')
  where b.id in (
    select o.id from public.batches as o
    where
      o.job_id is null
      and o.status in ('pending', 'processing')
      and o.created_at < v_now - interval '1 hour'
    order by o.created_at
    limit p_limit
    for update skip locked
  );
  get diagnostics v_batches = row_count;
  update public.models as m
  set
    status = 'failed',
    error_code = 'not_requested',
    error_message = 'No training was asked for.',
    updated_at = v_now,
    seq = nextval('tintype.change_seq')
  where m.id in (
    select o.id from public.models as o
    where
      o.job_id is null and o.status = 'training' and o.created_at < v_now - interval '1 hour'
    order by o.created_at
    limit p_limit
    for update skip locked
  );
  get diagnostics v_models = row_count;
  return v_batches + v_models;
end
$$;

-- Plans to remove what is about to be stored, unless it is accepted within `p_after_seconds`. A
-- removal of the same that is done begins anew.
create or replace function tintype.plan_removal(
  p_id uuid, p_user_id uuid, p_kind text, p_repository text, p_places jsonb,
  p_after_seconds integer
) returns void
language sql security definer
set search_path = ''
as $$
  insert into tintype.removals as r (
    id, user_id, kind, repository, places, not_before, created_at
  )
  values (
    p_id, p_user_id, p_kind, p_repository, p_places,
    tintype.clock() + p_after_seconds * interval '1 second', tintype.clock()
  )
  on conflict (id) do update
  set not_before = excluded.not_before, attempts = 0, done_at = null, proof = null
  where r.done_at is not null
$$;

-- The id of a model's removal, the same whenever it is asked for; an identity's is its own.
create or replace function tintype.removal_of_model(p_model_id bigint) returns uuid
language sql immutable
set search_path = ''
as $$
  select md5('public.models/' || p_model_id)::uuid
$$;

-- The id of the second removal of a user, for what came after the first.
create or replace function tintype.late_removal(p_user_id uuid) returns uuid
language sql immutable security definer
set search_path = ''
as $$
  select md5('late ' || p_user_id)::uuid
$$;

-- Leaves to the remover what a model or identity that is deleted has elsewhere, whoever deletes it.
create or replace function tintype.leave_to_remover() returns trigger
language plpgsql security definer
set search_path = ''
as $$
declare
  v_is_identity constant boolean := tg_table_name = 'trained_identities';
  v_row constant jsonb := to_jsonb(old);
  v_job_ids uuid[];
  v_places jsonb;
begin
  -- A model may have been trained more than once.
  v_job_ids := array(
    select old.job_id where old.job_id is not null
    union
    select j.id from public.jobs as j
    where
      j.job_type = 'train_model'
      and j.model_id = case when not v_is_identity then (v_row ->> 'id')::bigint end
  );
  v_places := to_jsonb(
    array(
      select
        jsonb_build_object('bucket', 'training', 'prefix', old.user_id || '/' || n.id || '/')
      from unnest(v_job_ids) as n (id)
    )
  );
  if v_is_identity then
    v_places := v_places || jsonb_build_object(
      'bucket', 'identities', 'prefix', old.user_id || '/' || (v_row ->> 'model_id') || '/'
    );
  end if;
  insert into tintype.removals as r (
    id, user_id, kind, repository, places, job_ids, not_before, created_at
  )
  values (
    case
      when v_is_identity then (v_row ->> 'id')::uuid
      else tintype.removal_of_model((v_row ->> 'id')::bigint)
    end,
    old.user_id,
    case when v_is_identity then 'identity' else 'model' end,
    v_row ->> 'repository',
    v_places,
    v_job_ids,
    tintype.clock(),
    tintype.clock()
  )
  on conflict (id) do update
  set
    repository = coalesce(excluded.repository, r.repository),
    places = excluded.places,
    job_ids = excluded.job_ids,
    not_before = excluded.not_before,
    done_at = null;
  perform pg_catalog.pg_notify('tintype_jobs', 'removal');
  return null;
end
$$;

create or replace trigger leave_to_remover
after delete on public.models
for each row execute function tintype.leave_to_remover();

create or replace trigger leave_to_remover
after delete on public.trained_identities
for each row execute function tintype.leave_to_remover();

-- Takes up to `p_limit` removals that are due, each for `p_seconds`: whoever takes one and dies
-- leaves it to the next after that time.
create or replace function tintype.claim_removals(p_limit integer, p_seconds integer)
returns setof tintype.removals
language sql security definer
rows 10
set search_path = ''
as $$
  update tintype.removals as r
  set
    not_before = tintype.clock() + p_seconds * interval '1 second',
    attempts = r.attempts + 1
  where r.id in (
    select o.id from tintype.removals as o
    where o.done_at is null and o.not_before <= tintype.clock()
    order by o.not_before
    limit p_limit
    for update skip locked
  )
  returning *
$$;

-- Keeps removals that were claimed for `p_seconds` more.
create or replace function tintype.hold_removals(p_ids uuid[], p_seconds integer) returns void
language sql security definer
set search_path = ''
as $$
  update tintype.removals as r
  set not_before = tintype.clock() + p_seconds * interval '1 second'
  where r.id = any(p_ids) and r.done_at is null
$$;

-- Notes that a removal is done, with the listing that proves it; or, with an error, that it goes on
-- after `p_delay_seconds`.
create or replace function tintype.end_removal(
  p_id uuid, p_proof jsonb, p_error text, p_delay_seconds integer
) returns void
language sql security definer
set search_path = ''
as $$
  update tintype.removals as r
  set
    proof = p_proof,
    last_error = p_error,
    done_at = case when p_error is null then tintype.clock() end,
    not_before = tintype.clock() + coalesce(p_delay_seconds, 0) * interval '1 second'
  where r.id = p_id
$$;

-- Deletes up to `p_limit` rows of each table that a removed job or user leaves: the outputs, the
-- course and the rows of the jobs given, and with a user given all that is the user's but the
-- ledger. A job that goes on stays. Returns how many rows went; 0 means that nothing is left.
create or replace function tintype.erase_rows(
  p_job_ids uuid[], p_user_id uuid, p_limit integer
) returns integer
language plpgsql security definer
set search_path = ''
as $$
declare
  v_rows integer;
  v_total integer := 0;
  v_table text;
begin
  foreach v_table in array array['generations', 'training_steps'] loop
    execute format(
      'delete from public.%1$I where ctid = any(array('
      'select ctid from public.%1$I where job_id = any($1) limit $2))', v_table
    ) using p_job_ids, p_limit;
    get diagnostics v_rows = row_count;
    v_total := v_total + v_rows;
  end loop;
  delete from public.jobs as j
  where j.id = any(p_job_ids) and j.status in ('completed', 'failed', 'canceled');
  get diagnostics v_rows = row_count;
  v_total := v_total + v_rows;
  if p_user_id is null then
    return v_total;
  end if;
  foreach v_table in array array[
    'trained_identities', 'models', 'batches', 'training_steps', 'generations', 'projects',
    'templates'
  ] loop
    execute format(
      'delete from public.%1$I where ctid = any(array('
      'select ctid from public.%1$I where user_id = $1 limit $2))', v_table
    ) using p_user_id, p_limit;
    get diagnostics v_rows = row_count;
    v_total := v_total + v_rows;
  end loop;
  delete from public.jobs as j
  where
    j.id in (
      select o.id from public.jobs as o
      where o.user_id = p_user_id and o.status in ('completed', 'failed', 'canceled')
      limit p_limit
      for update skip locked
    );
  get diagnostics v_rows = row_count;
  return v_total + v_rows;
end
$$;
