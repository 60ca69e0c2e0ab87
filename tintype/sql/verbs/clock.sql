-- The one source of now in SQL.
create or replace function tintype.clock() returns timestamptz
language sql volatile
set search_path = ''
as $$ select pg_catalog.clock_timestamp() $$;
