-- What is remembered is read by the kernel and written by its verbs; the operator's console speaks
-- as the kernel.
revoke all on tintype.job_history, tintype.function_logs
from public, anon, authenticated, service_role, tintype_worker;
grant select on tintype.job_history, tintype.function_logs to service_role;

revoke all on function
tintype.note_history(),
tintype.name_lost_worker(uuid[]),
tintype.prune_history(integer),
tintype.add_logs(json),
tintype.hasten(uuid),
tintype.search_users(text, uuid, integer, integer),
tintype.emails_of(uuid[])
from public;
grant execute on function
tintype.add_logs(json),
tintype.hasten(uuid),
tintype.search_users(text, uuid, integer, integer),
tintype.emails_of(uuid[])
to service_role;
