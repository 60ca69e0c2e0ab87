-- What realtime captures. A Supabase project has the publication already, with its own tables.
do $$
declare
  v_table regclass;
begin
  if not exists (select from pg_publication where pubname = 'supabase_realtime') then
    create publication supabase_realtime;
  end if;
  -- From Postgres 18 on, generated columns come along.
  if current_setting('server_version_num')::integer >= 180000 then
    execute 'alter publication supabase_realtime set (publish_generated_columns = stored)';
  end if;
  foreach v_table in array array[
    'public.jobs', 'public.generations', 'public.projects', 'public.templates',
    'public.credit_accounts'
  ]::regclass[]
  loop
    if not exists (
      select
      from pg_publication_rel as r
      inner join pg_publication as p on r.prpubid = p.oid
      where p.pubname = 'supabase_realtime' and r.prrelid = v_table
    ) then
      execute format('alter publication supabase_realtime add table %s', v_table);
    end if;
  end loop;
end
$$;

-- The replication slots of running servers. One whose server has not been seen for a while is
-- dropped by another: a slot that nobody reads keeps the log for ever.
create table tintype.captures (
  slot text primary key,
  seen_at timestamptz not null default now()
);
