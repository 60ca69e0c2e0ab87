-- Credits: grant, hold, capture, release. These functions know accounts and holds, and nothing of
-- what a hold is for. Every one locks accounts in the order of user_id before it reads a balance.

-- Opens the account if there is none, with the welcome credits as its first entry. Returns
-- whether it was opened by this call.
create or replace function tintype.open_account(p_user_id uuid, p_welcome bigint)
returns boolean
language plpgsql security definer
set search_path = ''
as $$
begin
  insert into public.credit_accounts (user_id, balance)
  values (p_user_id, p_welcome)
  on conflict (user_id) do nothing;
  if not found then
    return false;
  end if;
  if p_welcome > 0 then
    insert into public.credit_entries (user_id, kind, amount, reference, note, created_at)
    values (p_user_id, 'grant', p_welcome, 'welcome', 'Welcome', tintype.clock());
  end if;
  return true;
end
$$;

-- Adds credits to an account, opening it if need be. A reference (a payment's id) counts once:
-- the same one again returns false and changes nothing. Locks the account. TT400 unless the
-- amount is positive.
create or replace function tintype.grant_credits(
  p_user_id uuid, p_amount bigint, p_reference text default null, p_note text default null
) returns boolean
language plpgsql security definer
set search_path = ''
as $$
begin
  if p_amount is null or p_amount <= 0 then
    raise exception using errcode = 'TT400', message = 'A grant is a positive number of credits.';
  end if;
  perform tintype.open_account(p_user_id, 0);
  perform from public.credit_accounts where user_id = p_user_id for update;
  insert into public.credit_entries (user_id, kind, amount, reference, note, created_at)
  values (p_user_id, 'grant', p_amount, p_reference, p_note, tintype.clock())
  on conflict do nothing;
  if not found then
    return false;
  end if;
  update public.credit_accounts set balance = balance + p_amount where user_id = p_user_id;
  return true;
end
$$;

-- Sets credits aside, one hold for each of `[{user_id, amount, units, hold_id}]`, in the order
-- given; one that its account cannot cover is refused and the others stand. Returns a row per
-- hold: `outcome` is held, insufficient or no_account; `available` is what is left after it.
-- A premium account holds nothing, under an entry of 0. Locks the accounts in order.
create or replace function tintype.hold(p_holds json)
returns table (ordinal integer, outcome text, amount bigint, available bigint)
language plpgsql security definer
set search_path = ''
as $$
declare
  v_now constant timestamptz := tintype.clock();
  v_short uuid[];
begin
  perform from public.credit_accounts as a
  where a.user_id in (
    select w.user_id from pg_catalog.json_to_recordset(p_holds) as w (user_id uuid)
  )
  order by a.user_id
  for update;

  -- The accounts that do not cover all that is asked of them at once are gone through by hand.
  select pg_catalog.array_agg(t.user_id) into v_short
  from (
    select a.user_id
    from pg_catalog.json_to_recordset(p_holds) as w (user_id uuid, amount bigint)
    inner join public.credit_accounts as a on w.user_id = a.user_id
    where not a.is_premium
    group by a.user_id, a.available
    having sum(w.amount) > a.available
  ) as t;

  return query
  with wanted as (
    select
      w.ordinality::integer as ordinal,
      w.user_id,
      w.hold_id,
      w.units,
      case when a.is_premium then 0 else w.amount end as amount,
      a.user_id is not null as has_account,
      a.available
    from rows from (
      pg_catalog.json_to_recordset(p_holds)
      as (user_id uuid, amount bigint, units integer, hold_id uuid)
    ) with ordinality as w (user_id, amount, units, hold_id, ordinality)
    left join public.credit_accounts as a on w.user_id = a.user_id
    where v_short is null or w.user_id <> all (v_short)
  ),
  written as (
    insert into public.credit_entries (user_id, kind, amount, units, hold_id, created_at)
    select w.user_id, 'hold', w.amount, w.units, w.hold_id, v_now
    from wanted as w
    where w.has_account
  ),
  moved as (
    update public.credit_accounts as a
    set held = a.held + t.total
    from (
      select w.user_id, sum(w.amount) as total from wanted as w where w.has_account group by 1
    ) as t
    where a.user_id = t.user_id and t.total > 0
  )
  select
    w.ordinal,
    case when w.has_account then 'held' else 'no_account' end,
    w.amount,
    coalesce(
      w.available - sum(w.amount) over (partition by w.user_id order by w.ordinal), 0
    )::bigint
  from wanted as w;

  if v_short is not null then
    return query select * from tintype.hold_one_by_one(p_holds, v_short, v_now);
  end if;
end
$$;

-- The holds of accounts that cannot cover all of theirs: first come, first held. Called by hold,
-- which has locked the accounts.
create or replace function tintype.hold_one_by_one(
  p_holds json, p_user_ids uuid[], p_now timestamptz
)
returns table (ordinal integer, outcome text, amount bigint, available bigint)
language plpgsql security definer
set search_path = ''
as $$
declare
  v_wanted record;
begin
  for v_wanted in
    select w.*
    from rows from (
      pg_catalog.json_to_recordset(p_holds)
      as (user_id uuid, amount bigint, units integer, hold_id uuid)
    ) with ordinality as w (user_id, amount, units, hold_id, ordinality)
    where w.user_id = any (p_user_ids)
    order by w.ordinality
  loop
    ordinal := v_wanted.ordinality;
    amount := v_wanted.amount;
    update public.credit_accounts as a
    set held = a.held + v_wanted.amount
    where a.user_id = v_wanted.user_id and a.balance - a.held >= v_wanted.amount
    returning a.available into available;
    if found then
      outcome := 'held';
      insert into public.credit_entries (user_id, kind, amount, units, hold_id, created_at)
      values (
        v_wanted.user_id, 'hold', v_wanted.amount, v_wanted.units, v_wanted.hold_id, p_now
      );
    else
      outcome := 'insufficient';
      select a.available into available
      from public.credit_accounts as a
      where a.user_id = v_wanted.user_id;
    end if;
    return next;
  end loop;
end
$$;

-- Resolves each hold once: pays for `units` of it (capped at what was held) and releases the rest;
-- 0 units releases it all. A hold that is resolved already is left as it is, so this may be
-- repeated. `p_user_ids` says whose each hold is. Locks their accounts in order, then looks for
-- open holds under a fresh snapshot. Returns a row for each hold that this call resolved.
create or replace function tintype.capture(
  p_hold_ids uuid[], p_units integer[], p_user_ids uuid[]
)
returns table (hold_id uuid, captured bigint, released bigint)
language plpgsql security definer
rows 100
set search_path = ''
as $$
declare
  v_now constant timestamptz := tintype.clock();
begin
  perform from public.credit_accounts as a
  where a.user_id in (select distinct u.user_id from unnest(p_user_ids) as u (user_id))
  order by a.user_id
  for no key update;

  return query
  with split as materialized (
    select
      e.hold_id,
      e.user_id,
      e.amount as held,
      least(w.units, e.units) as units,
      e.units - least(w.units, e.units) as units_left,
      e.amount / e.units * least(w.units, e.units) as captured
    from unnest(p_hold_ids, p_units, p_user_ids) as w (hold_id, units, user_id)
    inner join public.credit_entries as e
      on e.hold_id = w.hold_id and e.part = 0 and e.user_id = w.user_id
    where not exists (
      select from public.credit_entries as r where r.hold_id = w.hold_id and r.part = 1
    )
  ),
  resolved as (
    insert into public.credit_entries (user_id, kind, amount, units, hold_id, part, created_at)
    select
      s.user_id,
      case when s.units > 0 then 'capture' else 'release' end,
      case when s.units > 0 then s.captured else s.held end,
      case when s.units > 0 then s.units else s.units_left end,
      s.hold_id,
      1,
      v_now
    from split as s
    union all
    select s.user_id, 'release', s.held - s.captured, s.units_left, s.hold_id, 2, v_now
    from split as s
    where s.units > 0 and s.units_left > 0
  ),
  moved as (
    update public.credit_accounts as a
    set balance = a.balance - t.captured, held = a.held - t.held
    from (
      select s.user_id, sum(s.captured) as captured, sum(s.held) as held
      from split as s
      group by s.user_id
    ) as t
    where a.user_id = t.user_id and t.held > 0
  )
  select s.hold_id, s.captured, s.held - s.captured from split as s;
end
$$;

-- Resolves each hold without payment. As capture of 0 units.
create or replace function tintype.release(p_hold_ids uuid[], p_user_ids uuid[])
returns table (hold_id uuid, captured bigint, released bigint)
language sql security definer
set search_path = ''
as $$
  select *
  from tintype.capture(
    p_hold_ids, array_fill(0, array[coalesce(cardinality(p_hold_ids), 0)]), p_user_ids
  )
$$;

-- Makes an account premium (charged for nothing) or ordinary again; open holds stay as they are.
create or replace function tintype.set_premium(p_user_id uuid, p_is_premium boolean)
returns void
language plpgsql security definer
set search_path = ''
as $$
begin
  perform tintype.open_account(p_user_id, 0);
  update public.credit_accounts set is_premium = p_is_premium where user_id = p_user_id;
end
$$;
