-- Supabase's storage tables, column for column. A Supabase project has them already, under an owner
-- of its own: there only the two buckets are added.
create schema if not exists storage;

do $$
begin
  if to_regclass('storage.buckets') is null then
    create type storage.buckettype as enum ('STANDARD', 'ANALYTICS', 'VECTOR');

    create table storage.buckets (
      id text primary key,
      name text not null,
      owner uuid,
      created_at timestamptz default now(),
      updated_at timestamptz default now(),
      public boolean default false,
      avif_autodetection boolean default false,
      file_size_limit bigint,
      allowed_mime_types text[],
      owner_id text,
      type storage.buckettype not null default 'STANDARD'
    );
    create unique index bname on storage.buckets (name);
    alter table storage.buckets enable row level security;
  end if;

  if to_regclass('storage.objects') is null then
    create table storage.objects (
      id uuid primary key default gen_random_uuid(),
      bucket_id text references storage.buckets (id),
      name text,
      owner uuid,
      created_at timestamptz default now(),
      updated_at timestamptz default now(),
      last_accessed_at timestamptz default now(),
      metadata jsonb,
      path_tokens text[] generated always as (string_to_array(name, '/')) stored,
      version text,
      owner_id text,
      user_metadata jsonb
    );
    create unique index bucketid_objname on storage.objects (bucket_id, name);
    -- Serves the listing of one folder, whatever the collation of the database.
    create index idx_objects_bucket_id_name on storage.objects (bucket_id, name collate "C");
    alter table storage.objects enable row level security;
  end if;

  if to_regprocedure('storage.foldername(text)') is null then
    create function storage.foldername(name text) returns text[]
    language sql immutable set search_path = '' as $f$
      select (string_to_array(name, '/'))[1 : cardinality(string_to_array(name, '/')) - 1]
    $f$;
    comment on function storage.foldername(text) is
      'The folders of an object''s name, outermost first; policies compare the first one.';
  end if;

  if to_regprocedure('storage.filename(text)') is null then
    create function storage.filename(name text) returns text
    language sql immutable set search_path = '' as $f$
      select (string_to_array(name, '/'))[cardinality(string_to_array(name, '/'))]
    $f$;
    comment on function storage.filename(text) is 'The last part of an object''s name.';
  end if;

  if to_regprocedure('storage.extension(text)') is null then
    create function storage.extension(name text) returns text
    language sql immutable set search_path = '' as $f$
      select reverse(split_part(reverse(storage.filename(name)), '.', 1))
    $f$;
    comment on function storage.extension(text) is
      'What follows the last dot of an object''s file name; the whole file name when it has none.';
  end if;
end
$$;

-- What the kernel makes, readable by link; and what users bring, each in a folder of their own.
insert into storage.buckets (id, name, public, file_size_limit, allowed_mime_types)
values
('generations', 'generations', true, null, null),
(
  'uploads', 'uploads', false, 20971520,
  array['image/png', 'image/jpeg', 'image/webp', 'image/gif', 'image/avif']
)
on conflict (id) do nothing;
