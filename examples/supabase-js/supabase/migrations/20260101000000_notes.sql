create table public.notes (
  id uuid primary key default gen_random_uuid(),
  user_id uuid not null default auth.uid() references auth.users (id) on delete cascade,
  body text not null,
  created_at timestamptz not null default now()
);

alter table public.notes enable row level security;

create policy "own notes" on public.notes for all to authenticated
using (user_id = (select auth.uid()))
with check (user_id = (select auth.uid()));

alter publication supabase_realtime add table public.notes;

insert into storage.buckets (id, name, public) values ('avatars', 'avatars', true);

create policy "own avatar" on storage.objects for insert to authenticated
with check (
  bucket_id = 'avatars' and (storage.foldername(name))[1] = (select auth.uid())::text
);
