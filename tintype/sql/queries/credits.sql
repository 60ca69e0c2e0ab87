-- name: account
select a.user_id, a.balance, a.held, a.available, a.is_premium
from public.credit_accounts as a
where a.user_id = $1;

-- name: hold
select
  h.hold_id, h.user_id, h.amount, h.units,
  coalesce(sum(r.amount) filter (where r.kind = 'capture'), 0)::bigint as captured,
  coalesce(sum(r.amount) filter (where r.kind = 'release'), 0)::bigint as released
from public.credit_entries as h
left join public.credit_entries as r on h.hold_id = r.hold_id and r.part > 0
where h.hold_id = $1 and h.part = 0
group by h.user_id, h.id;

-- name: accounts
select a.user_id, a.balance, a.held, a.available, a.is_premium
from public.credit_accounts as a
order by a.created_at, a.user_id
limit $1;

-- name: statement
select e.id, e.kind, e.amount, e.units, e.hold_id, e.note, e.created_at
from public.credit_entries as e
where e.user_id = $1
order by e.id desc
limit $2;

-- name: verify_counts
select
  (select count(*) from public.credit_accounts) as accounts,
  (select count(*) from public.credit_entries as e where e.kind = 'hold') as holds,
  (
    select count(*) from public.credit_entries as e
    where e.kind = 'hold' and not exists (
      select from public.credit_entries as r where r.hold_id = e.hold_id and r.part = 1
    )
  ) as open_holds,
  (select count(*) from public.jobs) as jobs;

-- name: verify
with holds as (
  select
    e.hold_id,
    min(e.user_id::text) as user_id,
    count(distinct e.user_id) as users,
    sum(e.amount) filter (where e.kind = 'hold') as held,
    sum(e.units) filter (where e.kind = 'hold') as units,
    sum(e.units) filter (where e.kind = 'capture') as units_captured,
    coalesce(sum(e.amount) filter (where e.kind = 'capture'), 0) as captured,
    coalesce(sum(e.amount) filter (where e.kind = 'release'), 0) as released,
    bool_or(e.part = 1) as is_resolved
  from public.credit_entries as e
  where e.hold_id is not null
  group by e.hold_id
),
accounts as (
  select
    a.user_id, a.balance, a.held,
    coalesce(sum(e.amount) filter (where e.kind = 'grant'), 0)
    - coalesce(sum(e.amount) filter (where e.kind = 'capture'), 0) as balance_of_entries,
    coalesce(sum(e.amount) filter (where e.kind = 'hold'), 0)
    - coalesce(sum(e.amount) filter (where e.kind in ('capture', 'release')), 0) as held_of_entries
  from public.credit_accounts as a
  left join public.credit_entries as e on a.user_id = e.user_id
  group by a.user_id
),
findings as (
  select
    'balance_is_the_sum_of_its_entries' as rule, a.user_id::text as subject,
    format('balance %s, entries say %s', a.balance, a.balance_of_entries) as detail
  from accounts as a
  where a.balance <> a.balance_of_entries
  union all
  select
    'held_is_the_sum_of_open_holds', a.user_id::text,
    format('held %s, entries say %s', a.held, a.held_of_entries)
  from accounts as a
  where a.held <> a.held_of_entries
  union all
  select
    'balances_are_not_negative', a.user_id::text, format('balance %s, held %s', a.balance, a.held)
  from accounts as a
  where a.balance < 0 or a.held < 0 or a.held > a.balance
  union all
  select
    'captured_and_released_make_the_hold', h.hold_id::text,
    format('held %s, captured %s, released %s', h.held, h.captured, h.released)
  from holds as h
  where
    h.held is null
    or h.users <> 1
    or (h.is_resolved and h.captured + h.released <> h.held)
    or (not h.is_resolved and h.captured + h.released <> 0)
  union all
  select
    'every_entry_has_an_account', e.user_id::text, format('entry %s', e.id)
  from public.credit_entries as e
  left join public.credit_accounts as a on e.user_id = a.user_id
  where a.user_id is null
  union all
  select
    'a_job_has_a_hold_of_its_owner', j.id::text, coalesce('held for ' || h.user_id, 'no hold')
  from public.jobs as j
  left join holds as h on j.id = h.hold_id
  where h.hold_id is null or h.user_id <> j.user_id::text or h.units <> j.quantity
  union all
  select
    'a_hold_resolves_when_its_job_ends', j.id::text,
    format('job %s, hold %s', j.status, case when h.is_resolved then 'resolved' else 'open' end)
  from public.jobs as j
  inner join holds as h on j.id = h.hold_id
  where h.is_resolved <> (j.status in ('completed', 'failed', 'canceled'))
  union all
  select
    'what_was_delivered_is_what_is_paid', j.id::text,
    format('delivered %s, captured %s', j.result_count, coalesce(h.units_captured, 0))
  from public.jobs as j
  inner join holds as h on j.id = h.hold_id
  where h.is_resolved and coalesce(h.units_captured, 0) <> j.result_count
)
select f.rule, f.subject, f.detail from findings as f order by f.rule, f.subject limit $1;
