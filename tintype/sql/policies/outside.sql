-- What a worker outside the server may do, by its key: write objects in the scope of a job that it
-- holds, and read what it wrote there. No table is granted to it.
do $$
begin
  -- The login that serves requests becomes the caller's role; this one too.
  if not pg_has_role(session_user, 'tintype_worker', 'member') then
    execute format('grant tintype_worker to %I', session_user);
  end if;
exception when insufficient_privilege then
  raise warning 'Only who made the role tintype_worker may grant it: no worker can upload here.';
end
$$;

grant usage on schema tintype to tintype_worker;

do $$
begin
  -- A Supabase project's tables are another role's, which lets its administrator pass this on.
  if
    has_table_privilege('storage.objects', 'insert with grant option')
    and has_schema_privilege('storage', 'usage with grant option')
  then
    grant usage on schema storage to tintype_worker;
    grant select, insert, update on storage.objects to tintype_worker;
    grant select on storage.buckets to tintype_worker;
  end if;
end
$$;

revoke all on tintype.workers, tintype.callbacks
from public, anon, authenticated, service_role, tintype_worker;
grant select on tintype.workers, tintype.callbacks to service_role;

revoke all on function
tintype.add_worker(text, text[], uuid, bytea),
tintype.revoke_worker(text),
tintype.see_worker(uuid),
tintype.note_callback(uuid, uuid),
tintype.prolong(uuid, integer),
tintype.confirm_grant(text, text),
tintype.confirm_write(uuid, uuid, text, text),
tintype.job_written_to(uuid, uuid, text, text),
tintype.worker_may_write(text, text),
tintype.is_in_scope(public.jobs, text, text),
tintype.pop(uuid, text, text, integer, jsonb),
tintype.held_by(text[], uuid)
from public;
grant execute on function
tintype.add_worker(text, text[], uuid, bytea),
tintype.revoke_worker(text),
tintype.see_worker(uuid),
tintype.note_callback(uuid, uuid),
tintype.prolong(uuid, integer),
tintype.confirm_grant(text, text),
tintype.confirm_write(uuid, uuid, text, text),
tintype.is_in_scope(public.jobs, text, text),
tintype.pop(uuid, text, text, integer, jsonb),
tintype.held_by(text[], uuid)
to service_role;
grant execute on function tintype.worker_may_write(text, text) to tintype_worker;

-- An object is its worker's until it is delivered, and its user's from then on: what was uploaded
-- is read by nobody else before it is paid for, and changed by nobody after.
drop policy if exists workers_write_for_jobs_they_hold on storage.objects;
create policy workers_write_for_jobs_they_hold on storage.objects
for all to tintype_worker
using (owner_id like 'worker:%' and tintype.worker_may_write(bucket_id, name))
with check (owner_id like 'worker:%' and tintype.worker_may_write(bucket_id, name));

drop policy if exists users_read_own_results on storage.objects;
create policy users_read_own_results on storage.objects
for select to authenticated
using (
  bucket_id in (
    'sdxl_image_fast', 'sdxl_image_high', 'image_fast', 'image_high', 'video_fast', 'video_high',
    'image7b_fast_enhanced', 'image7b_high_enhanced', 'video7b_fast_enhanced',
    'video7b_high_enhanced', 'flux_image', 'sdxl_adapter_image', 'training', 'identities'
  )
  and owner_id = (select auth.uid())::text
  and (storage.foldername(name))[1] = (select auth.uid())::text
  -- An adapter lies there a while before its training is paid for.
  and (
    name not like '%.safetensors'
    or exists (
      select from public.jobs as j
      where
        j.result_count > 0
        and j.id = substring(
          name from '^[^/]+/([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})/'
        )::uuid
    )
    or exists (
      select from public.trained_identities as i
      where i.model_id = (storage.foldername(name))[2] and i.status = 'ready'
    )
  )
);
