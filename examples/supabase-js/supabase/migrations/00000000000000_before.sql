-- What a Supabase project has from the start: an app's tables are open to its roles, row-level
-- security decides.
alter default privileges in schema public
grant select, insert, update, delete on tables to anon, authenticated, service_role;
alter default privileges in schema public
grant usage, select on sequences to anon, authenticated, service_role;
create schema if not exists extensions;
grant usage on schema extensions to anon, authenticated, service_role;
