-- Batches, models and identities: an owner begins one, reads own ones and removes them; their
-- course is written by the verbs alone. The service role is the app's own server.
alter table public.batches enable row level security;
alter table public.models enable row level security;
alter table public.trained_identities enable row level security;
alter table public.training_steps enable row level security;

revoke all on
public.batches, public.models, public.trained_identities, public.training_steps
from public, anon, authenticated, service_role;
-- A Supabase project grants new sequences to everybody by default.
revoke all on sequence public.batches_id_seq, public.models_id_seq
from public, anon, authenticated, service_role;

grant select on
public.batches, public.models, public.trained_identities, public.training_steps
to authenticated, service_role;
grant delete on public.batches, public.models, public.trained_identities
to authenticated, service_role;
grant insert (
  user_id, project_id, model_id, identity_id, prompt, aspect_ratio, reference_image_urls,
  total_images, status
) on public.batches to authenticated, service_role;
grant insert (user_id, name, base_model, trigger_word, images_count, status)
on public.models to authenticated, service_role;
grant update (name) on public.models to authenticated, service_role;
grant update (identity_name) on public.trained_identities to authenticated, service_role;
grant usage on sequence public.batches_id_seq, public.models_id_seq
to authenticated, service_role;

drop policy if exists "owner reads" on public.batches;
create policy "owner reads" on public.batches for select to authenticated
using (user_id = (select auth.uid()));

drop policy if exists "owner begins" on public.batches;
create policy "owner begins" on public.batches for insert to authenticated
with check (
  user_id = (select auth.uid())
  and status in ('pending', 'processing')
  and (
    project_id is null
    or exists (
      select from public.projects as p
      where p.id = project_id and p.user_id = (select auth.uid())
    )
  )
);

drop policy if exists "owner removes ended ones" on public.batches;
create policy "owner removes ended ones" on public.batches for delete to authenticated
using (user_id = (select auth.uid()) and (status in ('completed', 'failed') or job_id is null));

drop policy if exists "owner reads" on public.models;
create policy "owner reads" on public.models for select to authenticated
using (user_id = (select auth.uid()));

drop policy if exists "owner begins" on public.models;
create policy "owner begins" on public.models for insert to authenticated
with check (user_id = (select auth.uid()) and status = 'training');

drop policy if exists "owner renames" on public.models;
create policy "owner renames" on public.models for update to authenticated
using (user_id = (select auth.uid()))
with check (user_id = (select auth.uid()));

drop policy if exists "owner removes" on public.models;
create policy "owner removes" on public.models for delete to authenticated
using (user_id = (select auth.uid()));

drop policy if exists "owner reads" on public.trained_identities;
create policy "owner reads" on public.trained_identities for select to authenticated
using (user_id = (select auth.uid()));

drop policy if exists "owner renames" on public.trained_identities;
create policy "owner renames" on public.trained_identities for update to authenticated
using (user_id = (select auth.uid()))
with check (user_id = (select auth.uid()));

drop policy if exists "owner removes" on public.trained_identities;
create policy "owner removes" on public.trained_identities for delete to authenticated
using (user_id = (select auth.uid()));

drop policy if exists "owner reads" on public.training_steps;
create policy "owner reads" on public.training_steps for select to authenticated
using (user_id = (select auth.uid()));
