"""What may a client not do to the server?"""

import asyncio
import json
import os
from pathlib import Path
from uuid import UUID

import httpx2
import pytest
from realtime_site import Site, Talker, add_project, every, is_quiet
from websockets.exceptions import ConnectionClosed

from tests.support.serve import ANSWER_SECONDS_MAX
from tintype.realtime import FRAME_BYTES_MAX, limits

Admin = "asyncpg.Connection[asyncpg.Record]"
MEGABYTE = 1024 * 1024
GROWTH_BYTES_MAX = 48 * MEGABYTE


def memory_bytes() -> int:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


async def test_a_client_that_does_not_read_is_closed_and_the_others_go_on(
    site: Site,
) -> None:
    slow = await site.connect(max_queue=1)
    await slow.join("news")
    slow.connection.transport.pause_reading()
    good, sender = await site.connect(), await site.connect()
    await good.join("news")
    await sender.join("news", broadcast={"ack": True})
    before = memory_bytes()
    payload = {"event": "e", "payload": {"x": "y" * 500_000}}
    for _ in range(40):
        assert (await sender.reply(await sender.send("realtime:news", "broadcast", payload)))[
            "status"
        ] == "ok"
        await good.event("broadcast")
    assert memory_bytes() - before < GROWTH_BYTES_MAX

    async def left() -> bool:
        return len(site.realtime._sockets) == 2

    async with asyncio.timeout(60):
        while not await left():
            await asyncio.sleep(0.01)
    slow.connection.transport.abort()


async def test_messages_stay_in_order_whichever_way_they_take(site: Site) -> None:
    slow = await site.connect(max_queue=1)
    await slow.join("news")
    sender = await site.connect()
    await sender.join("news", broadcast={"ack": True})
    slow.connection.transport.pause_reading()
    count = 0
    filling = "x" * 100_000
    # Until the ways of the network are full and messages wait in the server.
    while not any(socket._queue for socket in site.realtime._sockets):
        payload = {"event": "e", "payload": {"n": count, "x": filling}}
        await sender.reply(await sender.send("realtime:news", "broadcast", payload))
        count += 1
    for _ in range(10):
        payload = {"event": "e", "payload": {"n": count}}
        await sender.reply(await sender.send("realtime:news", "broadcast", payload))
        count += 1
    slow.connection.transport.resume_reading()
    heard = [(await slow.event("broadcast"))["payload"]["payload"]["n"] for _ in range(count)]
    assert heard == list(range(count))
    await sender.send("realtime:news", "broadcast", {"event": "e", "payload": {"n": -1}})
    assert (await slow.event("broadcast"))["payload"]["payload"]["n"] == -1


async def test_1000_subscribers_each_hear_of_a_change_once(
    site: Site, admin: Admin, ada: UUID, bob: UUID
) -> None:
    tokens = [site.token(ada), site.token(bob)]
    talkers: list[Talker] = []
    for _ in range(10):
        some = await asyncio.gather(*(site.connect() for _ in range(100)))
        await asyncio.gather(
            *(
                talker.subscribe(every("projects"), token=tokens[number % 2])
                for number, talker in enumerate(some)
            )
        )
        talkers += some
    before = memory_bytes()
    for number in range(5):
        await add_project(admin, ada, str(number))
        await add_project(admin, bob, str(number))
    heard = await asyncio.gather(*(talker.changes(5) for talker in talkers))
    for number, changes in enumerate(heard):
        mine = str((ada, bob)[number % 2])
        assert [one["record"]["name"] for one in changes] == ["0", "1", "2", "3", "4"]
        assert {one["record"]["user_id"] for one in changes} == {mine}
    assert all(await asyncio.gather(*(is_quiet(talker) for talker in talkers)))
    assert memory_bytes() - before < GROWTH_BYTES_MAX


async def test_10000_joins_are_refused_beyond_the_limit_without_growth(site: Site) -> None:
    talker = await site.connect(max_queue=None)
    before = memory_bytes()
    outcome: dict[str, int] = {}

    async def read() -> None:
        while True:
            try:
                frame = await talker.next()
            except ConnectionClosed as error:
                assert error.rcvd is not None
                outcome["closed"] = error.rcvd.code
                return
            payload = frame["payload"]
            word = payload.get("response", {}).get("reason", "ok").split(":")[0]
            if frame["event"] == "phx_reply":
                outcome[word] = outcome.get(word, 0) + 1

    async def join() -> None:
        for number in range(10_000):
            try:
                await talker.send(f"realtime:{number}", "phx_join", {"config": {}})
            except ConnectionClosed:
                return

    await asyncio.gather(read(), join())
    assert outcome["ok"] <= limits.TOPICS_PER_SOCKET_MAX
    assert outcome["ClientJoinRateLimitReached"] > 0
    assert outcome["closed"] == 1008, "so many messages at once end the connection"
    assert memory_bytes() - before < GROWTH_BYTES_MAX


async def test_a_socket_is_on_so_many_topics_and_no_more(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    talker = await site.connect()
    for number in range(limits.TOPICS_PER_SOCKET_MAX):
        await talker.send(f"realtime:{number}", "phx_join", {})
    for _ in range(limits.TOPICS_PER_SOCKET_MAX):
        assert (await talker.event("phx_reply"))["payload"]["status"] == "ok"
    reason = ""
    while not reason.startswith("ChannelRateLimitReached"):
        answer = await talker.join("more")
        assert answer["status"] == "error"
        reason = answer["response"]["reason"]
    await talker.reply(await talker.send("realtime:0", "phx_leave", {}))
    while (await talker.join("more"))["status"] != "ok":
        pass


async def test_frames_of_10_megabytes_are_refused_without_growth(site: Site) -> None:
    before = memory_bytes()
    large = "x" * (10 * MEGABYTE)
    for _ in range(3):
        talker = await site.connect()
        with pytest.raises(ConnectionClosed) as caught:
            await talker.connection.send(large)
            await talker.next()
        assert caught.value.rcvd is None or caught.value.rcvd.code == 1009
    del large
    assert memory_bytes() - before < GROWTH_BYTES_MAX


async def test_a_flood_of_messages_ends_the_connection(site: Site) -> None:
    talker = await site.connect()
    with pytest.raises(ConnectionClosed) as caught:
        for _ in range(100):
            await asyncio.gather(*(talker.send("phoenix", "heartbeat", {}) for _ in range(100)))
        while True:
            await talker.next()
    assert caught.value.rcvd is not None and caught.value.rcvd.code == 1008
    assert caught.value.rcvd.reason.startswith("ClientMessageRateLimitReached")


async def test_a_silent_client_is_closed(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tintype.realtime.socket.SILENCE_SECONDS_MAX", 0)
    talker = await site.connect()
    with pytest.raises(ConnectionClosed) as caught:
        await talker.next()
    assert caught.value.rcvd is not None and caught.value.rcvd.reason == "heartbeat timeout"


async def test_more_sockets_than_the_server_takes_are_refused(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tintype.realtime.server.SOCKETS_MAX", 1)
    await site.connect()
    with pytest.raises(Exception, match="503"):
        await site.connect()


async def test_closing_the_server_tells_every_client(site: Site, ada: UUID) -> None:
    talker = await site.connect()
    await talker.subscribe(every("projects"), token=site.token(ada))
    await site.realtime.close()
    with pytest.raises(ConnectionClosed) as caught:
        await talker.event("never")
    assert caught.value.rcvd is not None and caught.value.rcvd.code == 1001
    with pytest.raises(Exception, match="503"):
        await site.connect()


async def test_a_posted_body_beyond_the_limit_is_refused(site: Site) -> None:
    async with httpx2.AsyncClient(
        base_url=site.url, trust_env=False, timeout=ANSWER_SECONDS_MAX
    ) as http:
        body = json.dumps({"messages": [{"topic": "a", "event": "b", "payload": "x" * 2**21}]})
        answer = await http.post(
            "/realtime/v1/api/broadcast",
            content=body,
            headers={"apikey": site.keys.anon_key},
        )
    assert answer.status_code == 413 and FRAME_BYTES_MAX == MEGABYTE
