-- A server keeps the list of captures, and asks on behalf of callers what they may see.
revoke all on tintype.captures from public, anon, authenticated, service_role;
grant select, insert, update, delete on tintype.captures to service_role;

revoke all on function
tintype.visible_statement(regclass, text[], boolean),
tintype.visible_rows(regclass, text[], jsonb, text[], text[], integer[], bigint[]),
tintype.visible_of(text, jsonb, text[], text[], integer[], boolean),
tintype.shape_rows(regclass, regclass, json),
tintype.await_commits(bigint[])
from public, anon, authenticated, service_role;
grant execute on function
tintype.visible_statement(regclass, text[], boolean),
tintype.visible_rows(regclass, text[], jsonb, text[], text[], integer[], bigint[]),
tintype.visible_of(text, jsonb, text[], text[], integer[], boolean),
tintype.shape_rows(regclass, regclass, json),
tintype.await_commits(bigint[])
to service_role;

revoke all on tintype.changes from public, anon, authenticated, service_role;
grant select, delete on tintype.changes to service_role;

revoke all on function
tintype.topic_rights(text[], text, text),
tintype.prune_messages(integer, integer),
tintype.note_change(),
tintype.noted_tables(boolean),
tintype.note_table(regclass, boolean),
tintype.stop_notes()
from public, anon, authenticated, service_role;
grant execute on function
tintype.topic_rights(text[], text, text),
tintype.prune_messages(integer, integer),
tintype.noted_tables(boolean),
tintype.note_table(regclass, boolean),
tintype.stop_notes()
to service_role;

-- Row-level security decides about private channels: what no policy names is denied. On a Supabase
-- project the schema belongs to another role, which granted all this itself.
do $$
begin
  if exists (
    select from pg_class as c
    where c.oid = to_regclass('realtime.messages') and pg_has_role(c.relowner, 'usage')
  ) then
    alter table realtime.messages enable row level security;
    revoke all on realtime.messages from public, anon, authenticated, service_role;
    grant usage on schema realtime to anon, authenticated, service_role;
    grant select, insert on realtime.messages to anon, authenticated, service_role;
    revoke all on function
      realtime.topic(),
      realtime.send(jsonb, text, text, boolean),
      realtime.broadcast_changes(text, text, text, text, text, record, record, text)
    from public;
    grant execute on function
      realtime.topic(),
      realtime.send(jsonb, text, text, boolean),
      realtime.broadcast_changes(text, text, text, text, text, record, record, text)
    to anon, authenticated, service_role;
  end if;
end
$$;
