-- Makes the bytes written under p_version the object (p_bucket, p_name), in the caller's
-- transaction. Locks that one row. Returns what it replaced, each version to exactly one caller, so
-- that the old bytes can be removed after commit. 23505 when the object exists and p_replace is
-- false, 23503 when there is no such bucket.
create or replace function tintype.record_object(
  p_bucket text,
  p_name text,
  p_version text,
  p_metadata jsonb,
  p_user_metadata jsonb,
  p_owner text,
  p_replace boolean
) returns table (object_id uuid, replaced_version text, replaced_metadata jsonb)
language plpgsql
set search_path = ''
as $$
declare
  -- The subject of an outside issuer's token need not be a UUID.
  v_owner uuid := case
    when p_owner ~* '^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$' then p_owner::uuid
  end;
begin
  loop
    insert into storage.objects (
      bucket_id, name, version, metadata, user_metadata, owner, owner_id
    )
    values (p_bucket, p_name, p_version, p_metadata, p_user_metadata, v_owner, p_owner)
    -- Without its columns: newer databases of Supabase keep a name unique by another index.
    on conflict do nothing
    returning storage.objects.id into object_id;
    if found then
      return next;
      return;
    end if;
    if not p_replace then
      raise unique_violation using message = 'The resource already exists';
    end if;
    select o.id, o.version, o.metadata
    into object_id, replaced_version, replaced_metadata
    from storage.objects as o
    where o.bucket_id = p_bucket and o.name = p_name
    for update;
    if found then
      update storage.objects as o
      set
        version = p_version,
        metadata = p_metadata,
        user_metadata = p_user_metadata,
        owner = v_owner,
        owner_id = p_owner,
        updated_at = now(),
        last_accessed_at = now()
      where o.id = object_id;
      return next;
      return;
    end if;
    -- The row was removed between the two statements: it is free again.
  end loop;
end
$$;

-- Begins a resumable upload that lasts p_seconds and returns when it ends, or null when the owner
-- has p_open_max unfinished ones already. Serialises the beginnings of one owner, nothing else.
create or replace function tintype.begin_upload(
  p_id uuid,
  p_bucket text,
  p_name text,
  p_role text,
  p_owner text,
  p_upsert boolean,
  p_length bigint,
  p_media_type text,
  p_cache_control text,
  p_user_metadata jsonb,
  p_header text,
  p_seconds integer,
  p_open_max integer
) returns timestamptz
language plpgsql
security definer
set search_path = ''
as $$
declare
  v_now timestamptz := tintype.clock();
begin
  perform pg_catalog.pg_advisory_xact_lock(
    pg_catalog.hashtext('tintype.begin_upload'),
    pg_catalog.hashtext(pg_catalog.concat_ws('/', p_role, p_owner))
  );
  if (
    select count(*)
    from tintype.uploads as u
    where
      u.owner_id is not distinct from p_owner
      and u.role is not distinct from p_role
      and u.completed_at is null
      and u.expires_at > v_now
  ) >= p_open_max then
    return null;
  end if;
  insert into tintype.uploads (
    id, bucket_id, name, role, owner_id, upsert, length_bytes, media_type, cache_control,
    user_metadata, header, created_at, expires_at
  )
  values (
    p_id, p_bucket, p_name, p_role, p_owner, p_upsert, p_length, p_media_type, p_cache_control,
    p_user_metadata, p_header, v_now, v_now + make_interval(secs => p_seconds)
  );
  return v_now + make_interval(secs => p_seconds);
end
$$;

-- Returns the offset of an upload in bytes: the end of its last part. Locks nothing.
create or replace function tintype.upload_offset(p_id uuid) returns bigint
language sql
stable
set search_path = ''
as $$
  select coalesce(max(p.start_bytes + p.size_bytes), 0)
  from tintype.upload_parts as p
  where p.upload_id = p_id
$$;

-- Says how long an upload will be, once. Locks its row. False when it has another length, has
-- ended, or holds more than that already.
create or replace function tintype.set_upload_length(p_id uuid, p_length bigint) returns boolean
language plpgsql
security definer
set search_path = ''
as $$
begin
  perform 1 from tintype.uploads as u where u.id = p_id for update;
  update tintype.uploads as u
  set length_bytes = p_length
  where
    u.id = p_id
    and coalesce(u.length_bytes, p_length) = p_length
    and u.completed_at is null
    and u.expires_at > tintype.clock()
    and p_length >= tintype.upload_offset(p_id);
  return found;
end
$$;

-- Adds bytes that are synced under p_key to an upload, which lasts p_seconds from now. Locks its
-- row. Returns when it ends, or null, adding nothing, when p_start is not its offset, when it has
-- ended or when it would pass its length.
create or replace function tintype.extend_upload(
  p_id uuid, p_start bigint, p_size bigint, p_key text, p_seconds integer
) returns timestamptz
language plpgsql
security definer
set search_path = ''
as $$
declare
  v_now timestamptz := tintype.clock();
  v_length bigint;
begin
  select u.length_bytes
  into v_length
  from tintype.uploads as u
  where u.id = p_id and u.completed_at is null and u.expires_at > v_now
  for update;
  if not found or p_start + p_size > v_length or p_start <> tintype.upload_offset(p_id) then
    return null;
  end if;
  insert into tintype.upload_parts (upload_id, start_bytes, size_bytes, key)
  values (p_id, p_start, p_size, p_key);
  update tintype.uploads as u
  set expires_at = v_now + make_interval(secs => p_seconds)
  where u.id = p_id;
  return v_now + make_interval(secs => p_seconds);
end
$$;

-- Marks an upload as the object it has become, in the transaction that records the object; its row
-- stays p_seconds longer, to answer a client that did not hear of it. Locks its row. False when it
-- has ended or become an object before.
create or replace function tintype.complete_upload(p_id uuid, p_seconds integer) returns boolean
language plpgsql
security definer
set search_path = ''
as $$
begin
  update tintype.uploads as u
  set
    completed_at = tintype.clock(),
    expires_at = tintype.clock() + make_interval(secs => p_seconds)
  where u.id = p_id and u.completed_at is null and u.expires_at > tintype.clock();
  return found;
end
$$;

-- Ends an upload at once: nobody can go on with it, and its bytes may be removed. Locks its row.
create or replace function tintype.end_upload(p_id uuid) returns void
language sql
security definer
set search_path = ''
as $$
  update tintype.uploads set expires_at = tintype.clock() where id = p_id
$$;

-- Forgets an upload that has ended and whose bytes are gone. Locks its row.
create or replace function tintype.forget_upload(p_id uuid) returns void
language sql
security definer
set search_path = ''
as $$
  delete from tintype.uploads where id = p_id and expires_at <= tintype.clock()
$$;
