-- Sign-in: users, their sessions and refresh tokens. Every function that locks does so in the order
-- user, session, tokens. Tables are Supabase's; the rows are as GoTrue would have written them.

-- The time as GoTrue writes it, to the microsecond, in UTC.
create or replace function tintype.rfc3339(p_time timestamptz) returns text
language sql stable
set search_path = ''
as $$ select to_char(p_time at time zone 'utc', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') $$;

-- The user as GoTrue shows it, identities included and secrets not, or null. Locks nothing.
create or replace function tintype.read_user(p_user_id uuid) returns jsonb
language sql stable security definer
set search_path = ''
as $$
  select
    jsonb_strip_nulls(
      jsonb_build_object(
        'email_confirmed_at', tintype.rfc3339(u.email_confirmed_at),
        'phone_confirmed_at', tintype.rfc3339(u.phone_confirmed_at),
        'confirmed_at', tintype.rfc3339(least(u.email_confirmed_at, u.phone_confirmed_at)),
        'invited_at', tintype.rfc3339(u.invited_at),
        'last_sign_in_at', tintype.rfc3339(u.last_sign_in_at),
        'banned_until', tintype.rfc3339(u.banned_until)
      )
    )
    || jsonb_build_object(
      'id', u.id,
      'aud', coalesce(nullif(u.aud, ''), 'authenticated'),
      'role', coalesce(nullif(u.role, ''), 'authenticated'),
      'email', coalesce(u.email, ''),
      'phone', coalesce(u.phone, ''),
      'app_metadata', coalesce(u.raw_app_meta_data, '{}'),
      'user_metadata', coalesce(u.raw_user_meta_data, '{}'),
      'identities', coalesce(
        (
          select
            jsonb_agg(
              jsonb_strip_nulls(
                jsonb_build_object(
                  'last_sign_in_at', tintype.rfc3339(i.last_sign_in_at),
                  'email', i.email
                )
              )
              || jsonb_build_object(
                'identity_id', i.id,
                'id', i.provider_id,
                'user_id', i.user_id,
                'identity_data', i.identity_data,
                'provider', i.provider,
                'created_at', tintype.rfc3339(coalesce(i.created_at, u.created_at)),
                'updated_at', tintype.rfc3339(coalesce(i.updated_at, u.updated_at))
              )
              order by i.created_at, i.id
            )
          from auth.identities as i
          where i.user_id = u.id
        ),
        '[]'
      ),
      'created_at', tintype.rfc3339(u.created_at),
      'updated_at', tintype.rfc3339(u.updated_at),
      'is_anonymous', u.is_anonymous
    )
  from auth.users as u
  where u.id = p_user_id and u.deleted_at is null
$$;

-- Whether the user may not come in at the moment. Locks nothing.
create or replace function tintype.is_banned(p_user_id uuid) returns boolean
language plpgsql stable security definer
set search_path = ''
as $$
begin
  return exists (
    select from auth.users as u where u.id = p_user_id and u.banned_until > tintype.clock()
  );
end
$$;

-- Gives a user the identity "email" under this address, or moves the one there is to it.
create or replace function tintype.name_identity(p_user_id uuid, p_email text) returns void
language plpgsql security definer
set search_path = ''
as $$
declare
  v_now timestamptz := tintype.clock();
begin
  insert into auth.identities (
    provider_id, user_id, identity_data, provider, created_at, updated_at
  )
  values (
    p_user_id::text,
    p_user_id,
    jsonb_build_object(
      'sub', p_user_id, 'email', p_email, 'email_verified', false, 'phone_verified', false
    ),
    'email',
    v_now,
    v_now
  )
  on conflict (provider_id, provider) do update
  set
    identity_data = auth.identities.identity_data || jsonb_build_object('email', p_email),
    updated_at = excluded.updated_at;
end
$$;

-- Adds a user; without an e-mail an anonymous one. Returns the id, or null when the address or the
-- id is taken: of two calls at once with one address, one adds. An id is taken until all that its
-- last user had is removed, as the new one's would go with it.
create or replace function tintype.add_user(
  p_user_id uuid,
  p_email text,
  p_password_hash text,
  p_is_confirmed boolean,
  p_role text,
  p_banned_until timestamptz,
  p_app_metadata jsonb,
  p_user_metadata jsonb
) returns uuid
language plpgsql security definer
set search_path = ''
as $$
declare
  v_now timestamptz := tintype.clock();
begin
  if exists (
    select from tintype.removals as r
    where r.id = p_user_id and r.kind = 'user' and r.done_at is null
  ) then
    return null;
  end if;
  delete from tintype.removals as r where r.id = tintype.late_removal(p_user_id);
  -- GoTrue, run on the same tables, cannot read a token that is null.
  insert into auth.users (
    instance_id, id, aud, role, email, encrypted_password, email_confirmed_at, banned_until,
    confirmation_token, recovery_token, email_change_token_new, email_change,
    raw_app_meta_data, raw_user_meta_data, is_anonymous, created_at, updated_at
  )
  values (
    '00000000-0000-0000-0000-000000000000', p_user_id, 'authenticated', p_role, p_email,
    p_password_hash, case when p_is_confirmed then v_now end, p_banned_until,
    '', '', '', '',
    p_app_metadata, p_user_metadata, p_email is null, v_now, v_now
  )
  on conflict do nothing;
  if not found then
    return null;
  end if;
  if p_email is not null then
    perform tintype.name_identity(p_user_id, p_email);
  end if;
  return p_user_id;
end
$$;

-- The id of the user who signs in with this address, or null. Locks nothing.
create or replace function tintype.find_user_id(p_email text) returns uuid
language sql stable security definer
set search_path = ''
as $$
  select u.id
  from auth.users as u
  where u.email = p_email and u.is_sso_user = false and u.deleted_at is null
$$;

-- What a password is checked against, by address or else by id. Locks nothing.
create or replace function tintype.find_credentials(p_email text, p_user_id uuid)
returns table (user_id uuid, password_hash text, is_confirmed boolean, is_banned boolean)
language plpgsql stable security definer
set search_path = ''
as $$
declare
  -- By id in a step of its own: an `or` of the two would keep the address from its index.
  v_user_id uuid := case when p_email is null then p_user_id else tintype.find_user_id(p_email) end;
begin
  return query
  select
    u.id,
    nullif(u.encrypted_password, '')::text,
    coalesce(u.email_confirmed_at, u.phone_confirmed_at) is not null,
    coalesce(u.banned_until > tintype.clock(), false)
  from auth.users as u
  where u.id = v_user_id and u.deleted_at is null;
end
$$;

-- Opens a session with its first refresh token and returns `{session_id, user, …}`; null when the
-- user is gone or banned, or the password is no longer the one that was checked. A new hash of the
-- same password replaces the checked one. The oldest sessions beyond p_sessions_max end. Locks the
-- user.
create or replace function tintype.open_session(
  p_user_id uuid,
  p_password_hash text,
  p_password_rehashed text,
  p_method text,
  p_token text,
  p_user_agent text,
  p_ip text,
  p_seconds_max integer,
  p_sessions_max integer
) returns jsonb
language plpgsql security definer
set search_path = ''
as $$
declare
  v_now timestamptz := tintype.clock();
  v_session_id uuid := gen_random_uuid();
begin
  update auth.users as u
  set
    last_sign_in_at = v_now,
    updated_at = v_now,
    encrypted_password = coalesce(p_password_rehashed, u.encrypted_password)
  where u.id = p_user_id
    and u.deleted_at is null
    and (p_password_hash is null or u.encrypted_password = p_password_hash)
    and (u.banned_until is null or u.banned_until <= v_now);
  if not found then
    return null;
  end if;
  update auth.identities as i
  set last_sign_in_at = v_now, updated_at = v_now
  where i.user_id = p_user_id and i.provider = 'email';

  insert into auth.sessions (
    id, user_id, created_at, updated_at, aal, not_after, user_agent, ip
  )
  values (
    v_session_id, p_user_id, v_now, v_now, 'aal1', v_now + make_interval(secs => p_seconds_max),
    p_user_agent, p_ip::inet
  );
  insert into auth.mfa_amr_claims (id, session_id, created_at, updated_at, authentication_method)
  values (gen_random_uuid(), v_session_id, v_now, v_now, p_method);
  perform tintype.add_refresh_token(p_user_id, v_session_id, p_token, null);

  delete from auth.sessions as s
  where s.id in (
    select o.id
    from auth.sessions as o
    where o.user_id = p_user_id
    order by o.created_at desc, o.id
    offset p_sessions_max
  );
  return tintype.describe_session(v_session_id, p_token);
end
$$;

-- Adds a refresh token to a session that the caller has locked or just made.
create or replace function tintype.add_refresh_token(
  p_user_id uuid, p_session_id uuid, p_token text, p_parent text
) returns void
language plpgsql security definer
set search_path = ''
as $$
declare
  v_now timestamptz := tintype.clock();
begin
  insert into auth.refresh_tokens (
    instance_id, token, user_id, revoked, created_at, updated_at, parent, session_id
  )
  values (
    '00000000-0000-0000-0000-000000000000', p_token, p_user_id, false, v_now, v_now, p_parent,
    p_session_id
  );
end
$$;

-- What an access token says about a session: its id, refresh token, user, and how and when (unix
-- seconds) its user signed in.
create or replace function tintype.describe_session(p_session_id uuid, p_token text) returns jsonb
language plpgsql stable security definer
set search_path = ''
as $$
begin
  return (
    select
      jsonb_build_object(
        'outcome', 'open',
        'session_id', s.id,
        'refresh_token', p_token,
        'user', tintype.read_user(s.user_id),
        'method', coalesce(a.authentication_method, 'password'),
        'signed_in_at', floor(extract(epoch from coalesce(a.created_at, s.created_at)))
      )
    from auth.sessions as s
    left join auth.mfa_amr_claims as a on s.id = a.session_id
    where s.id = p_session_id
    order by a.created_at desc
    limit 1
  );
end
$$;

-- Uses a refresh token up: p_next becomes its child and the session's one active token. A token
-- used before gives the active token once more when it is the active one's parent, or was used less
-- than p_reuse_seconds ago; otherwise every token of the session is revoked. Returns
-- describe_session's answer or `{outcome}`: not_found, user_not_found, banned, expired, reused. Of
-- the used ones p_kept_max are remembered. Locks the session.
create or replace function tintype.rotate_session(
  p_token text, p_next text, p_reuse_seconds integer, p_kept_max integer
) returns jsonb
language plpgsql security definer
set search_path = ''
as $$
declare
  v_now timestamptz;
  v_session auth.sessions;
  v_used auth.refresh_tokens;
  v_active auth.refresh_tokens;
begin
  select s.* into v_session
  from auth.sessions as s
  where s.id = (select t.session_id from auth.refresh_tokens as t where t.token = p_token)
  for update;
  -- Anew: another call may have used it up while this one waited.
  select t.* into v_used
  from auth.refresh_tokens as t
  where t.token = p_token and t.session_id = v_session.id;
  v_now := tintype.clock();
  if v_used.id is null then
    return jsonb_build_object('outcome', 'not_found');
  end if;
  if tintype.read_user(v_session.user_id) is null then
    return jsonb_build_object('outcome', 'user_not_found');
  end if;
  if tintype.is_banned(v_session.user_id) then
    return jsonb_build_object('outcome', 'banned');
  end if;
  if v_session.not_after <= v_now then
    return jsonb_build_object('outcome', 'expired');
  end if;

  if v_used.revoked is not true then
    update auth.refresh_tokens set revoked = true, updated_at = v_now where id = v_used.id;
    perform tintype.add_refresh_token(v_session.user_id, v_session.id, p_next, p_token);
    update auth.sessions
    set refreshed_at = v_now at time zone 'utc', updated_at = v_now
    where id = v_session.id;
    perform tintype.forget_tokens(v_session.id, p_kept_max);
    return tintype.describe_session(v_session.id, p_next);
  end if;

  select t.* into v_active
  from auth.refresh_tokens as t
  where t.session_id = v_session.id and t.revoked is not true
  order by t.id desc
  limit 1;
  if v_active.id is not null and (
    v_active.parent = p_token
    or v_used.updated_at > v_now - make_interval(secs => p_reuse_seconds)
  ) then
    return tintype.describe_session(v_session.id, v_active.token);
  end if;
  update auth.refresh_tokens set revoked = true, updated_at = v_now
  where session_id = v_session.id and revoked is not true;
  return jsonb_build_object('outcome', 'reused');
end
$$;

-- Forgets the oldest used tokens of a session beyond p_kept_max, which bounds the table. One that
-- is forgotten is not found any more. The caller has locked the session.
create or replace function tintype.forget_tokens(p_session_id uuid, p_kept_max integer) returns void
language plpgsql security definer
set search_path = ''
as $$
begin
  delete from auth.refresh_tokens as t
  where t.session_id = p_session_id
    and t.revoked
    and t.id <= (
      select o.id
      from auth.refresh_tokens as o
      where o.session_id = p_session_id and o.revoked
      order by o.id desc
      offset p_kept_max limit 1
    );
end
$$;

-- The user whom an access token names, and whether its session (null: the token has none) is still
-- open: `{user, is_open, is_banned}`. Locks nothing.
create or replace function tintype.find_session(p_user_id uuid, p_session_id uuid) returns jsonb
language plpgsql stable security definer
set search_path = ''
as $$
begin
  return jsonb_build_object(
    'user', tintype.read_user(p_user_id),
    'is_banned', tintype.is_banned(p_user_id),
    'is_open', p_session_id is null or exists (
      select from auth.sessions as s where s.id = p_session_id and s.user_id = p_user_id
    )
  );
end
$$;

-- Ends sessions with all their tokens and returns how many: `local` the one named, `others` all
-- but it, `global` all. Locks the user first, so that two calls cannot deadlock.
create or replace function tintype.revoke_sessions(
  p_user_id uuid, p_scope text, p_session_id uuid
) returns integer
language plpgsql security definer
set search_path = ''
as $$
declare
  v_count integer;
begin
  perform from auth.users as u where u.id = p_user_id for no key update;
  delete from auth.sessions as s
  where s.user_id = p_user_id
    and case p_scope
      when 'global' then true
      when 'local' then s.id = p_session_id
      when 'others' then s.id is distinct from p_session_id
    end;
  get diagnostics v_count = row_count;
  return v_count;
end
$$;

-- Changes a user by a document with any of email, is_confirmed, password_hash, role, banned_until
-- (null lifts a ban), app_metadata and user_metadata; metadata is merged by key, null removes one.
-- A first address ends anonymity; a new password ends every session but p_session_id. Returns
-- `{outcome, user}`: changed, not_found, email_exists, or metadata_too_large beyond
-- p_metadata_bytes_max, where nothing is changed. Locks the user.
create or replace function tintype.change_user(
  p_user_id uuid, p_changes jsonb, p_session_id uuid, p_metadata_bytes_max integer
) returns jsonb
language plpgsql security definer
set search_path = ''
as $$
declare
  v_now timestamptz := tintype.clock();
  v_user auth.users;
  v_email text := p_changes ->> 'email';
  v_app jsonb;
  v_own jsonb;
begin
  select u.* into v_user
  from auth.users as u
  where u.id = p_user_id and u.deleted_at is null
  for no key update;
  if v_user.id is null then
    return jsonb_build_object('outcome', 'not_found');
  end if;
  v_app := tintype.merge_metadata(v_user.raw_app_meta_data, p_changes -> 'app_metadata');
  v_own := tintype.merge_metadata(v_user.raw_user_meta_data, p_changes -> 'user_metadata');
  if v_email is not null and v_email is distinct from v_user.email then
    v_own := v_own || jsonb_build_object('email', v_email);
    v_app := tintype.name_provider(v_app);
    perform tintype.name_identity(p_user_id, v_email);
  end if;
  if octet_length(v_app::text) + octet_length(v_own::text) > p_metadata_bytes_max then
    raise exception using errcode = 'TT413', message = 'metadata_too_large';
  end if;
  update auth.users as u
  set
    email = coalesce(v_email, u.email),
    is_anonymous = u.is_anonymous and v_email is null,
    email_confirmed_at = case
      when (p_changes ->> 'is_confirmed')::boolean then coalesce(u.email_confirmed_at, v_now)
      else u.email_confirmed_at
    end,
    encrypted_password = coalesce(p_changes ->> 'password_hash', u.encrypted_password),
    role = coalesce(p_changes ->> 'role', u.role),
    banned_until = case
      when p_changes ? 'banned_until' then (p_changes ->> 'banned_until')::timestamptz
      else u.banned_until
    end,
    raw_app_meta_data = v_app,
    raw_user_meta_data = v_own,
    updated_at = v_now
  where u.id = p_user_id;
  if p_changes ? 'password_hash' then
    perform tintype.revoke_sessions(p_user_id, 'others', p_session_id);
  end if;
  return jsonb_build_object('outcome', 'changed', 'user', tintype.read_user(p_user_id));
exception
  when unique_violation then
    return jsonb_build_object('outcome', 'email_exists');
  when sqlstate 'TT413' then
    return jsonb_build_object('outcome', 'metadata_too_large');
end
$$;

-- Merges metadata key by key; a key given as null is removed.
create or replace function tintype.merge_metadata(p_known jsonb, p_given jsonb) returns jsonb
language sql immutable
set search_path = ''
as $$
  select
    case
      when jsonb_typeof(p_given) = 'object' then
        (coalesce(p_known, '{}') || p_given) - array(
          select g.key from jsonb_each(p_given) as g where g.value = 'null'
        )
      else coalesce(p_known, '{}')
    end
$$;

-- Adds "email" to the providers that a user's app metadata names, as the first if there is none.
create or replace function tintype.name_provider(p_app_metadata jsonb) returns jsonb
language sql immutable
set search_path = ''
as $$
  select
    '{"provider": "email"}' || p_app_metadata || jsonb_build_object(
      'providers',
      case
        when p_app_metadata -> 'providers' ? 'email' then p_app_metadata -> 'providers'
        else coalesce(p_app_metadata -> 'providers', '[]') || '["email"]'
      end
    )
$$;

-- Removes a user with identities, sessions and tokens, and returns whether there was one. What is
-- kept elsewhere under the user's id is left to the remover, but for the ledger. p_keep_row keeps a
-- row without anything personal, so that the id is never given again, frees the address, and leaves
-- all else as it is. Locks the user. 23503 where a table of
-- the app refers to the user and forbids it.
create or replace function tintype.remove_user(p_user_id uuid, p_keep_row boolean) returns boolean
language plpgsql security definer
set search_path = ''
as $$
declare
  v_now timestamptz := tintype.clock();
begin
  if not p_keep_row then
    delete from auth.users as u where u.id = p_user_id and u.deleted_at is null;
    if not found then
      return false;
    end if;
    perform tintype.plan_removal(p_user_id, p_user_id, 'user', null, '[]', 0);
    -- A token that is out opens storage until it expires.
    perform tintype.plan_removal(
      tintype.late_removal(p_user_id), p_user_id, 'user', null, '[]', 90000
    );
    return true;
  end if;
  update auth.users as u
  set
    email = null,
    phone = null,
    encrypted_password = null,
    raw_app_meta_data = '{}',
    raw_user_meta_data = '{}',
    deleted_at = v_now,
    updated_at = v_now
  where u.id = p_user_id and u.deleted_at is null;
  if not found then
    return false;
  end if;
  delete from auth.identities as i where i.user_id = p_user_id;
  perform tintype.revoke_sessions(p_user_id, 'global', null);
  return true;
end
$$;

-- A page of users, newest first, and how many there are: `{users, total}`. Locks nothing.
create or replace function tintype.page_users(p_limit integer, p_offset bigint) returns jsonb
language plpgsql stable security definer
set search_path = ''
as $$
begin
  return jsonb_build_object(
    'total', (select count(*) from auth.users as u where u.deleted_at is null),
    'users', coalesce(
      (
        select jsonb_agg(tintype.read_user(p.id) order by p.created_at desc, p.id desc)
        from (
          select u.id, u.created_at
          from auth.users as u
          where u.deleted_at is null
          order by u.created_at desc, u.id desc
          limit p_limit offset p_offset
        ) as p
      ),
      '[]'
    )
  );
end
$$;
