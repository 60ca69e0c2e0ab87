-- Resumable uploads that have begun. `id` is the version under which the object's bytes will lie,
-- `role` and `owner_id` say who may go on with it (`role` null: who holds the signed URL).
create table tintype.uploads (
  id uuid primary key,
  bucket_id text not null,
  name text not null,
  role text,
  owner_id text,
  upsert boolean not null,
  length_bytes bigint check (length_bytes >= 0),
  media_type text not null,
  cache_control text not null,
  user_metadata jsonb,
  header text not null,
  created_at timestamptz not null,
  expires_at timestamptz not null,
  completed_at timestamptz
);
create index uploads_expires_at on tintype.uploads (expires_at);
create index uploads_owner on tintype.uploads (owner_id, role) where completed_at is null;

-- The bytes that are synced on the backend: the offset of an upload is the end of its last part.
create table tintype.upload_parts (
  upload_id uuid not null references tintype.uploads (id) on delete cascade,
  start_bytes bigint not null check (start_bytes >= 0),
  size_bytes bigint not null check (size_bytes > 0),
  key text not null,
  primary key (upload_id, start_bytes)
);
