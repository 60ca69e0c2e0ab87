-- Accounts, and the entries they are the sum of. Entries are only ever added.

create table public.credit_accounts (
  user_id uuid primary key,
  -- Settled credits. A hold leaves them alone and counts in `held` until it resolves.
  balance bigint not null default 0,
  held bigint not null default 0,
  available bigint not null generated always as (balance - held) stored,
  is_premium boolean not null default false,
  created_at timestamptz not null default now(),
  constraint balance_is_not_negative check (balance >= 0),
  constraint held_is_not_negative check (held >= 0),
  constraint held_is_covered check (held <= balance)
) with (fillfactor = 50, autovacuum_vacuum_cost_delay = 0);

-- grant     part 0: credits are added, once per (user, reference)
-- hold      part 0: `units` outputs of one price are set aside under an opaque hold_id
-- capture   part 1: the hold resolves, the units delivered are paid for
-- release   part 1: the hold resolves and nothing is paid; part 2: the rest beside a capture
create table public.credit_entries (
  id bigint generated always as identity,
  user_id uuid not null,
  kind text not null,
  amount bigint not null,
  units integer not null default 0,
  hold_id uuid,
  part smallint not null default 0,
  reference text,
  note text,
  created_at timestamptz not null,
  primary key (user_id, id),
  constraint amount_is_not_negative check (amount >= 0),
  constraint hold_id_unless_grant check ((hold_id is null) = (kind = 'grant')),
  constraint hold_divides_by_unit check (kind <> 'hold' or (units > 0 and amount % units = 0)),
  constraint kind_is_known_and_fits_its_part check (
    (kind in ('grant', 'hold') and part = 0)
    or (kind = 'capture' and part = 1)
    or (kind = 'release' and part in (1, 2))
  )
);

-- A hold is unique by its id, and so is its resolution: whatever resolves a hold writes part 1.
create unique index credit_entries_once_per_hold on public.credit_entries (hold_id, part)
where hold_id is not null;
-- A grant with a reference (a payment's id) counts once.
create unique index credit_entries_once_per_reference on public.credit_entries (user_id, reference)
where kind = 'grant' and reference is not null;
