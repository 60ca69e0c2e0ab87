"""What does a websocket frame say, and how is one written?

Phoenix's serializers: vsn 1.0.0 sends objects, 2.0.0 sends arrays, and for broadcasts binary
frames. The shapes are those of realtime-js 2.119 and realtime-py 2.34.
"""

from typing import Any

import msgspec

from tintype.realtime.limits import FRAME_BYTES_MAX, TOPIC_BYTES_MAX
from tintype.realtime.outlet import frame_of

VERSIONS = ("1.0.0", "2.0.0")
KIND_PUSH = 3
KIND_BROADCAST = 4
ENCODING_RAW = 0

Ref = str | int | None


class MalformedFrame(Exception):
    """The frame is not one of the protocol's."""


class Frame(msgspec.Struct, frozen=True):
    """One frame from a client. `payload` is the JSON text of an object.

    `raw` holds the bytes of a broadcast that is no JSON; its `event` name is then `raw_event`.
    """

    topic: str
    event: str
    payload: bytes
    ref: str | None
    join_ref: str | None
    raw: bytes | None = None
    raw_event: str = ""


class _Object(msgspec.Struct):
    topic: str
    event: str
    payload: msgspec.Raw = msgspec.Raw(b"{}")
    ref: Ref = None
    join_ref: Ref = None


_object = msgspec.json.Decoder(_Object)
_array = msgspec.json.Decoder(tuple[Ref, Ref, str, str, msgspec.Raw])


def read_text(version: str, text: str) -> Frame:
    """Return the frame that `text` is in `version`; raise `MalformedFrame`."""
    if len(text) > FRAME_BYTES_MAX:
        raise MalformedFrame("the frame is too large")
    try:
        if version == "1.0.0":
            read = _object.decode(text)
            join_ref, ref, topic, event = read.join_ref, read.ref, read.topic, read.event
            payload = bytes(read.payload)
        else:
            join_ref, ref, topic, event, rest = _array.decode(text)
            payload = bytes(rest)
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        raise MalformedFrame("the frame is not a message of this version") from error
    if payload == b"null":
        payload = b"{}"
    if not payload.startswith(b"{") or len(topic.encode("utf-8", "replace")) > TOPIC_BYTES_MAX:
        raise MalformedFrame("the payload is not an object, or the topic is too long")
    return Frame(topic, event, payload, _text(ref), _text(join_ref))


def read_binary(data: bytes) -> Frame:
    """Return the broadcast that a binary frame of vsn 2.0.0 is; raise `MalformedFrame`."""
    if len(data) > FRAME_BYTES_MAX or len(data) < 7 or data[0] != KIND_PUSH:
        raise MalformedFrame("the binary frame is not a push")
    parts, place = [], 7
    for length in data[1:6]:
        parts.append(data[place : place + length])
        place += length
    if place > len(data):
        raise MalformedFrame("the binary frame is cut off")
    try:
        join_ref, ref, topic, event, _ = (part.decode() for part in parts)
        if data[6] == ENCODING_RAW:
            return Frame(
                topic, "broadcast", b"{}", ref or None, join_ref or None, data[place:], event
            )
        payload = broadcast_payload(event, msgspec.json.decode(data[place:])).encode()
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        raise MalformedFrame("the binary frame does not hold JSON") from error
    return Frame(topic, "broadcast", payload, ref or None, join_ref or None)


class Message:
    """One message to many sockets, written once for each version."""

    __slots__ = ("_frames", "_texts", "event", "payload", "topic")

    def __init__(self, topic: str, event: str, payload: str) -> None:
        self.topic = topic
        self.event = event
        self.payload = payload
        self._texts: dict[str, str] = {}
        self._frames: dict[str, bytes | None] = {}

    def frame(self, version: str) -> bytes | None:
        """Return the bytes on the wire in `version`, or None for a client that cannot read it."""
        if version not in self._frames:
            form = self.form(version)
            self._frames[version] = frame_of(form) if form is not None else None
        return self._frames[version]

    def form(self, version: str) -> str | bytes | None:
        """Return the frame in `version`."""
        text = self._texts.get(version)
        if text is None:
            text = write_text(version, self.topic, self.event, self.payload)
            self._texts[version] = text
        return text


class RawMessage(Message):
    """A broadcast of bytes. There is no form of it in vsn 1.0.0."""

    __slots__ = ("_push",)

    def __init__(self, topic: str, event: str, data: bytes) -> None:
        super().__init__(topic, "broadcast", "{}")
        name, called = topic.encode(), event.encode()
        head = bytes((KIND_BROADCAST, len(name), len(called), 0, ENCODING_RAW))
        self._push = head + name + called + data

    def form(self, version: str) -> str | bytes | None:
        """Return the binary frame, or None for a client that cannot read it."""
        return None if version == "1.0.0" else self._push


def write_text(
    version: str,
    topic: str,
    event: str,
    payload: str,
    *,
    ref: str | None = None,
    join_ref: str | None = None,
) -> str:
    """Return a frame; `payload` is JSON text already."""
    if version == "1.0.0":
        return (
            f'{{"topic":{quote(topic)},"event":"{event}","payload":{payload},"ref":{quote(ref)}}}'
        )
    return f'[{quote(join_ref)},{quote(ref)},{quote(topic)},"{event}",{payload}]'


def broadcast_payload(event: str, payload: Any) -> str:
    """Return the payload of a broadcast as clients read it."""
    return quote({"type": "broadcast", "event": event, "payload": payload})


def quote(value: Any) -> str:
    """Return `value` as JSON text."""
    return msgspec.json.encode(value).decode()


def _text(ref: Ref) -> str | None:
    return str(ref) if isinstance(ref, int) else ref
