-- A server keeps the list of captures, and asks on behalf of callers what they may see.
revoke all on tintype.captures from public, anon, authenticated, service_role;
grant select, insert, update, delete on tintype.captures to service_role;

revoke all on function
tintype.visible_rows(regclass, text[], jsonb, jsonb, bigint[]),
tintype.shape_rows(regclass, regclass, json),
tintype.await_commits(bigint[])
from public, anon, authenticated, service_role;
grant execute on function
tintype.visible_rows(regclass, text[], jsonb, jsonb, bigint[]),
tintype.shape_rows(regclass, regclass, json),
tintype.await_commits(bigint[])
to service_role;
