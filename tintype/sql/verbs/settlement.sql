-- Where jobs and credits meet: submission (hold and enqueue) and settlement (end and capture).
-- Only these are open to the kernel's role, so that no job starts without a hold and none ends
-- without its resolution. A hold's id is its job's id; its units are the job's outputs.

-- Takes `[{user_id, job_id, amount, …}]` in one transaction: for each, in the order given, the
-- stored answer if its idempotency key was seen, else the hold and the job. A row that is refused
-- leaves nothing behind and does not disturb the others. `outcome` is accepted, replayed,
-- key_reused, insufficient, no_account, project_not_found, template_not_found, asset_not_found,
-- batch_not_found, batch_busy, model_not_found or model_busy. `asset_id` names an own row of images
-- or videos that the job is to fill, `batch_id` an own batch unless `is_new_batch`, and `model_id`
-- of a training an own model. Locks the keys, then those rows, then the accounts, then the shares,
-- each in order.
create or replace function tintype.submit(p_submissions json)
returns table (ordinal integer, outcome text, answer jsonb)
language plpgsql security definer
set search_path = ''
set plan_cache_mode = force_generic_plan
as $$
declare
  v_refused integer[] := '{}';
  v_repeated integer[] := '{}';
  v_candidates json := p_submissions;
  v_held json;
begin
  for ordinal, outcome, answer in select * from tintype.screen(p_submissions) loop
    if outcome = 'repeated' then
      v_repeated := v_repeated || ordinal;
    else
      v_refused := v_refused || ordinal;
      return next;
    end if;
  end loop;
  if cardinality(v_refused || v_repeated) > 0 then
    v_candidates := tintype.without(p_submissions, v_refused || v_repeated);
  end if;

  select
    json_agg(
      json_build_object(
        'ordinal', e.value -> 'ordinal', 'outcome', h.outcome, 'value', e.value,
        'answer', jsonb_build_object(
          'job_id', e.value ->> 'job_id', 'held', h.amount, 'available', h.available
        )
      )
    )
  into v_held
  from tintype.hold(v_candidates) as h
  inner join pg_catalog.json_array_elements(v_candidates)
    with ordinality as e (value, ordinality) on h.ordinal = e.ordinality;
  if v_held is not null then
    perform tintype.enqueue(
      (
        select json_agg(a.value)
        from pg_catalog.json_to_recordset(v_held) as a (outcome text, value json)
        where a.outcome = 'held'
        having count(*) > 0
      )
    );
    perform tintype.remember(v_held);
    return query
    select a.ordinal, case when a.outcome = 'held' then 'accepted' else a.outcome end, a.answer
    from pg_catalog.json_to_recordset(v_held)
      as a (ordinal integer, outcome text, answer jsonb);
  end if;
  -- A key that came twice in one batch: the second finds what became of the first.
  if cardinality(v_repeated) > 0 then
    select json_agg(e.value) into v_candidates
    from pg_catalog.json_array_elements(p_submissions) as e
    where (e.value ->> 'ordinal')::integer = any(v_repeated);
    return query select * from tintype.submit(v_candidates);
  end if;
end
$$;

-- The submissions but those of the ordinals given.
create or replace function tintype.without(p_submissions json, p_ordinals integer[]) returns json
language sql immutable
set search_path = ''
as $$
  select coalesce(json_agg(e.value order by e.ordinality), '[]')
  from pg_catalog.json_array_elements(p_submissions) with ordinality as e (value, ordinality)
  where (e.value ->> 'ordinal')::integer <> all(p_ordinals)
$$;

-- Locks the pictures, videos, batches and models that submissions name as theirs to fill or train,
-- each in order, and returns their ids. Those whose job goes on are left to it: they are refused
-- anyway, and its end locks them in another order.
create or replace function tintype.lock_named(
  p_submissions json, out p_asset_ids uuid[], out p_batch_ids bigint[], out p_model_ids bigint[]
)
language plpgsql security definer
set search_path = ''
as $$
begin
  p_asset_ids := array(
    select g.id from public.generations as g
    where
      g.id = any(
        array(
          select s.asset_id
          from pg_catalog.json_to_recordset(p_submissions) as s (asset_id uuid)
          where s.asset_id is not null
        )
      )
      and g.status in ('pending', 'failed')
    order by g.id
    for update
  );
  p_batch_ids := array(
    select b.id from public.batches as b
    where
      b.id = any(
        array(
          select s.batch_id
          from pg_catalog.json_to_recordset(p_submissions) as s (batch_id bigint)
          where s.batch_id is not null
        )
      )
      and (b.job_id is null or b.status = 'failed')
    order by b.id
    for update
  );
  p_model_ids := array(
    select m.id from public.models as m
    where
      m.id = any(
        array(
          select s.model_id
          from pg_catalog.json_to_recordset(p_submissions) as s (model_id bigint, job_type text)
          where s.job_type = 'train_model'
        )
      )
      and (m.job_id is null or m.status <> 'training')
    order by m.id
    for update
  );
end
$$;

-- The submissions that go no further: a key that was seen before, a project or template that is
-- not the user's, an asset that is not, or not pending or failed, or of another media type, or that
-- came earlier in the same batch; a batch or model that is not the user's, or has a job that goes
-- on; and as `repeated` those whose key came earlier. Locks the keys for the transaction, then the
-- assets, batches and models, each in order, so that two of the same come one after the other.
create or replace function tintype.screen(p_submissions json)
returns table (ordinal integer, outcome text, answer jsonb)
language plpgsql security definer
set search_path = ''
as $$
declare
  v_now constant timestamptz := tintype.clock();
  v_asset_ids uuid[];
  v_batch_ids bigint[];
  v_model_ids bigint[];
begin
  perform pg_catalog.pg_advisory_xact_lock(k.digest)
  from (
    select distinct pg_catalog.hashtextextended(s.user_id::text || s.route || s.key, 0) as digest
    from pg_catalog.json_to_recordset(p_submissions) as s (user_id uuid, route text, key text)
    where s.key is not null
    order by 1
  ) as k;
  select l.p_asset_ids, l.p_batch_ids, l.p_model_ids
  into v_asset_ids, v_batch_ids, v_model_ids
  from tintype.lock_named(p_submissions) as l;
  return query
  with wanted as (
    select
      s.*,
      s.key is not null and row_number() over (
        partition by s.user_id, s.route, s.key order by s.ordinal
      ) > 1 as is_repeated,
      row_number() over (partition by s.user_id, s.asset_id order by s.ordinal) > 1 as is_taken,
      s.batch_id is not null and not coalesce(s.is_new_batch, false) as fills_batch,
      row_number() over (partition by s.user_id, s.batch_id order by s.ordinal) > 1
        as is_batch_taken,
      s.job_type = 'train_model' as trains_model,
      row_number() over (partition by s.user_id, s.job_type, s.model_id order by s.ordinal) > 1
        as is_model_taken
    from pg_catalog.json_to_recordset(p_submissions) as s (
      ordinal integer, user_id uuid, route text, key text, fingerprint text, job_type text,
      project_id uuid, template_id uuid, asset_id uuid, video_id uuid, batch_id bigint,
      is_new_batch boolean, model_id bigint
    )
  )
  select j.ordinal, j.outcome, j.answer
  from (
    select
      s.ordinal,
      case
        when a.fingerprint = s.fingerprint then 'replayed'
        when a.fingerprint is not null then 'key_reused'
        when s.is_repeated then 'repeated'
        when s.project_id is not null and p.id is null then 'project_not_found'
        when s.template_id is not null and t.id is null then 'template_not_found'
        when s.asset_id is not null and g.id is null then 'asset_not_found'
        when s.fills_batch and b.id is null then 'batch_not_found'
        when s.fills_batch and (s.is_batch_taken or b.id <> all(v_batch_ids)) then 'batch_busy'
        when s.trains_model and m.id is null then 'model_not_found'
        when s.trains_model and (s.is_model_taken or m.id <> all(v_model_ids)) then 'model_busy'
      end as outcome,
      a.answer
    from wanted as s
    left join tintype.answers as a
      on s.user_id = a.user_id and s.route = a.route and s.key = a.key and a.expires_at > v_now
    left join public.projects as p on s.project_id = p.id and s.user_id = p.user_id
    left join public.templates as t
      on s.template_id = t.id and (s.user_id = t.user_id or t.is_public)
    left join public.generations as g
      on
        s.asset_id = g.id
        and s.user_id = g.user_id
        and g.id = any(v_asset_ids)
        and g.media_type = case when s.video_id is null then 'image' else 'video' end
        and not s.is_taken
    left join public.batches as b
      on s.batch_id = b.id and s.user_id = b.user_id and s.fills_batch
    left join public.models as m
      on s.model_id = m.id and s.user_id = m.user_id and s.trains_model
  ) as j
  where j.outcome is not null;
end
$$;

-- The answer that is stored for a key, and the fingerprint of the payload it answered.
create or replace function tintype.stored_answer(p_user_id uuid, p_route text, p_key text)
returns table (fingerprint text, answer jsonb)
language sql stable security definer
set search_path = ''
as $$
  select a.fingerprint, a.answer
  from tintype.answers as a
  where
    a.user_id = p_user_id
    and a.route = p_route
    and a.key = p_key
    and a.expires_at > tintype.clock()
$$;

-- Keeps the answers of accepted submissions that carry an idempotency key, for 24 hours.
create or replace function tintype.remember(p_held json) returns void
language sql security definer
set search_path = ''
as $$
  insert into tintype.answers as a (user_id, route, key, fingerprint, answer, expires_at)
  select
    s.user_id, s.route, s.key, s.fingerprint, h.answer, tintype.clock() + interval '24 hours'
  from pg_catalog.json_to_recordset(p_held) as h (outcome text, value json, answer jsonb)
  cross join lateral pg_catalog.json_to_record(h.value)
    as s (user_id uuid, route text, key text, fingerprint text)
  where h.outcome = 'held' and s.key is not null
  on conflict (user_id, route, key) do update
  set
    fingerprint = excluded.fingerprint,
    answer = excluded.answer,
    expires_at = excluded.expires_at
$$;

-- complete, and in the same transaction the capture of what was delivered and the release of the
-- rest. Closes the leases named whose work is done. Returns the jobs that this call ended.
create or replace function tintype.settle_complete(
  p_job_ids uuid[], p_attempts integer[], p_error_codes text[], p_error_messages text[],
  p_lease_ids uuid[]
)
returns setof tintype.ended
language plpgsql security definer
rows 100
set search_path = ''
set plan_cache_mode = force_generic_plan
as $$
declare
  v_job_ids uuid[];
  v_user_ids uuid[];
  v_delivered integer[];
  v_broken_off boolean[];
  v_has_assets boolean[];
  v_closed integer;
begin
  select
    array_agg(e.job_id), array_agg(e.user_id), array_agg(e.delivered), array_agg(e.broken_off),
    array_agg(e.has_assets)
  into v_job_ids, v_user_ids, v_delivered, v_broken_off, v_has_assets
  from tintype.complete(p_job_ids, p_attempts, p_error_codes, p_error_messages) as e;
  perform tintype.settle(v_job_ids, v_user_ids, v_delivered, v_broken_off, v_has_assets);
  -- A lease that is settled whole is known by its jobs; the others are looked through.
  delete from tintype.leases as l
  where l.id in (
    select c.id from tintype.leases as c
    where
      c.id = any(p_lease_ids)
      and c.job_ids = p_job_ids
      and cardinality(v_job_ids) = cardinality(p_job_ids)
    for update skip locked
  );
  get diagnostics v_closed = row_count;
  if v_closed < cardinality(p_lease_ids) then
    perform tintype.close_leases(p_lease_ids);
  end if;
  return query
  select e.job_id, e.user_id, 'completed', e.delivered, e.broken_off, e.has_assets
  from unnest(v_job_ids, v_user_ids, v_delivered, v_broken_off, v_has_assets)
    as e (job_id, user_id, delivered, broken_off, has_assets);
end
$$;

-- fail, and when it ended the job its capture and release.
create or replace function tintype.settle_fail(
  p_job_id uuid, p_attempt integer, p_error_code text, p_error_message text,
  p_delay_seconds double precision, p_spends_retry boolean, p_metadata jsonb default '{}'
)
returns table (status text, next_run_at timestamptz, retries smallint, delivered integer)
language plpgsql security definer
set search_path = ''
as $$
declare
  v_user_id uuid;
begin
  for status, next_run_at, retries, delivered, v_user_id in
    select * from tintype.fail(
      p_job_id, p_attempt, p_error_code, p_error_message, p_delay_seconds, p_spends_retry,
      p_metadata
    )
  loop
    if status in ('completed', 'failed') then
      perform tintype.settle(
        array[p_job_id], array[v_user_id], array[delivered], array[true], array[true]
      );
    end if;
    return next;
  end loop;
end
$$;

-- cancel, and its capture and release.
create or replace function tintype.settle_cancel(p_job_id uuid, p_user_id uuid, p_message text)
returns setof tintype.ended
language plpgsql security definer
set search_path = ''
as $$
declare
  v_job tintype.ended;
begin
  for v_job in select * from tintype.cancel(p_job_id, p_user_id, p_message) loop
    perform tintype.settle(
      array[v_job.job_id], array[v_job.user_id], array[v_job.delivered], array[true],
      array[v_job.has_assets]
    );
    return next v_job;
  end loop;
end
$$;

-- rescue, and the capture and release of the jobs that got no further attempt.
create or replace function tintype.settle_rescue(p_limit integer)
returns setof tintype.ended
language plpgsql security definer
set search_path = ''
as $$
declare
  v_taken tintype.ended[];
begin
  v_taken := array(select e from tintype.rescue(p_limit) as e);
  perform tintype.settle(
    array_agg(e.job_id), array_agg(e.user_id), array_agg(e.delivered), array_agg(true),
    array_agg(e.has_assets)
  )
  from unnest(v_taken) as e
  where e.status in ('completed', 'failed')
  having count(*) > 0;
  return query select * from unnest(v_taken);
end
$$;

-- expire, and the capture and release of the jobs that it ended.
create or replace function tintype.settle_expired(p_limit integer)
returns setof tintype.ended
language plpgsql security definer
set search_path = ''
as $$
declare
  v_ended tintype.ended[];
begin
  v_ended := array(select e from tintype.expire(p_limit) as e);
  perform tintype.settle(
    array_agg(e.job_id), array_agg(e.user_id), array_agg(e.delivered), array_agg(e.broken_off),
    array_agg(e.has_assets)
  )
  from unnest(v_ended) as e
  having count(*) > 0;
  return query select * from unnest(v_ended);
end
$$;

-- Resolves the holds of jobs that have just ended, fails the rows that they did not fill, and notes
-- those that may have left bytes behind. Locks the rows before the accounts, as submission does.
-- The arrays run side by side; null for no jobs.
create or replace function tintype.settle(
  p_job_ids uuid[], p_user_ids uuid[], p_delivered integer[], p_broken_off boolean[],
  p_has_assets boolean[]
) returns void
language plpgsql security definer
set search_path = ''
as $$
begin
  if p_job_ids is null then
    return;
  end if;
  if true = any(p_has_assets) then
    perform tintype.end_assets(p_job_ids);
  end if;
  perform tintype.capture(p_job_ids, p_delivered, p_user_ids);
  if true = any(p_broken_off || p_has_assets) then
    insert into tintype.leftovers (job_id, user_id, ended_at)
    select e.job_id, e.user_id, tintype.clock()
    from unnest(p_job_ids, p_user_ids, p_broken_off, p_has_assets)
      as e (job_id, user_id, broken_off, has_assets)
    where e.broken_off or e.has_assets
    on conflict (job_id) do update set ended_at = excluded.ended_at;
  end if;
end
$$;

-- Takes the next job for a worker that speaks SQL or RPC, shows it as processing and returns it.
-- The lease lasts ten minutes; a worker that needs longer uses renew.
create or replace function public.claim_next_job(p_worker_id text default null)
returns setof public.jobs
language plpgsql security definer
set search_path = ''
as $$
declare
  v_job public.jobs;
begin
  select c.* into v_job
  from tintype.claim(gen_random_uuid(), 'images', coalesce(p_worker_id, 'rpc'), 1, 600) as c;
  if v_job.id is null then
    return;
  end if;
  perform tintype.report(array[v_job.id], array[v_job.attempt], array[0::smallint]);
  return query select * from public.jobs as j where j.id = v_job.id;
end
$$;

-- Completes a job that claim_next_job handed out, with the URLs of its pictures, and settles it:
-- what is missing from the quantity is released. Repeating it is harmless. TT404 for an unknown
-- job, TT409 for one that is not being processed, TT400 when count and URLs do not fit the job.
create or replace function public.complete_job_with_result(
  p_job_id uuid, p_result_urls text[], p_result_count integer
) returns void
language plpgsql security definer
set search_path = ''
as $$
declare
  v_job public.jobs;
begin
  select * into v_job from public.jobs as j where j.id = p_job_id for update;
  if not found then
    raise exception using errcode = 'TT404', message = 'There is no such job.';
  end if;
  if v_job.status = 'completed' and v_job.result_urls = p_result_urls then
    return;
  end if;
  if v_job.status <> 'processing' then
    raise exception using
      errcode = 'TT409', message = 'The job is not being processed.', detail = v_job.status;
  end if;
  if
    p_result_urls is null
    or p_result_count is distinct from cardinality(p_result_urls)
    or p_result_count not between 1 and v_job.quantity
    or array_position(p_result_urls, null) is not null
  then
    raise exception using
      errcode = 'TT400', message = 'Give one URL for each of 1 to quantity results.';
  end if;
  update public.jobs as j
  set result_urls = p_result_urls, result_count = p_result_count
  where j.id = p_job_id;
  perform tintype.settle_complete(
    array[v_job.id], array[v_job.attempt], array[null::text], array[null::text],
    array(select l.id from tintype.leases as l where v_job.id = any (l.job_ids))
  );
end
$$;
