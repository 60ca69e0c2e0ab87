-- What the database itself broadcasts, in Supabase's shape; its policies decide about private
-- channels. A Supabase project has all of this already, under an owner of its own: there it is left
-- alone.
do $$
begin
  if to_regnamespace('realtime') is null then
    create schema realtime;
  end if;
  if not has_schema_privilege('realtime', 'create') then
    return;
  end if;

  if to_regclass('realtime.messages') is null then
    create table realtime.messages (
      topic text not null,
      extension text not null,
      payload jsonb,
      event text,
      private boolean default false,
      updated_at timestamp not null default (now() at time zone 'utc'),
      inserted_at timestamp not null default (now() at time zone 'utc'),
      id uuid not null default gen_random_uuid(),
      primary key (id, inserted_at)
    );
    -- Serves the removal of old ones.
    create index messages_inserted_at_topic_index on realtime.messages (inserted_at desc, topic);
    alter table realtime.messages enable row level security;
  end if;

  if to_regprocedure('realtime.topic()') is null then
    create function realtime.topic() returns text
    language sql stable set search_path = '' as $f$
      select nullif(current_setting('realtime.topic', true), '')
    $f$;
    comment on function realtime.topic() is
      'The channel that a policy of realtime.messages is asked about.';
  end if;

  if to_regprocedure('realtime.send(jsonb, text, text, boolean)') is null then
    create function realtime.send(
      payload jsonb, event text, topic text, private boolean default true
    ) returns void
    language plpgsql set search_path = '' as $f$
    declare
      v_id uuid := gen_random_uuid();
    begin
      perform set_config('realtime.topic', send.topic, true);
      insert into realtime.messages (id, payload, event, topic, private, extension)
      values (
        v_id,
        case
          when send.payload ? 'id' then send.payload
          else jsonb_set(send.payload, '{id}', to_jsonb(v_id))
        end,
        send.event,
        send.topic,
        send.private,
        'broadcast'
      );
    exception when others then
      raise warning 'realtime.send: %', sqlerrm;
    end
    $f$;
    comment on function realtime.send(jsonb, text, text, boolean) is
      'Broadcasts once the transaction commits. A message that cannot be written leaves a warning '
      'and never ends the transaction of whoever sends it.';
  end if;

  if to_regprocedure(
    'realtime.broadcast_changes(text, text, text, text, text, record, record, text)'
  ) is null then
    create function realtime.broadcast_changes(
      topic_name text,
      event_name text,
      operation text,
      table_name text,
      table_schema text,
      new record,
      old record,
      level text default 'ROW'
    ) returns void
    language plpgsql set search_path = '' as $f$
    begin
      if level = 'STATEMENT' then
        raise exception 'realtime.broadcast_changes is for triggers of each row'
        using errcode = '0A000';
      elsif operation not in ('INSERT', 'UPDATE', 'DELETE') then
        raise exception 'realtime.broadcast_changes: % is no operation of a row', operation
        using errcode = '22023';
      end if;
      perform realtime.send(
        jsonb_build_object(
          'operation', operation,
          'schema', table_schema,
          'table', table_name,
          'record', new,
          'old_record', old
        ),
        event_name,
        topic_name
      );
    end
    $f$;
    comment on function
    realtime.broadcast_changes(text, text, text, text, text, record, record, text) is
      'Broadcasts a row''s change on a private topic; called by a trigger.';
  end if;
end
$$;

-- What is captured of it: new messages, and not their removal.
do $$
begin
  if
    not exists (
      select from pg_publication where pubname = 'supabase_realtime_messages_publication'
    )
    and exists (
      select from pg_class as c
      where c.oid = to_regclass('realtime.messages') and pg_has_role(c.relowner, 'usage')
    )
  then
    create publication supabase_realtime_messages_publication
    for table realtime.messages with (publish = 'insert');
  end if;
end
$$;

-- Where the log may not be read, triggers note the changes here while a server listens. Rows are
-- only added, and removed once every such server has read them.
create table tintype.changes (
  xid xid8 not null default pg_current_xact_id(),
  id bigint generated always as identity,
  relation oid not null,
  kind text not null,
  record json,
  old json,
  changed_at timestamptz not null default clock_timestamp(),
  primary key (xid, id)
);

-- A server that reads the notes has a place in them (all transactions before it are read); one that
-- reads the log has none.
alter table tintype.captures add column read_to xid8;
