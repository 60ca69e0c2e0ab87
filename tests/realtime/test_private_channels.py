"""Do the policies of `realtime.messages` decide who hears and speaks on a private channel?"""

from typing import Any
from uuid import UUID

import httpx2
import pytest
from realtime_site import Site, Talker, is_quiet

from tests.support.serve import ANSWER_SECONDS_MAX

Admin = "asyncpg.Connection[asyncpg.Record]"
POST = "/realtime/v1/api/broadcast"
SAID = {"type": "broadcast", "event": "e", "payload": {"n": 1}}
UNAUTHORIZED = "Unauthorized: You do not have permissions to read from this Channel topic: {}"

# Members read; those who may write do so by broadcast, by presence or both.
POLICIES = """
create table public.members (user_id uuid, topic text, says text[] not null default '{}');
grant select on public.members to authenticated;
create policy "members hear" on realtime.messages for select to authenticated
using (
  exists (
    select from public.members as m
    where m.user_id = (select auth.uid()) and m.topic = (select realtime.topic())
  )
);
create policy "members say" on realtime.messages for insert to authenticated
with check (
  exists (
    select from public.members as m
    where
      m.user_id = (select auth.uid())
      and m.topic = (select realtime.topic())
      and realtime.messages.extension = any (m.says)
  )
);
"""


@pytest.fixture
async def rooms(admin: Any) -> Any:
    await admin.execute(POLICIES)
    return admin


async def let_in(admin: Any, user: UUID, topic: str, *says: str) -> None:
    await admin.execute("insert into public.members values ($1, $2, $3)", user, topic, list(says))


async def enter(
    site: Site, user: UUID | None, name: str = "secret", **config: Any
) -> tuple[Talker, dict[str, Any]]:
    talker = await site.connect()
    token = site.token(user) if user is not None else None
    return talker, await talker.join(name, token=token, private=True, **config)


async def test_without_a_policy_nobody_but_the_service_joins(site: Site, ada: UUID) -> None:
    for user in (ada, None):
        _, answer = await enter(site, user)
        assert answer == {"status": "error", "response": {"reason": UNAUTHORIZED.format("secret")}}
    talker = await site.connect()
    answer = await talker.join("secret", token=site.keys.service_role_key, private=True)
    assert answer["status"] == "ok"


async def test_who_may_read_joins_the_rooms_that_the_policy_names_and_no_others(
    site: Site, rooms: Admin, ada: UUID, bob: UUID
) -> None:
    await let_in(rooms, ada, "secret")
    assert (await enter(site, ada))[1]["status"] == "ok"
    for user, name in ((ada, "other"), (bob, "secret"), (None, "secret")):
        _, answer = await enter(site, user, name)
        assert answer["response"]["reason"] == UNAUTHORIZED.format(name)
    assert await rooms.fetchval("select count(*) from realtime.messages") == 0


async def test_who_may_read_and_not_write_is_heard_by_nobody(
    site: Site, rooms: Admin, ada: UUID, bob: UUID
) -> None:
    await let_in(rooms, ada, "secret")
    await let_in(rooms, bob, "secret", "broadcast")
    hers, _ = await enter(site, ada, broadcast={"ack": True, "self": True})
    his, _ = await enter(site, bob, broadcast={"ack": True, "self": True})
    await hers.send("realtime:secret", "broadcast", SAID)
    assert await is_quiet(hers) and await is_quiet(his)
    ref = await his.send("realtime:secret", "broadcast", SAID)
    assert (await hers.event("broadcast"))["payload"] == SAID
    assert (await his.reply(ref))["status"] == "ok"


async def test_private_and_public_topics_of_one_name_are_apart(
    site: Site, rooms: Admin, ada: UUID
) -> None:
    await let_in(rooms, ada, "secret", "broadcast", "presence")
    private, _ = await enter(site, ada, presence={"key": "ada", "enabled": True})
    public, sender = await site.connect(), await site.connect()
    await public.join("secret", presence={"key": "x", "enabled": True})
    await sender.join("secret")
    await sender.send("realtime:secret", "broadcast", SAID)
    await public.event("broadcast")
    state = await private.event("presence_state")
    assert state["payload"] == {} and await is_quiet(private)
    await private.send("realtime:secret", "broadcast", SAID)
    track = {"event": "track", "payload": {"n": 1}}
    ref = await private.send("realtime:secret", "presence", track)
    assert (await private.reply(ref))["status"] == "ok"
    assert await is_quiet(public)
    rejoined = await sender.join("secret", token=site.token(ada), private=True)
    assert rejoined["status"] == "ok"
    await private.send("realtime:secret", "broadcast", SAID)
    await sender.event("broadcast")


async def test_presence_needs_policies_of_its_own(
    site: Site, rooms: Admin, ada: UUID, bob: UUID
) -> None:
    await let_in(rooms, ada, "secret", "presence")
    await let_in(rooms, bob, "secret", "broadcast")
    listening = {"enabled": True}
    hers, _ = await enter(site, ada, presence=listening | {"key": "ada"})
    his, _ = await enter(site, bob, presence=listening | {"key": "bob"})
    await his.event("presence_state")
    track = {"event": "track", "payload": {"n": 1}}
    answer = await his.reply(await his.send("realtime:secret", "presence", track))
    assert answer["response"]["reason"].startswith("Unauthorized")
    answer = await hers.reply(await hers.send("realtime:secret", "presence", track))
    assert answer["status"] == "ok"
    assert list((await his.event("presence_diff"))["payload"]["joins"]) == ["ada"]


async def test_who_may_not_hear_of_presence_is_told_nothing_of_it(
    site: Site, admin: Admin, ada: UUID, bob: UUID
) -> None:
    await admin.execute(
        "create policy hear on realtime.messages for select to authenticated"
        f" using (extension = 'broadcast' or (select auth.uid()) = '{ada}');"
        "create policy say on realtime.messages for insert to authenticated with check (true)"
    )
    hers, _ = await enter(site, ada, presence={"key": "ada", "enabled": True})
    his, _ = await enter(site, bob, presence={"key": "bob", "enabled": True})
    await hers.event("presence_state")
    track = {"event": "track", "payload": {}}
    await his.reply(await his.send("realtime:secret", "presence", track))
    assert list((await hers.event("presence_diff"))["payload"]["joins"]) == ["bob"]
    assert await is_quiet(his)


async def test_a_new_token_is_asked_about_anew(
    site: Site, rooms: Admin, ada: UUID, bob: UUID
) -> None:
    await let_in(rooms, ada, "secret", "broadcast")
    talker, _ = await enter(site, ada)
    listener, _ = await enter(site, ada)
    await rooms.execute("update public.members set says = '{}'")
    await talker.send("realtime:secret", "access_token", {"access_token": site.token(ada)})
    await talker.send("realtime:secret", "broadcast", SAID)
    assert await is_quiet(talker) and await is_quiet(listener)
    await talker.send("realtime:secret", "access_token", {"access_token": site.token(bob)})
    system = await talker.event("system")
    assert system["payload"]["message"] == UNAUTHORIZED.format("secret")
    assert (await talker.event("phx_close"))["topic"] == "realtime:secret"


async def test_a_policy_that_raises_lets_nobody_in_and_says_so(
    site: Site, admin: Admin, ada: UUID
) -> None:
    await admin.execute(
        "create policy broken on realtime.messages for select to authenticated"
        " using (1 / length(realtime.topic()) = 1 / (length(realtime.topic()) - 6))"
    )
    _, answer = await enter(site, ada)
    assert answer["response"]["reason"].startswith("UnableToSetPolicies")
    assert "division by zero" in answer["response"]["reason"]


@pytest.mark.parametrize("name", ["", "a'; drop table public.members --", "é 😀", "x" * 200])
async def test_any_topic_name_is_only_a_value(
    site: Site, rooms: Admin, ada: UUID, name: str
) -> None:
    await let_in(rooms, ada, name)
    _, answer = await enter(site, ada, name)
    assert (answer["status"] == "ok") == bool(name)
    assert await rooms.fetchval("select count(*) from public.members") == 1


async def post(site: Site, token: str, **options: Any) -> int:
    path = options.pop("path", POST)
    headers = {"apikey": site.keys.anon_key, "authorization": f"Bearer {token}"}
    async with httpx2.AsyncClient(
        base_url=site.url, trust_env=False, timeout=ANSWER_SECONDS_MAX
    ) as http:
        answer = await http.post(path, headers=headers, **options)
    assert answer.content == b""
    return answer.status_code


async def test_over_http_the_insert_policy_decides_and_what_it_denies_is_dropped(
    site: Site, rooms: Admin, ada: UUID, bob: UUID
) -> None:
    await let_in(rooms, ada, "secret", "broadcast")
    talker, _ = await enter(site, ada)
    public = await site.connect()
    await public.join("secret")
    messages = [
        {"topic": topic, "event": "e", "payload": {"n": number}, "private": True}
        for number, topic in enumerate(["other", "secret", "secret"])
    ]
    for token in (site.keys.anon_key, site.token(bob)):
        assert await post(site, token, json={"messages": messages}) == 202
        path = f"{POST}/secret/events/e?private=true"
        assert await post(site, token, path=path, json={"n": 3}) == 202
    assert await is_quiet(talker)
    assert await post(site, site.token(ada), json={"messages": messages}) == 202
    path = f"{POST}/secret/events/e?private=true"
    assert await post(site, site.token(ada), path=path, json={"n": 3}) == 202
    heard = [(await talker.event("broadcast"))["payload"]["payload"]["n"] for _ in range(3)]
    assert heard == [1, 2, 3] and await is_quiet(public)


async def test_the_probing_of_policies_leaves_no_message(
    site: Site, rooms: Admin, ada: UUID
) -> None:
    await let_in(rooms, ada, "secret", "broadcast", "presence")
    talker, _ = await enter(site, ada, broadcast={"self": True})
    await enter(site, ada)
    assert await is_quiet(talker)
    assert await rooms.fetchval("select count(*) from realtime.messages") == 0
