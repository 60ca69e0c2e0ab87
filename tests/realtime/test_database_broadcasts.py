"""Does what the database broadcasts reach who is on the topic, wherever that is?"""

import asyncio
import json
from contextlib import AsyncExitStack
from typing import Any
from uuid import UUID

import pytest
from realtime_site import Site, Talker, add_project, every, open_site

from tintype.auth import KeySet

Admin = "asyncpg.Connection[asyncpg.Record]"
SEND = "select realtime.send($1::text::jsonb, $2, $3, $4)"
HEAR = "create policy hear on realtime.messages for select to authenticated using (true)"


async def ready(site: Site, name: str = "room", **config: Any) -> Talker:
    """Return a client on a channel, once broadcasts of the database reach it."""
    talker = await site.connect(version=config.pop("version", "2.0.0"))
    config.setdefault("broadcast", {"replication_ready": True})
    assert (await talker.join(name, **config))["status"] == "ok"
    return talker


async def told(talker: Talker) -> dict[str, Any]:
    return (await talker.event("broadcast"))["payload"]


@pytest.mark.parametrize("version", ["1.0.0", "2.0.0"])
async def test_a_message_reaches_its_topic_once_it_is_committed(
    site: Site, admin: Any, version: str
) -> None:
    talker = await ready(site, version=version)
    system = await talker.event("system")
    assert system["payload"] == {
        "extension": "system",
        "status": "ok",
        "message": "Replication connection established",
        "channel": "room",
    }
    transaction = admin.transaction()
    await transaction.start()
    await admin.execute(SEND, '{"n": 1}', "e", "room", False)
    await transaction.rollback()
    await admin.execute(SEND, '{"n": 2}', "e", "elsewhere", False)
    await admin.execute(SEND, '{"n": 3}', "e", "room", True)
    await admin.execute(SEND, '{"n": 4}', "e", "room", False)
    heard = await told(talker)
    stored = await admin.fetchval(
        "select id::text from realtime.messages where payload ->> 'n' = '4'"
    )
    assert heard == {
        "type": "broadcast",
        "event": "e",
        "payload": {"n": 4, "id": stored},
        "meta": {"id": stored},
    }


async def test_an_id_of_the_sender_stays_and_any_payload_is_told(site: Site, admin: Any) -> None:
    talker = await ready(site)
    for payload in ('{"id": 7}', '{"x": {"y": [null, "é"]}}'):
        await admin.execute(SEND, payload, "e", "room", False)
    assert (await told(talker))["payload"] == {"id": 7}
    heard = await told(talker)
    assert heard["payload"]["x"] == {"y": [None, "é"]}
    await admin.execute(
        "insert into realtime.messages (topic, extension, event) values ('room', 'broadcast', 'b')"
    )
    assert (await told(talker))["payload"] == {}


async def test_a_private_message_reaches_those_who_may_hear_it(
    site: Site, admin: Any, ada: UUID
) -> None:
    await admin.execute(HEAR)
    private = await ready(site, private=True, token=site.token(ada))
    public = await ready(site)
    await admin.execute("select realtime.send('{\"n\": 1}', 'e', 'room')")
    await admin.execute(SEND, '{"n": 2}', "e", "room", False)
    assert (await told(private))["payload"]["n"] == 1
    assert (await told(public))["payload"]["n"] == 2


async def test_a_trigger_broadcasts_the_changes_of_a_table(
    site: Site, admin: Any, ada: UUID
) -> None:
    await admin.execute(HEAR)
    await admin.execute(
        """
        create function public.tell() returns trigger language plpgsql security definer as $$
        begin
          perform realtime.broadcast_changes(
            'projects:' || coalesce(new.user_id, old.user_id), tg_op, tg_op, tg_table_name,
            tg_table_schema, new, old
          );
          return null;
        end
        $$;
        create trigger tell after insert or update or delete on public.projects
        for each row execute function public.tell();
        """
    )
    talker = await ready(site, f"projects:{ada}", private=True, token=site.token(ada))
    project = await add_project(admin, ada)
    await admin.execute("update public.projects set name = 'Second'")
    await admin.execute("delete from public.projects")
    inserted, updated, deleted = [await told(talker) for _ in range(3)]
    assert [one["event"] for one in (inserted, updated, deleted)] == ["INSERT", "UPDATE", "DELETE"]
    payload = inserted["payload"]
    assert payload["record"]["id"] == str(project) and payload["old_record"] is None
    assert (payload["operation"], payload["schema"], payload["table"]) == (
        "INSERT",
        "public",
        "projects",
    )
    assert updated["payload"]["old_record"]["name"] == "First"
    assert updated["payload"]["record"]["name"] == "Second"
    assert deleted["payload"]["record"] is None


async def test_what_may_not_be_sent_never_ends_the_transaction(
    site: Site, admin: Any, ada: UUID
) -> None:
    talker = await ready(site)
    claims = json.dumps({"sub": str(ada), "role": "authenticated"})
    async with admin.transaction():
        await admin.execute("select set_config('request.jwt.claims', $1, true)", claims)
        await admin.execute("set local role authenticated")
        await admin.execute(SEND, '{"n": 1}', "e", "room", False)
        await admin.execute(SEND, "[1]", "e", "room", False)
        await add_project(admin, ada)
    await admin.execute(SEND, '{"n": 2}', "e", "room", False)
    assert (await told(talker))["payload"]["n"] == 2
    assert await admin.fetchval("select count(*) from public.projects") == 1


async def test_it_reaches_every_server(database_url: str, keys: KeySet, admin: Any) -> None:
    async with AsyncExitStack() as stack:
        talkers = []
        for _ in range(2):
            site = await stack.enter_async_context(open_site(database_url, keys))
            talkers.append(await ready(site))
        await admin.execute(SEND, '{"n": 1}', "e", "room", False)
        for talker in talkers:
            assert (await told(talker))["payload"]["n"] == 1


async def test_changes_and_broadcasts_of_one_transaction_come_in_its_order(
    site: Site, admin: Any, ada: UUID
) -> None:
    talker = await ready(site)
    await talker.subscribe(every("projects"), token=site.token(ada))
    async with admin.transaction():
        for number in range(3):
            await add_project(admin, ada, str(number))
            await admin.execute(SEND, json.dumps({"n": number}), "e", "room", False)
    kinds = []
    while len(kinds) < 6:
        frame = await talker.next()
        kinds.append(frame["event"])
    assert kinds == ["postgres_changes", "broadcast"] * 3


async def test_old_messages_are_removed_and_new_ones_stay(
    database_url: str, keys: KeySet, admin: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tintype.realtime.capture.PRUNE_ROWS_MAX", 2)
    for days in (0, 2, 4, 40):
        await admin.execute(
            "insert into realtime.messages (topic, extension, event, inserted_at)"
            " select 'room', 'broadcast', $1::integer::text, now() - make_interval(days => $1)"
            " from generate_series(1, 3)",
            days,
        )
    query = "select event from realtime.messages order by event::integer"
    async with open_site(database_url, keys), asyncio.timeout(60):
        while len(left := await admin.fetch(query)) > 6:
            await asyncio.sleep(0.01)
    assert [row["event"] for row in left] == ["0"] * 3 + ["2"] * 3
