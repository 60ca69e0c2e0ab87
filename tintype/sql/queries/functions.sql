-- name: is_user_known
select
  exists (select from public.credit_accounts as a where a.user_id = $1)
  or tintype.read_user($1) is not null;

-- name: new_batch_id
select nextval('public.batches_id_seq');

-- name: batch_of_job
select j.batch_id
from public.jobs as j
where j.id = $1;

-- name: own_identity
select
  i.status, i.base_model, i.trigger_word, i.image_paths, i.adapter_bucket, i.adapter_path,
  i.adapter_bytes, i.adapter_sha256
from public.trained_identities as i
where i.id = $1 and i.user_id = $2;

-- name: own_model
select
  m.name, m.status, m.base_model, m.trigger_word, m.image_paths, m.adapter_bucket, m.adapter_path,
  m.adapter_bytes, m.adapter_sha256
from public.models as m
where m.id = $1 and m.user_id = $2;

-- name: is_queue_served
select
  exists(select from tintype.workers as w where w.revoked_at is null and $1 = any(w.queues));

-- name: delete_identity
delete from public.trained_identities as i
where i.id = $1
returning i.id;

-- name: delete_model
delete from public.models as m
where m.id = $1
returning m.id;

-- name: removal
select r.done_at, r.proof
from tintype.removals as r
where r.id = $1 and r.kind = $2 and ($3::uuid is null or r.user_id = $3);

-- name: removal_of_model
select tintype.removal_of_model($1);
