-- The one source of now in SQL.
create or replace function tintype.clock() returns timestamptz
language sql volatile
set search_path = ''
as $$ select pg_catalog.clock_timestamp() $$;

-- Says the smallest id of a job that was made at that time or later: ids grow with time.
create or replace function tintype.first_id(p_at timestamptz) returns uuid
language sql immutable
set search_path = ''
as $$
  select pg_catalog.rpad(
    pg_catalog.lpad(
      pg_catalog.to_hex((1000 * extract(epoch from p_at))::pg_catalog.int8), 12, '0'
    ),
    32,
    '0'
  )::pg_catalog.uuid
$$;
