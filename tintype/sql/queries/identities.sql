-- name: of_job
select
  i.id, i.user_id, i.identity_name, i.model_id, i.repository, i.huggingface_repo_url,
  i.base_model, i.trigger_word, i.num_training_images, i.training_config, i.image_paths,
  i.adapter_bucket, i.adapter_path, i.adapter_bytes
from public.trained_identities as i
where i.job_id = $1;

-- name: answered
select i.id, i.user_id, i.model_id, i.repository, i.huggingface_repo_url, i.findings, i.consent
from public.trained_identities as i
where i.job_id = $1;

-- name: jobs_going_on
select j.id, j.status = 'processing' as is_held
from public.jobs as j
where
  (j.user_id = $1 or j.id = any($2::uuid[]))
  and j.status in ('queued', 'processing')
order by j.id
limit $3;

-- name: rows_of_jobs
select
  (select count(*) from public.jobs where id = any($1::uuid[])) as jobs,
  (select count(*) from public.generations where job_id = any($1::uuid[])) as generations,
  (select count(*) from public.training_steps where job_id = any($1::uuid[])) as training_steps;

-- name: rows_of_identity
select
  (select count(*) from public.trained_identities where id = $1) as trained_identities;

-- name: rows_of_user
select
  (select count(*) from public.jobs where user_id = $1) as jobs,
  (select count(*) from public.generations where user_id = $1) as generations,
  (select count(*) from public.training_steps where user_id = $1) as training_steps,
  (select count(*) from public.trained_identities where user_id = $1) as trained_identities,
  (select count(*) from public.models where user_id = $1) as models,
  (select count(*) from public.batches where user_id = $1) as batches,
  (select count(*) from public.projects where user_id = $1) as projects,
  (select count(*) from public.templates where user_id = $1) as templates;

-- name: other_removals
select count(*)
from tintype.removals as r
where r.user_id = $1 and r.id <> $2 and r.kind <> 'user' and r.done_at is null;

-- name: listing
select
  i.id, i.user_id, i.identity_name as name, i.status, i.progress, i.step, i.steps_total, i.loss,
  i.num_training_images as images, coalesce(i.repository, i.model_id) as repository,
  i.huggingface_repo_url as url, i.job_id, i.error_code, i.error_message, i.consent, i.created_at,
  i.trained_at
from public.trained_identities as i
where ($1::uuid is null or i.user_id = $1) and ($2::uuid is null or i.id = $2)
order by i.created_at desc
limit $3;

-- name: removals
select
  r.id, r.user_id, r.kind, r.attempts, r.last_error, r.not_before, r.created_at, r.done_at, r.proof
from tintype.removals as r
order by r.created_at desc
limit $1;
