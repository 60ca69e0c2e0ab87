-- name: bucket
select
  id,
  name,
  coalesce(owner::text, '') as owner,
  coalesce(public, false) as public,
  file_size_limit,
  allowed_mime_types,
  created_at,
  updated_at
from storage.buckets
where id = $1;

-- name: buckets
select
  id,
  name,
  coalesce(owner::text, '') as owner,
  coalesce(public, false) as public,
  file_size_limit,
  allowed_mime_types,
  created_at,
  updated_at
from storage.buckets
where $1::text is null or name ilike '%' || $1 || '%'
order by
  case when $3 then case $2 when 'created_at' then created_at when 'updated_at' then updated_at end
  end desc,
  case $2 when 'created_at' then created_at when 'updated_at' then updated_at end asc,
  case when $3 then name end desc,
  name asc
limit $4 offset $5;

-- name: create_bucket
insert into storage.buckets (
  id, name, public, file_size_limit, allowed_mime_types, owner, owner_id
)
values ($1, $1, $2, $3, $4, $5, $6);

-- name: update_bucket
update storage.buckets
set
  public = coalesce($2, public),
  file_size_limit = case when $3 then $4 else file_size_limit end,
  allowed_mime_types = case when $5 then $6 else allowed_mime_types end,
  updated_at = now()
where id = $1
returning id;

-- name: delete_bucket
delete from storage.buckets
where id = $1
returning id;

-- name: first_names
select name
from storage.objects
where bucket_id = $1
order by name
limit $2;

-- name: object
select
  id,
  name,
  bucket_id,
  owner,
  owner_id,
  version,
  metadata,
  user_metadata,
  created_at,
  updated_at,
  last_accessed_at
from storage.objects
where bucket_id = $1 and name = $2;

-- name: existing
select name
from storage.objects
where bucket_id = $1 and name = any($2::text[]);

-- name: add
insert into storage.objects (
  bucket_id, name, version, metadata, user_metadata, owner, owner_id
)
values ($1, $2, $3, $4, $5, $6, $7);

-- name: add_or_replace
with added as (
  insert into storage.objects (
    bucket_id, name, version, metadata, user_metadata, owner, owner_id
  )
  values ($1, $2, $3, $4, $5, $6, $7)
  on conflict do nothing
  returning id
),

replaced as (
  update storage.objects
  set
    version = $3,
    metadata = $4,
    user_metadata = $5,
    owner = $6,
    owner_id = $7
  where bucket_id = $1 and name = $2
  returning id
)

select id from added
union all
select id from replaced;

-- name: move
update storage.objects
set
  bucket_id = $4,
  name = $5,
  version = $6,
  updated_at = now()
where bucket_id = $1 and name = $2 and version = $3
returning id;

-- name: hand_over
update storage.objects
set
  owner = $4,
  owner_id = $5
where bucket_id = $1 and name = $2 and version = $3 and owner_id like 'worker:%'
returning id;

-- name: remove
delete from storage.objects
where bucket_id = $1 and name = any($2::text[])
returning
  id, name, bucket_id, owner, owner_id, version, metadata, user_metadata,
  created_at, updated_at, last_accessed_at;

-- name: list
with below as (
  select
    id,
    metadata,
    created_at,
    updated_at,
    last_accessed_at,
    split_part(substr(name, length($2) + 1), '/', 1) as entry,
    strpos(substr(name, length($2) + 1), '/') > 0 as is_folder
  from storage.objects
  where
    bucket_id = $1
    and (length($2) = 0 or (name collate "C" >= $2 and name collate "C" < $3))
),

entries as (
  select
    entry as name,
    null::uuid as id,
    null::jsonb as metadata,
    null::timestamptz as created_at,
    null::timestamptz as updated_at,
    null::timestamptz as last_accessed_at,
    null::timestamptz as moment,
    true as is_folder
  from below
  where is_folder
  group by entry
  union all
  select
    entry as name,
    id,
    metadata,
    created_at,
    updated_at,
    last_accessed_at,
    case $5
      when 'created_at' then created_at
      when 'updated_at' then updated_at
      when 'last_accessed_at' then last_accessed_at
    end as moment,
    false as is_folder
  from below
  where not is_folder
)

select
  name,
  id,
  metadata,
  created_at,
  updated_at,
  last_accessed_at
from entries
where starts_with(lower(name), lower($4))
order by
  is_folder desc,
  case when $6 then moment end desc,
  moment asc,
  case when $6 then name end collate "C" desc,
  name collate "C" asc
limit $7 offset $8;

-- name: versions
select
  o.name, o.version
from storage.objects as o
where o.bucket_id = $1 and o.name = any($2);

-- name: names_below
select o.name
from storage.objects as o
where o.bucket_id = $1 and o.name collate "C" >= $2 and o.name collate "C" < $3
order by o.name collate "C"
limit $4;

-- name: uploads_below
select u.id, u.name
from tintype.uploads as u
where
  u.bucket_id = $1
  and u.name collate "C" >= $2 and u.name collate "C" < $3
  and u.completed_at is null;

-- name: count_below
select
  (
    select count(*)
    from storage.objects as o
    where o.bucket_id = $1 and o.name collate "C" >= $2 and o.name collate "C" < $3
  ) as objects,
  (
    select count(*)
    from tintype.uploads as u
    where
      u.bucket_id = $1
      and u.name collate "C" >= $2 and u.name collate "C" < $3
      and u.completed_at is null
  ) as uploads;

-- name: upload
select
  u.id,
  u.bucket_id,
  u.name,
  u.role,
  u.owner_id,
  u.upsert,
  u.length_bytes,
  u.media_type,
  u.cache_control,
  u.user_metadata,
  u.header,
  u.expires_at,
  u.completed_at is not null as is_complete,
  tintype.upload_offset(u.id) as offset_bytes,
  (select count(*) from tintype.upload_parts as p where p.upload_id = u.id) as parts
from tintype.uploads as u
where u.id = $1 and u.expires_at > tintype.clock();

-- name: upload_parts
select key, size_bytes
from tintype.upload_parts
where upload_id = $1
order by start_bytes;

-- name: expired_uploads
select id, bucket_id, name, completed_at is not null as is_complete
from tintype.uploads
where expires_at <= tintype.clock()
order by expires_at
limit $1;

-- name: list_v2
with below as (
  select
    id,
    name,
    metadata,
    created_at,
    updated_at,
    last_accessed_at,
    case when $4 then strpos(substr(name, length($2) + 1), '/') else 0 end as slash
  from storage.objects
  where
    bucket_id = $1
    and (length($2) = 0 or (name collate "C" >= $2 and name collate "C" < $3))
),

entries as (
  select
    substr(name, 1, length($2) + slash) as name,
    null::uuid as id,
    null::jsonb as metadata,
    min(created_at) as created_at,
    max(updated_at) as updated_at,
    null::timestamptz as last_accessed_at
  from below
  where slash > 0
  group by substr(name, 1, length($2) + slash)
  union all
  select
    name,
    id,
    metadata,
    created_at,
    updated_at,
    last_accessed_at
  from below
  where slash = 0
),

sorted as (
  select
    entries.*,
    case $5
      when 'created_at' then created_at
      when 'updated_at' then updated_at
      else timestamptz 'epoch'
    end as moment
  from entries
)

select
  name,
  id,
  metadata,
  created_at,
  updated_at,
  last_accessed_at,
  moment
from sorted
where
  $8::text is null
  or (not $6 and (moment, name collate "C") > ($7::timestamptz, $8))
  or ($6 and (moment, name collate "C") < ($7::timestamptz, $8))
order by
  case when $6 then moment end desc,
  case when $6 then name end collate "C" desc,
  moment asc,
  name collate "C" asc
limit $9;
