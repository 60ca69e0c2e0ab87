-- A user may ask for the places of own jobs in their lines.
revoke all on function public.queue_positions(uuid[])
from public, anon, authenticated, service_role;
grant execute on function public.queue_positions(uuid[]) to authenticated;
