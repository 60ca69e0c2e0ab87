"""What may a client not do to the server?"""

import asyncio
import json
import os
from pathlib import Path
from uuid import UUID

import httpx2
import pytest
from realtime_site import Site, every
from websockets.exceptions import ConnectionClosed

from tintype.realtime import FRAME_BYTES_MAX, limits

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

    async with asyncio.timeout(10):
        while not await left():
            await asyncio.sleep(0.01)
    slow.connection.transport.abort()


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
    async with httpx2.AsyncClient(base_url=site.url, trust_env=False) as http:
        body = json.dumps({"messages": [{"topic": "a", "event": "b", "payload": "x" * 2**21}]})
        answer = await http.post(
            "/realtime/v1/api/broadcast",
            content=body,
            headers={"apikey": site.keys.anon_key},
        )
    assert answer.status_code == 413 and FRAME_BYTES_MAX == MEGABYTE
