-- What a Supabase project's database holds before Tintype comes: the schemas of auth, storage and
-- realtime under owners of their own, the default privileges, the publication, and an app's tables
-- with its people. {administrator} and the like are names of roles; {project} is the role that is
-- called postgres there and is no superuser.
create schema extensions authorization {administrator};
create schema auth authorization {administrator};
create schema storage authorization {administrator};
create schema realtime authorization {administrator};
grant usage on schema extensions to anon, authenticated, service_role, {project};
grant usage on schema auth to anon, authenticated, service_role, {storage_administrator};
grant usage on schema storage to anon, authenticated, service_role;
grant usage on schema realtime to anon, authenticated, service_role, {project};
grant all on schema auth to {auth_administrator}, {project};
grant all on schema storage to {storage_administrator}, {project};
grant usage on schema public to anon, authenticated, service_role;

-- Whatever a project's own role makes in public is everybody's until it is revoked.
alter default privileges for role {project} in schema public
grant all on tables to anon, authenticated, service_role;
alter default privileges for role {project} in schema public
grant all on functions to anon, authenticated, service_role;
alter default privileges for role {project} in schema public
grant all on sequences to anon, authenticated, service_role;

set role {auth_administrator};
create table auth.users (
  instance_id uuid, id uuid not null primary key, aud varchar(255), role varchar(255),
  email varchar(255), encrypted_password varchar(255), email_confirmed_at timestamptz,
  invited_at timestamptz, confirmation_token varchar(255), confirmation_sent_at timestamptz,
  recovery_token varchar(255), recovery_sent_at timestamptz, email_change_token_new varchar(255),
  email_change varchar(255), email_change_sent_at timestamptz, last_sign_in_at timestamptz,
  raw_app_meta_data jsonb, raw_user_meta_data jsonb, is_super_admin boolean,
  created_at timestamptz, updated_at timestamptz, phone text unique default null,
  phone_confirmed_at timestamptz, phone_change text default '',
  phone_change_token varchar(255) default '', phone_change_sent_at timestamptz,
  confirmed_at timestamptz
  generated always as (least(email_confirmed_at, phone_confirmed_at)) stored,
  email_change_token_current varchar(255) default '',
  email_change_confirm_status smallint default 0, banned_until timestamptz,
  reauthentication_token varchar(255) default '', reauthentication_sent_at timestamptz,
  is_sso_user boolean not null default false, deleted_at timestamptz,
  is_anonymous boolean not null default false
);
create unique index users_email_partial_key on auth.users (email) where is_sso_user = false;
create type auth.aal_level as enum ('aal1', 'aal2', 'aal3');
create table auth.identities (
  provider_id text not null, user_id uuid not null references auth.users on delete cascade,
  identity_data jsonb not null, provider text not null, last_sign_in_at timestamptz,
  created_at timestamptz, updated_at timestamptz,
  email text generated always as (lower(identity_data ->> 'email')) stored,
  id uuid not null default gen_random_uuid() primary key, unique (provider_id, provider)
);
create table auth.sessions (
  id uuid not null primary key, user_id uuid not null references auth.users on delete cascade,
  created_at timestamptz, updated_at timestamptz, factor_id uuid, aal auth.aal_level,
  not_after timestamptz, refreshed_at timestamp, user_agent text, ip inet, tag text,
  oauth_client_id uuid, refresh_token_hmac_key text, refresh_token_counter bigint, scopes text
);
create table auth.refresh_tokens (
  instance_id uuid, id bigserial primary key, token varchar(255) unique, user_id varchar(255),
  revoked boolean, created_at timestamptz, updated_at timestamptz, parent varchar(255),
  session_id uuid references auth.sessions on delete cascade
);
create table auth.mfa_amr_claims (
  session_id uuid not null references auth.sessions on delete cascade,
  created_at timestamptz not null, updated_at timestamptz not null,
  authentication_method text not null, id uuid not null primary key,
  unique (session_id, authentication_method)
);
create function auth.uid() returns uuid language sql stable as $$
  select coalesce(
    nullif(current_setting('request.jwt.claim.sub', true), ''),
    (nullif(current_setting('request.jwt.claims', true), '')::jsonb ->> 'sub')
  )::uuid
$$;
create function auth.role() returns text language sql stable as $$
  select coalesce(
    nullif(current_setting('request.jwt.claim.role', true), ''),
    (nullif(current_setting('request.jwt.claims', true), '')::jsonb ->> 'role')
  )
$$;
create function auth.email() returns text language sql stable as $$
  select nullif(current_setting('request.jwt.claims', true), '')::jsonb ->> 'email'
$$;
create function auth.jwt() returns jsonb language sql stable as $$
  select nullif(current_setting('request.jwt.claims', true), '')::jsonb
$$;
alter table auth.users enable row level security;
alter table auth.identities enable row level security;
alter table auth.sessions enable row level security;
alter table auth.refresh_tokens enable row level security;
alter table auth.mfa_amr_claims enable row level security;
grant all on all tables in schema auth to {project};
grant all on all sequences in schema auth to {project};
grant select on auth.users, auth.identities, auth.sessions, auth.refresh_tokens,
auth.mfa_amr_claims to {project} with grant option;
insert into auth.users (id, aud, role, email, encrypted_password, email_confirmed_at,
  raw_app_meta_data, raw_user_meta_data, created_at, updated_at,
  confirmation_token, recovery_token, email_change_token_new, email_change)
values
('a0000000-0000-4000-8000-00000000000a', 'authenticated', 'authenticated', 'ada@example.com',
  '$2a$04$bhpMRhclljMMtrZ4FKqPnuFUr.lmaaEH1fxyaqzIPAsnkhS/vA/Eu', now(),
  '{"provider": "email", "providers": ["email"]}', '{}', now(), now(), '', '', '', ''),
('b0000000-0000-4000-8000-00000000000b', 'authenticated', 'authenticated', 'bob@example.com',
  null, now(), '{"provider": "google", "providers": ["google"]}', '{}', now(), now(),
  '', '', '', '');
insert into auth.identities (provider_id, user_id, identity_data, provider, created_at)
values
('a0000000-0000-4000-8000-00000000000a', 'a0000000-0000-4000-8000-00000000000a',
  '{"sub": "a0000000-0000-4000-8000-00000000000a", "email": "ada@example.com"}', 'email', now()),
('1234', 'b0000000-0000-4000-8000-00000000000b',
  '{"sub": "1234", "email": "bob@example.com"}', 'google', now());

set role {storage_administrator};
create type storage.buckettype as enum ('STANDARD', 'ANALYTICS', 'VECTOR');
create table storage.buckets (
  id text primary key, name text not null, owner uuid, created_at timestamptz default now(),
  updated_at timestamptz default now(), public boolean default false,
  avif_autodetection boolean default false, file_size_limit bigint, allowed_mime_types text[],
  owner_id text, type storage.buckettype not null default 'STANDARD'
);
create unique index bname on storage.buckets (name);
create table storage.objects (
  id uuid primary key default gen_random_uuid(), bucket_id text references storage.buckets,
  name text, owner uuid, created_at timestamptz default now(),
  updated_at timestamptz default now(), last_accessed_at timestamptz default now(),
  metadata jsonb, path_tokens text[] generated always as (string_to_array(name, '/')) stored,
  version text, owner_id text, user_metadata jsonb
);
create unique index bucketid_objname on storage.objects (bucket_id, name);
create function storage.foldername(name text) returns text[] language plpgsql immutable as $$
begin
  return (string_to_array(name, '/'))[1 : array_length(string_to_array(name, '/'), 1) - 1];
end
$$;
create function storage.filename(name text) returns text language plpgsql immutable as $$
begin
  return (string_to_array(name, '/'))[array_length(string_to_array(name, '/'), 1)];
end
$$;
create function storage.extension(name text) returns text language plpgsql immutable as $$
begin
  return reverse(split_part(reverse(storage.filename(name)), '.', 1));
end
$$;
create function storage.protect_delete() returns trigger language plpgsql as $$
begin
  if coalesce(current_setting('storage.allow_delete_query', true), 'false') <> 'true' then
    raise exception 'Direct deletion from storage tables is not allowed.' using errcode = '42501';
  end if;
  return null;
end
$$;
create trigger protect_buckets_delete before delete on storage.buckets
for each statement execute function storage.protect_delete();
create trigger protect_objects_delete before delete on storage.objects
for each statement execute function storage.protect_delete();
alter table storage.buckets enable row level security;
alter table storage.objects enable row level security;
grant all on storage.buckets, storage.objects to anon, authenticated, service_role;
grant all on storage.buckets, storage.objects to {project} with grant option;
insert into storage.buckets (id, name, public) values ('avatars', 'avatars', true);
insert into storage.objects (bucket_id, name, owner, owner_id, version, metadata)
values ('avatars', 'a0000000-0000-4000-8000-00000000000a/me.png',
  'a0000000-0000-4000-8000-00000000000a', 'a0000000-0000-4000-8000-00000000000a',
  'c0000000-0000-4000-8000-00000000000c', '{"size": 4, "mimetype": "image/png"}');
create policy "people see their avatar" on storage.objects for select to authenticated
using (bucket_id = 'avatars' and (storage.foldername(name))[1] = auth.uid()::text);

set role {administrator};
create table realtime.messages (
  topic text not null, extension text not null, payload jsonb, event text,
  private boolean default false, updated_at timestamp not null default now(),
  inserted_at timestamp not null default now(), id uuid not null default gen_random_uuid(),
  primary key (id, inserted_at)
) partition by range (inserted_at);
alter table realtime.messages enable row level security;
grant select, insert, update on realtime.messages to anon, authenticated, service_role, {project};
create function realtime.topic() returns text language sql stable as $$
  select nullif(current_setting('realtime.topic', true), '')::text
$$;
grant execute on function realtime.topic() to anon, authenticated, service_role, {project};

set role {project};
create publication supabase_realtime;
create table public.notes (
  id bigint generated always as identity primary key,
  user_id uuid not null default auth.uid() references auth.users (id) on delete cascade,
  body text not null
);
alter table public.notes enable row level security;
create policy "people see their notes" on public.notes for all to authenticated
using (user_id = (select auth.uid())) with check (user_id = (select auth.uid()));
alter publication supabase_realtime add table public.notes;
insert into public.notes (user_id, body)
values
('a0000000-0000-4000-8000-00000000000a', 'from before'),
('b0000000-0000-4000-8000-00000000000b', 'not hers');
reset role;
