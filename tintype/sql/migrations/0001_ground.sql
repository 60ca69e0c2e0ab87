-- Roles and schemas as every Supabase project has them, so that the same files also run on one.
do $$
begin
  if not exists (select from pg_roles where rolname = 'anon') then
    create role anon nologin noinherit;
  end if;
  if not exists (select from pg_roles where rolname = 'authenticated') then
    create role authenticated nologin noinherit;
  end if;
  if not exists (select from pg_roles where rolname = 'service_role') then
    create role service_role nologin noinherit bypassrls;
  end if;
exception when duplicate_object or unique_violation then
  null; -- another database of the same cluster is being migrated at this moment
end
$$;

create schema if not exists auth;

grant usage on schema auth to anon, authenticated, service_role;

create table if not exists auth.users (
  id uuid primary key default gen_random_uuid(),
  aud text not null default 'authenticated',
  role text not null default 'authenticated',
  email text,
  encrypted_password text,
  email_confirmed_at timestamptz,
  phone text,
  last_sign_in_at timestamptz,
  raw_app_meta_data jsonb not null default '{}',
  raw_user_meta_data jsonb not null default '{}',
  is_super_admin boolean,
  is_anonymous boolean not null default false,
  banned_until timestamptz,
  deleted_at timestamptz,
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now()
);

-- Serves sign-in and `tintype users` by e-mail; one account per address. A Supabase project has an
-- index of its own, and an owner of its own.
do $$
begin
  if pg_has_role(
    (select c.relowner from pg_class as c where c.oid = 'auth.users'::regclass), 'usage'
  ) then
    create unique index if not exists users_email_key
    on auth.users (lower(email)) where email is not null and deleted_at is null;
  end if;
end
$$;

-- A Supabase project has these already, under an owner of its own: they are left alone there.
do $$
begin
  if to_regprocedure('auth.jwt()') is null then
    execute $f$
      create function auth.jwt() returns jsonb language sql stable as
      $b$ select coalesce(nullif(current_setting('request.jwt.claims', true), ''), '{}')::jsonb $b$
    $f$;
  end if;
  if to_regprocedure('auth.uid()') is null then
    execute $f$
      create function auth.uid() returns uuid language sql stable as $b$
        select nullif(
          nullif(current_setting('request.jwt.claims', true), '')::jsonb ->> 'sub', ''
        )::uuid
      $b$
    $f$;
  end if;
  if to_regprocedure('auth.role()') is null then
    execute $f$
      create function auth.role() returns text language sql stable as $b$
        select nullif(current_setting('request.jwt.claims', true), '')::jsonb ->> 'role'
      $b$
    $f$;
  end if;
  if to_regprocedure('auth.email()') is null then
    execute $f$
      create function auth.email() returns text language sql stable as $b$
        select nullif(current_setting('request.jwt.claims', true), '')::jsonb ->> 'email'
      $b$
    $f$;
  end if;
end
$$;
