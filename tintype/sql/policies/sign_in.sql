-- Users, sessions and tokens are nobody's to read: the verbs alone reach them, and only the
-- kernel's role may call those. On a Supabase project the tables belong to another role, which
-- closed them itself.
do $$
declare
  v_table text;
begin
  foreach v_table in array
    array[
      'auth.users',
      'auth.identities',
      'auth.sessions',
      'auth.refresh_tokens',
      'auth.mfa_amr_claims'
    ]
  loop
    if pg_has_role((select relowner from pg_class where oid = v_table::regclass), 'usage') then
      execute format('alter table %s enable row level security', v_table);
      execute format(
        'revoke all on %s from public, anon, authenticated, service_role', v_table
      );
    end if;
  end loop;
end
$$;

-- What every verb may be called by was taken away in kernel.sql, which is applied before this.
grant execute on function
tintype.add_user(uuid, text, text, boolean, text, timestamptz, jsonb, jsonb),
tintype.find_credentials(text, uuid),
tintype.find_user_id(text),
tintype.open_session(uuid, text, text, text, text, text, text, integer, integer),
tintype.rotate_session(text, text, integer, integer),
tintype.find_session(uuid, uuid),
tintype.revoke_sessions(uuid, text, uuid),
tintype.change_user(uuid, jsonb, uuid, integer),
tintype.remove_user(uuid, boolean),
tintype.read_user(uuid),
tintype.page_users(integer, bigint)
to service_role;
