-- What apps may do. Row-level security is on everywhere; the owner reads own rows; jobs, outputs
-- and credits are changed by the verbs alone.
grant usage on schema public to anon, authenticated, service_role;

alter table public.jobs enable row level security;
alter table public.generations enable row level security;
alter table public.credit_accounts enable row level security;
alter table public.credit_entries enable row level security;
alter table public.projects enable row level security;
alter table public.templates enable row level security;

-- The names the apps use. Each runs with its caller's rights.
create or replace view public.images with (security_invoker = true) as
select * from public.generations where media_type = 'image';

-- Finished ones: whoever reads photos knows of no others.
create or replace view public.photos with (security_invoker = true) as
select * from public.generations where media_type = 'image' and status = 'completed';

create or replace view public.videos with (security_invoker = true) as
select * from public.generations where media_type = 'video';

create or replace view public.generation_jobs with (security_invoker = true) as
select
  j.id,
  j.user_id,
  j.template_id,
  j.project_id,
  j.prompt,
  case j.status
    when 'queued' then 'pending'
    when 'processing' then 'generating'
    when 'canceled' then 'failed'
    else j.status
  end as status,
  j.progress,
  j.quantity,
  j.result_urls,
  j.result_count,
  j.error_code,
  j.error_message,
  j.seq,
  j.created_at,
  j.started_at,
  j.completed_at
from public.jobs as j;

revoke all on
public.jobs, public.generations, public.credit_accounts, public.credit_entries, public.projects,
public.templates, public.images, public.photos, public.videos, public.generation_jobs
from public, anon, authenticated, service_role;

-- A Supabase project grants new sequences to everybody by default.
revoke all on sequence public.credit_entries_id_seq
from public, anon, authenticated, service_role;

grant select on
public.jobs, public.generations, public.credit_accounts, public.credit_entries,
public.images, public.photos, public.videos, public.generation_jobs
to authenticated, service_role;
grant select, insert, update, delete on public.projects, public.templates
to authenticated, service_role;

-- A row that waits for its job, and nothing of what a job will write into it.
alter view public.images alter column status set default 'pending';
alter view public.videos alter column status set default 'pending';
alter view public.videos alter column media_type set default 'video';
grant insert (id, user_id, project_id, media_type, status, prompt, metadata)
on public.generations, public.images, public.videos to authenticated;
grant usage on sequence tintype.change_seq to authenticated;

drop policy if exists "owner reads" on public.jobs;
create policy "owner reads" on public.jobs for select to authenticated
using (user_id = (select auth.uid()));

drop policy if exists "owner reads" on public.generations;
create policy "owner reads" on public.generations for select to authenticated
using (user_id = (select auth.uid()));

drop policy if exists "owner adds pending ones" on public.generations;
create policy "owner adds pending ones" on public.generations for insert to authenticated
with check (
  user_id = (select auth.uid())
  and status = 'pending'
  and (
    project_id is null
    or exists (
      select from public.projects as p
      where p.id = project_id and p.user_id = (select auth.uid())
    )
  )
);

drop policy if exists "owner reads" on public.credit_accounts;
create policy "owner reads" on public.credit_accounts for select to authenticated
using (user_id = (select auth.uid()));

drop policy if exists "owner reads" on public.credit_entries;
create policy "owner reads" on public.credit_entries for select to authenticated
using (user_id = (select auth.uid()));

drop policy if exists "owner does all" on public.projects;
create policy "owner does all" on public.projects for all to authenticated
using (user_id = (select auth.uid()))
with check (user_id = (select auth.uid()));

drop policy if exists "owner does all" on public.templates;
create policy "owner does all" on public.templates for all to authenticated
using (user_id = (select auth.uid()))
with check (user_id = (select auth.uid()));

drop policy if exists "everyone reads public ones" on public.templates;
create policy "everyone reads public ones" on public.templates for select to authenticated
using (is_public);

revoke all on function public.claim_next_job(text) from public, anon, authenticated, service_role;
revoke all on function public.complete_job_with_result(uuid, text[], integer)
from public, anon, authenticated, service_role;
grant execute on function public.claim_next_job(text) to service_role;
grant execute on function public.complete_job_with_result(uuid, text[], integer) to service_role;
