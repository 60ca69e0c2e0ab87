"""What do clients on one topic hear of each other?"""

import json
from typing import Any

import httpx2
import pytest
from realtime_site import Site, Talker

from tests.support.serve import ANSWER_SECONDS_MAX

POST = "/realtime/v1/api/broadcast"


async def post(site: Site, path: str = POST, **options: Any) -> httpx2.Response:
    headers = {"apikey": site.keys.anon_key} | options.pop("headers", {})
    async with httpx2.AsyncClient(
        base_url=site.url, trust_env=False, timeout=ANSWER_SECONDS_MAX
    ) as http:
        return await http.post(path, headers=headers, **options)


async def told(talker: Talker) -> dict[str, Any]:
    return (await talker.event("broadcast"))["payload"]


async def test_a_broadcast_reaches_the_others_in_either_version(site: Site) -> None:
    first, second = await site.connect(version="1.0.0"), await site.connect()
    await first.join()
    await second.join()
    said = {"type": "broadcast", "event": "ping", "payload": {"n": 1, "é": None}}
    await first.send("realtime:room", "broadcast", said)
    frame = await second.event("broadcast")
    assert (frame["payload"], frame["ref"], frame["join_ref"]) == (said, None, None)
    # realtime-js sends every broadcast of vsn 2.0.0 in this form.
    push = bytes((3, 1, 1, 13, 4, 0, 1)) + b"67realtime:roomping" + b'{"n":2}'
    await second.connection.send(push)
    assert await told(first) == {"type": "broadcast", "event": "ping", "payload": {"n": 2}}


async def test_only_who_asks_hears_itself_and_gets_an_answer(site: Site) -> None:
    talker = await site.connect()
    await talker.join("loud", broadcast={"self": True, "ack": True})
    await talker.join("quiet", broadcast={"self": False, "ack": False})
    said = {"type": "broadcast", "event": "e", "payload": {}}
    await talker.send("realtime:quiet", "broadcast", said)
    ref = await talker.send("realtime:loud", "broadcast", said)
    assert (await talker.event("broadcast"))["topic"] == "realtime:loud"
    assert await talker.reply(ref) == {"status": "ok", "response": {}}
    await talker.reply(await talker.send("phoenix", "heartbeat", {}))
    assert talker.seen == []


async def test_bytes_reach_those_who_can_read_them(site: Site) -> None:
    new, old, sender = (
        await site.connect(),
        await site.connect(version="1.0.0"),
        await site.connect(),
    )
    for talker in (new, old, sender):
        await talker.join()
    push = bytes((3, 0, 1, 13, 3, 0, 0)) + b"7realtime:roomraw" + b"\x00\xff"
    await sender.connection.send(push)
    frame = await new.next()
    assert frame["binary"] == bytes((4, 13, 3, 0, 0)) + b"realtime:roomraw\x00\xff"
    await old.reply(await old.send("phoenix", "heartbeat", {}))
    assert old.seen == []


async def test_broadcasts_by_http_reach_the_topic(site: Site) -> None:
    talker = await site.connect()
    await talker.join("a/b c")
    messages = [
        {"topic": "a/b c", "event": "x", "payload": {"n": 1}},
        {"topic": "a/b c", "event": "x", "payload": {"n": 2}, "private": True},
        {"topic": "elsewhere", "event": "x", "payload": {"n": 3}},
    ]
    answer = await post(site, json={"messages": messages})
    assert (answer.status_code, answer.content) == (202, b"")
    answer = await post(site, f"{POST}/a%2Fb%20c/events/y?vsn=2.0.0", json={"n": 4})
    assert (answer.status_code, answer.content) == (202, b"")
    raw = {"content-type": "application/octet-stream"}
    answer = await post(site, f"{POST}/a%2Fb%20c/events/z", content=b"\x01", headers=raw)
    assert answer.status_code == 202
    assert await told(talker) == {"type": "broadcast", "event": "x", "payload": {"n": 1}}
    assert await told(talker) == {"type": "broadcast", "event": "y", "payload": {"n": 4}}
    assert (await talker.next())["binary"].endswith(b"z\x01")


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"", 422),
        (b"{}", 422),
        (b'{"messages":[{"topic":"","event":"e"}]}', 422),
        (b'{"messages":[{"topic":"t","event":""}]}', 422),
        (b'{"messages":[{"topic":"%s","event":"e"}]}' % (b"t" * 300), 422),
        (json.dumps({"messages": [{"topic": "t", "event": "e"}] * 1001}).encode(), 422),
        (b"[" * 100_000, 422),
        (b"\xff\xfe", 422),
    ],
)
async def test_a_posted_broadcast_that_makes_no_sense_is_refused(
    site: Site, body: bytes, status: int
) -> None:
    answer = await post(site, content=body)
    assert answer.status_code == status and "errors" in answer.json()


async def test_without_a_key_nothing_is_broadcast(site: Site) -> None:
    body = {"messages": [{"topic": "a", "event": "e", "payload": {}}]}
    for headers in ({"apikey": ""}, {"apikey": "wrong"}, {"authorization": "Bearer a.b.c"}):
        answer = await post(site, json=body, headers=headers)
        assert answer.status_code == 401 and answer.json() == {"message": "Unauthorized"}


async def test_three_clients_see_each_other_come_change_and_go(site: Site) -> None:
    talkers = [await site.connect(version=v) for v in ("1.0.0", "2.0.0", "2.0.0")]
    for number, talker in enumerate(talkers):
        await talker.join(presence={"key": f"k{number}", "enabled": True})
        assert (await talker.event("presence_state"))["payload"].keys() == {
            f"k{n}" for n in range(number)
        }
        ref = await talker.send(
            "realtime:room", "presence", {"event": "track", "payload": {"mood": number}}
        )
        assert (await talker.reply(ref))["status"] == "ok"
    first = talkers[0]
    joined = [*first.seen]
    while len(joined) < 3:
        joined.append(await first.event("presence_diff"))
    for number, frame in enumerate(joined):
        [meta] = frame["payload"]["joins"][f"k{number}"]["metas"]
        assert meta["mood"] == number and meta["phx_ref"] and frame["payload"]["leaves"] == {}
        assert frame["ref"] is None
    before = joined[1]["payload"]["joins"]["k1"]["metas"][0]["phx_ref"]
    await talkers[1].send(
        "realtime:room",
        "presence",
        {"type": "presence", "event": "track", "payload": {"mood": "new"}},
    )
    diff = (await first.event("presence_diff"))["payload"]
    [meta] = diff["joins"]["k1"]["metas"]
    assert (meta["mood"], meta["phx_ref_prev"]) == ("new", before)
    assert diff["leaves"]["k1"]["metas"][0]["phx_ref"] == before
    await talkers[1].send("realtime:room", "presence", {"event": "untrack"})
    diff = (await first.event("presence_diff"))["payload"]
    assert (diff["joins"], list(diff["leaves"])) == ({}, ["k1"])
    await talkers[2].connection.close()
    diff = (await first.event("presence_diff"))["payload"]
    assert list(diff["leaves"]) == ["k2"]
    late = await site.connect()
    await late.join(presence={"enabled": True})
    assert list((await late.event("presence_state"))["payload"]) == ["k0"]


async def test_who_does_not_listen_to_presence_can_still_be_present(site: Site) -> None:
    deaf, listener = await site.connect(), await site.connect()
    await deaf.join(presence={"key": "deaf", "enabled": False})
    await listener.join(presence={"key": "", "enabled": True})
    await listener.event("presence_state")
    ref = await deaf.send("realtime:room", "presence", {"event": "track", "payload": {}})
    assert (await deaf.reply(ref))["status"] == "ok"
    assert list((await listener.event("presence_diff"))["payload"]["joins"]) == ["deaf"]
    assert deaf.seen == []


async def test_presences_are_bounded(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tintype.realtime.topics.PRESENCES_PER_TOPIC_MAX", 1)
    first, second = await site.connect(), await site.connect()
    for talker in (first, second):
        await talker.join(presence={"enabled": False})
    said: dict[str, Any] = {"event": "track", "payload": {"x": 1}}
    assert (await first.reply(await first.send("realtime:room", "presence", said)))[
        "status"
    ] == "ok"
    answer = await second.reply(await second.send("realtime:room", "presence", said))
    assert answer["response"]["reason"].startswith("ClientPresenceRateLimitReached")
    said = {"event": "track", "payload": {"x": "y" * 20_000}}
    answer = await first.reply(await first.send("realtime:room", "presence", said))
    assert answer["status"] == "error"
    for payload in ([], "x", None):
        said = {"event": "track", "payload": payload}
        answer = await first.reply(await first.send("realtime:room", "presence", said))
        assert answer["status"] == "error"
