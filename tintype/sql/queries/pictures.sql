-- name: to_remove
select
  g.id, g.user_id, g.bucket, g.path, g.thumbnail_url,
  g.metadata ->> 'thumbnail_path' as thumbnail_path,
  g.status = 'generating' or coalesce(j.status in ('queued', 'processing'), false) as is_under_way
from public.generations as g
left join public.jobs as j on g.job_id = j.id
where g.id = any($1) and ($2::uuid is null or g.user_id = $2)
order by g.id;

-- name: remove
select tintype.remove_generations($1, $2);
