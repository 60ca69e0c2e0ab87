-- What an owner may do to finished pictures and videos.

-- Removes rows of pictures and videos, a user's own or with null anybody's, and returns their ids.
-- What a job under way has made or is about to make stays: it is counted and paid for when that
-- job ends. Locks the rows. Removing twice removes once.
create or replace function tintype.remove_generations(p_ids uuid[], p_user_id uuid)
returns setof uuid
language sql security definer
rows 10
set search_path = ''
as $$
  delete from public.generations as g
  where
    g.id = any(p_ids)
    and (p_user_id is null or g.user_id = p_user_id)
    and g.status <> 'generating'
    and not exists (
      select from public.jobs as j
      where j.id = g.job_id and j.status in ('queued', 'processing')
    )
  returning g.id;
$$;
