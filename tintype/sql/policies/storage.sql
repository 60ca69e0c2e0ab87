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

-- What a user brings lies in a folder with the user's id, and is the user's to read, add to,
-- replace and remove; what was made for the user is the user's to read.
drop policy if exists users_read_own_uploads on storage.objects;
drop policy if exists users_add_to_own_uploads on storage.objects;
drop policy if exists users_replace_own_uploads on storage.objects;
drop policy if exists users_remove_own_uploads on storage.objects;
drop policy if exists users_keep_own_uploads on storage.objects;
create policy users_keep_own_uploads on storage.objects
for all to authenticated
using (
  bucket_id in ('uploads', 'model-training-images')
  and (storage.foldername(name))[1] = (select auth.uid())::text
);

drop policy if exists users_read_own_generations on storage.objects;
create policy users_read_own_generations on storage.objects
for select to authenticated
using (
  bucket_id = 'generations'
  -- What a worker uploaded is the user's when it is delivered.
  and coalesce(owner_id, '') not like 'worker:%'
  and (storage.foldername(name))[1] = (select auth.uid())::text
);

revoke all on tintype.uploads, tintype.upload_parts from public, anon, authenticated, service_role;
grant select on tintype.uploads, tintype.upload_parts to service_role;

-- What every verb may be called by was taken away in kernel.sql, which is applied before this.
grant execute on function
tintype.record_object(text, text, text, jsonb, jsonb, text, boolean),
tintype.begin_upload(
  uuid, text, text, text, text, boolean, bigint, text, text, jsonb, text, integer, integer
),
tintype.upload_offset(uuid),
tintype.set_upload_length(uuid, bigint),
tintype.extend_upload(uuid, bigint, bigint, text, integer),
tintype.complete_upload(uuid, integer),
tintype.end_upload(uuid),
tintype.forget_upload(uuid)
to service_role;
