-- On a Supabase project the storage schema belongs to another role, which granted all this itself.
do $$
begin
  if pg_has_role(
    (select relowner from pg_class where oid = 'storage.objects'::regclass), 'usage'
  ) then
    alter table storage.buckets enable row level security;
    alter table storage.objects enable row level security;
    revoke all on storage.buckets, storage.objects from public;
    grant usage on schema storage to anon, authenticated, service_role;
    -- Row-level security decides: what no policy names is denied to anon and authenticated.
    grant select, insert, update, delete on storage.buckets, storage.objects
    to anon, authenticated, service_role;
    revoke all on function
      storage.foldername(text), storage.filename(text), storage.extension(text)
    from public;
    grant execute on function
      storage.foldername(text), storage.filename(text), storage.extension(text)
    to anon, authenticated, service_role;
  end if;
end
$$;

grant usage on schema tintype to service_role;
revoke all on function tintype.record_object(text, text, text, jsonb, jsonb, text, boolean)
from public;
grant execute on function tintype.record_object(text, text, text, jsonb, jsonb, text, boolean)
to service_role;

drop policy if exists users_read_own_uploads on storage.objects;
create policy users_read_own_uploads on storage.objects
for select to authenticated
using (
  bucket_id = 'uploads' and (storage.foldername(name))[1] = (select auth.uid())::text
);

drop policy if exists users_add_to_own_uploads on storage.objects;
create policy users_add_to_own_uploads on storage.objects
for insert to authenticated
with check (
  bucket_id = 'uploads' and (storage.foldername(name))[1] = (select auth.uid())::text
);

drop policy if exists users_replace_own_uploads on storage.objects;
create policy users_replace_own_uploads on storage.objects
for update to authenticated
using (
  bucket_id = 'uploads' and (storage.foldername(name))[1] = (select auth.uid())::text
)
with check (
  bucket_id = 'uploads' and (storage.foldername(name))[1] = (select auth.uid())::text
);

drop policy if exists users_remove_own_uploads on storage.objects;
create policy users_remove_own_uploads on storage.objects
for delete to authenticated
using (
  bucket_id = 'uploads' and (storage.foldername(name))[1] = (select auth.uid())::text
);

drop policy if exists users_read_own_generations on storage.objects;
create policy users_read_own_generations on storage.objects
for select to authenticated
using (
  bucket_id = 'generations' and (storage.foldername(name))[1] = (select auth.uid())::text
);

revoke all on tintype.uploads, tintype.upload_parts from public, anon, authenticated, service_role;
grant select on tintype.uploads, tintype.upload_parts to service_role;
revoke all on function
tintype.begin_upload(
  uuid, text, text, text, text, boolean, bigint, text, text, jsonb, text, integer, integer
),
tintype.set_upload_length(uuid, bigint),
tintype.extend_upload(uuid, bigint, bigint, text, integer),
tintype.complete_upload(uuid, integer),
tintype.end_upload(uuid),
tintype.forget_upload(uuid)
from public;
grant execute on function
tintype.begin_upload(
  uuid, text, text, text, text, boolean, bigint, text, text, jsonb, text, integer, integer
),
tintype.set_upload_length(uuid, bigint),
tintype.extend_upload(uuid, bigint, bigint, text, integer),
tintype.complete_upload(uuid, integer),
tintype.end_upload(uuid),
tintype.forget_upload(uuid)
to service_role;
