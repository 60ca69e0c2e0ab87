-- A bucket of an app's own, which takes anything, for each in the folder of their id.
insert into storage.buckets (id, name, public) values ('things', 'things', false);

create policy "own things" on storage.objects for all to authenticated
using (bucket_id = 'things' and (storage.foldername(name))[1] = (select auth.uid())::text)
with check (bucket_id = 'things' and (storage.foldername(name))[1] = (select auth.uid())::text);
