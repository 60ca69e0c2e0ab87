"""Does it speak Phoenix's protocol as Supabase's clients read it?"""

import json
from uuid import UUID

import pytest
from realtime_site import Site, every
from websockets.exceptions import ConnectionClosed, InvalidStatus

VERSIONS = ["1.0.0", "2.0.0"]


@pytest.mark.parametrize("version", VERSIONS)
async def test_a_heartbeat_is_answered_with_the_same_ref(site: Site, version: str) -> None:
    talker = await site.connect(version=version)
    ref = await talker.send("phoenix", "heartbeat", {})
    assert await talker.reply(ref) == {"status": "ok", "response": {}}


async def test_a_heartbeat_without_a_ref_is_answered_as_the_python_client_needs_it(
    site: Site,
) -> None:
    talker = await site.connect(version="1.0.0")
    await talker.connection.send(
        json.dumps({"topic": "phoenix", "event": "heartbeat", "payload": {}, "ref": None})
    )
    assert await talker.next() == {
        "topic": "phoenix",
        "event": "phx_reply",
        "payload": {"status": "ok", "response": {}},
        "ref": None,
    }


@pytest.mark.parametrize("version", VERSIONS)
async def test_a_join_is_answered_in_the_shape_of_its_version(site: Site, version: str) -> None:
    talker = await site.connect(version=version)
    ref = await talker.send("realtime:room", "phx_join", {"config": {}}, join_ref="1")
    frame = await talker.next()
    expected = {
        "topic": "realtime:room",
        "event": "phx_reply",
        "payload": {"status": "ok", "response": {"postgres_changes": []}},
        "ref": ref,
    }
    assert frame == (expected | {"join_ref": "1"} if version == "2.0.0" else expected)


async def test_bindings_are_echoed_in_order_with_numbers_and_only_what_was_sent(
    site: Site,
) -> None:
    talker = await site.connect()
    bindings = [
        {"event": "INSERT", "schema": "public", "table": "jobs"},
        {"event": "*", "schema": "public", "table": "jobs", "filter": "quantity=gt.1"},
        {"event": "*", "schema": "public"},
        {"event": "INSERT", "schema": "public", "table": "jobs"},
    ]
    answer = await talker.join(postgres_changes=bindings, token=site.keys.service_role_key)
    echoed = answer["response"]["postgres_changes"]
    assert [{k: v for k, v in one.items() if k != "id"} for one in echoed] == bindings
    ids = [one["id"] for one in echoed]
    assert all(isinstance(number, int) and number > 0 for number in ids)
    assert ids[0] == ids[3] and len(set(ids)) == 3
    system = await talker.event("system")
    assert system["payload"] == {
        "extension": "postgres_changes",
        "status": "ok",
        "message": "Subscribed to PostgreSQL",
        "channel": "room",
    }
    assert system["ref"] is None


async def test_a_leave_is_answered_and_the_topic_is_closed(site: Site) -> None:
    talker = await site.connect()
    await talker.send("realtime:room", "phx_join", {"config": {}}, join_ref="1")
    ref = await talker.send("realtime:room", "phx_leave", {}, join_ref="1")
    assert await talker.reply(ref) == {"status": "ok", "response": {}}
    closed = await talker.event("phx_close")
    assert (closed["ref"], closed["payload"]) == ("1", {})
    ref = await talker.send("realtime:room", "broadcast", {})
    assert await talker.reply(ref) == {
        "status": "error",
        "response": {"reason": "unmatched topic"},
    }


async def test_a_second_join_of_a_topic_closes_the_first(site: Site) -> None:
    talker = await site.connect()
    await talker.reply(await talker.send("realtime:room", "phx_join", {}, join_ref="1"))
    await talker.send("realtime:room", "phx_join", {}, join_ref="2")
    frames = [await talker.next(), await talker.next()]
    heard = [(frame["event"], frame["join_ref"]) for frame in frames]
    assert heard == [("phx_close", "1"), ("phx_reply", "2")]
    answer = await talker.reply(await talker.send("realtime:room", "presence", {}))
    assert answer["response"] != {"reason": "unmatched topic"}


@pytest.mark.parametrize(
    ("topic", "config", "reason"),
    [
        ("room", {}, "TopicNameRequired"),
        ("realtime:", {}, "TopicNameRequired"),
        ("realtime:secret", {"private": True}, "Unauthorized: You do not have permissions"),
        ("realtime:a", {"postgres_changes": [{"event": "DROP"}]}, "InvalidBinding"),
        ("realtime:a", {"postgres_changes": "jobs"}, "InvalidJoinPayload"),
        ("realtime:a", {"presence": {"key": "k" * 256}}, "InvalidPresenceKey"),
        ("realtime:a", {"postgres_changes": [{"event": "*"}] * 101}, "TooManyBindings"),
    ],
)
async def test_a_join_that_cannot_be_is_refused_with_a_reason(
    site: Site, topic: str, config: object, reason: str
) -> None:
    talker = await site.connect()
    answer = await talker.reply(await talker.send(topic, "phx_join", {"config": config}))
    assert answer["status"] == "error"
    assert answer["response"]["reason"].startswith(reason)


async def test_without_a_good_key_the_handshake_is_refused(site: Site) -> None:
    for key in ("x", "sb_publishable_x", "a.b.c", "eyJhbGciOiJub25lIn0.e30."):
        with pytest.raises(InvalidStatus) as caught:
            await site.connect(key=key)
        assert caught.value.response.status_code == 401
        assert "message" in json.loads(caught.value.response.body)
    with pytest.raises(InvalidStatus) as caught:
        await site.connect(version="3.0.0")
    assert caught.value.response.status_code == 400


@pytest.mark.parametrize(
    "frame",
    [
        "",
        "not json",
        "[]",
        '["1","1","realtime:a","phx_join"]',
        '["1","1","realtime:a","phx_join",[]]',
        '["1","1",7,"phx_join",{}]',
        '[null,null,"realtime:%s","phx_join",{}]' % ("a" * 300),
        "[" * 100_000,
        b"",
        b"\x01\x00",
        b"\x03\xff\xff\xff\xff\xff\x01short",
        b"\x03\x00\x00\x00\x00\x00\x01{not json",
        b"\x03\x00\x00\x02\x00\x00\x01\xff\xfe{}",
    ],
)
async def test_a_frame_that_cannot_be_read_ends_the_connection(
    site: Site, frame: str | bytes
) -> None:
    talker = await site.connect()
    await talker.connection.send(frame)
    with pytest.raises(ConnectionClosed) as caught:
        await talker.next()
    assert caught.value.rcvd is not None
    assert caught.value.rcvd.code == 1007
    assert caught.value.rcvd.reason.startswith("MalformedFrame")


@pytest.mark.parametrize("token", ["a.b.c", "", "eyJhbGciOiJub25lIn0.eyJyb2xlIjoiYW5vbiJ9."])
async def test_a_join_with_a_bad_token_is_refused_and_with_none_the_key_counts(
    site: Site, token: str
) -> None:
    talker = await site.connect()
    answer = await talker.join(token=token)
    if token:
        assert answer["response"]["reason"].startswith("InvalidJWTToken")
    else:
        assert answer["status"] == "ok"


async def test_the_publishable_key_opens_and_joins(site: Site) -> None:
    talker = await site.connect(key=site.keys.publishable_key)
    assert (await talker.join(token=site.keys.publishable_key))["status"] == "ok"


async def test_a_channel_ends_when_its_token_expires(site: Site, ada: UUID) -> None:
    talker = await site.connect()
    # As good as expired: the verification forgives 30 s.
    token = site.token(ada, seconds=-28)
    await talker.subscribe(every("projects"), token=token)
    system = await talker.event("system")
    assert system["payload"]["status"] == "error"
    assert "expired" in system["payload"]["message"]
    assert (await talker.event("phx_close"))["topic"] == "realtime:room"


async def test_a_new_token_keeps_a_channel_and_a_bad_one_ends_it(site: Site, ada: UUID) -> None:
    talker = await site.connect()
    await talker.join(token=site.token(ada, seconds=-28))
    await talker.send("realtime:room", "access_token", {"access_token": site.token(ada)})
    await talker.send("realtime:room", "access_token", {"access_token": "sb_ignored"})
    await talker.send("realtime:room", "access_token", {"access_token": None})
    await talker.join("later", token=site.token(ada, seconds=-28))
    closed = await talker.event("phx_close")
    assert closed["topic"] == "realtime:later"
    await talker.send("realtime:room", "access_token", {"access_token": "a.b.c"})
    system = await talker.event("system")
    assert (system["topic"], system["payload"]["status"]) == ("realtime:room", "error")
    assert (await talker.event("phx_close"))["topic"] == "realtime:room"
