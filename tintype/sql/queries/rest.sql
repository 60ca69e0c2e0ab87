-- name: relations
select
  c.oid,
  n.nspname as schema,
  c.relname as name,
  c.relkind::text as kind,
  pg_relation_is_updatable(c.oid, true) as updatable
from pg_class as c
inner join pg_namespace as n on c.relnamespace = n.oid
where
  n.nspname = any($1::text[])
  and c.relkind in ('r', 'p', 'v', 'm', 'f')
  and not c.relispartition
order by n.nspname, c.relname;

-- name: columns
with recursive domains as (
  select
    t.oid as type, t.oid as base, t.typtype, t.typbasetype
  from pg_type as t
  where t.typtype = 'd'
  union all
  select
    d.type, t.oid, t.typtype, t.typbasetype
  from domains as d
  inner join pg_type as t on d.typbasetype = t.oid
  where d.typtype = 'd'
)

select
  a.attrelid as relation,
  a.attnum as position,
  a.attname as name,
  format_type(a.atttypid, -1) as type,
  format_type(coalesce(d.base, a.atttypid), -1) as base,
  case
    when a.attgenerated <> '' then null
    when a.attidentity <> ''
      then (
        select format('nextval(%L::regclass)', s.objid::regclass)
        from pg_depend as s
        where
          s.classid = 'pg_class'::regclass
          and s.refclassid = 'pg_class'::regclass
          and s.refobjid = a.attrelid
          and s.refobjsubid = a.attnum
          and s.deptype = 'i'
      )
    else pg_get_expr(f.adbin, f.adrelid)
  end as default_value
from pg_attribute as a
inner join pg_class as c on a.attrelid = c.oid
inner join pg_namespace as n on c.relnamespace = n.oid
left join domains as d on a.atttypid = d.type and d.typtype <> 'd'
left join pg_attrdef as f on a.attrelid = f.adrelid and a.attnum = f.adnum
where
  n.nspname = any($1::text[])
  and c.relkind in ('r', 'p', 'v', 'm', 'f')
  and not c.relispartition
  and a.attnum > 0
  and not a.attisdropped
order by a.attrelid, a.attnum;

-- name: keys
select
  k.conrelid as relation,
  k.contype::text as kind,
  k.conname as name,
  k.conkey::int[] as columns,
  k.confrelid as target,
  k.confkey::int[] as target_columns
from pg_constraint as k
inner join pg_class as c on k.conrelid = c.oid
inner join pg_namespace as n on c.relnamespace = n.oid
where
  n.nspname = any($1::text[])
  and k.contype in ('p', 'u', 'f')
  and k.conparentid = 0
order by k.conrelid, k.conname;

-- name: views
select
  r.ev_class as relation, r.ev_action::text as tree
from pg_rewrite as r
inner join pg_class as c on r.ev_class = c.oid
inner join pg_namespace as n on c.relnamespace = n.oid
where
  n.nspname = any($1::text[])
  and c.relkind in ('v', 'm')
  and r.ev_type = '1'
order by r.ev_class;

-- name: functions
select
  p.oid,
  n.nspname as schema,
  p.proname as name,
  p.provolatile::text as volatility,
  p.proretset as returns_set,
  p.prorows as rows_expected,
  p.prorettype = 'void'::regtype as returns_void,
  t.typtype::text as return_kind,
  t.typrelid as return_relation,
  format_type(p.prorettype, -1) as return_type,
  p.proargnames as names,
  p.proargmodes::text[] as modes,
  array(
    select format_type(x.type, -1)
    from
      unnest(coalesce(p.proallargtypes, p.proargtypes::oid[]))
      with ordinality as x (type, place)
    order by x.place
  ) as types,
  (
    select y.typrelid
    from pg_type as y
    where y.oid = p.proargtypes[0]
  ) as first_relation,
  p.pronargs as inputs,
  p.pronargdefaults as defaults
from pg_proc as p
inner join pg_namespace as n on p.pronamespace = n.oid
inner join pg_type as t on p.prorettype = t.oid
where
  n.nspname = any($1::text[])
  and p.prokind = 'f'
  and p.prorettype not in ('trigger'::regtype, 'event_trigger'::regtype)
order by n.nspname, p.proname, p.oid;

-- name: types
select
  t.typname as name, format_type(t.oid, -1) as type
from pg_type as t
inner join pg_namespace as n on t.typnamespace = n.oid
where
  (n.nspname = 'pg_catalog' or n.nspname = any($1::text[]))
  and t.typtype in ('b', 'd', 'e', 'r', 'm')
  and t.typcategory <> 'A'
  and t.typname !~ '^(reg|pg_|_)'
  and t.typname <> 'cstring'
order by n.nspname = 'pg_catalog', t.typname;

-- name: timezones
select z.name
from pg_timezone_names as z;

-- name: schema_comment
select obj_description(n.oid, 'pg_namespace')
from pg_namespace as n
where n.nspname = $1;

-- name: described_columns
with exposed as (
  select
    c.oid,
    c.relname,
    c.relkind
  from pg_class as c
  inner join pg_namespace as n on c.relnamespace = n.oid
  where
    n.nspname = $1
    and c.relkind in ('r', 'p', 'v', 'm', 'f')
    and not c.relispartition
)

select
  c.relname as relation,
  obj_description(c.oid, 'pg_class') as relation_comment,
  has_any_column_privilege(c.oid, 'select') as selects,
  has_any_column_privilege(c.oid, 'insert') as inserts,
  has_any_column_privilege(c.oid, 'update') as updates,
  has_table_privilege(c.oid, 'delete') as deletes,
  a.attname as name,
  col_description(c.oid, a.attnum) as comment,
  format_type(a.atttypid, -1) as type,
  t.typcategory::text as category,
  pg_get_expr(d.adbin, d.adrelid) as default_value,
  a.attnotnull as not_null,
  case
    when a.atttypid in ('varchar'::regtype, 'bpchar'::regtype) and a.atttypmod > 4
      then a.atttypmod - 4
  end as length_max,
  array(
    select e.enumlabel
    from pg_enum as e
    where e.enumtypid = a.atttypid
    order by e.enumsortorder
  ) as labels
from exposed as c
inner join pg_attribute as a on c.oid = a.attrelid
inner join pg_type as t on a.atttypid = t.oid
left join pg_attrdef as d on a.attrelid = d.adrelid and a.attnum = d.adnum
where
  a.attnum > 0
  and not a.attisdropped
  and (
    has_table_privilege(c.oid, 'delete')
    or has_column_privilege(c.oid, a.attnum, 'select, insert, update')
  )
order by c.relname, a.attnum;

-- name: described_functions
select
  p.oid,
  obj_description(p.oid, 'pg_proc') as comment
from pg_proc as p
inner join pg_namespace as n on p.pronamespace = n.oid
where
  n.nspname = $1
  and p.prokind = 'f'
  and has_function_privilege(p.oid, 'execute')
order by p.proname, p.oid;
