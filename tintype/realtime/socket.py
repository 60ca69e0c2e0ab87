"""How does one websocket live, and when is it ended?

Frames are read one at a time and written from a bounded queue. Whatever a client does, the memory
it holds here is bounded; beyond a limit it is refused or closed, with a reason.
"""

import asyncio
from collections import deque
from collections.abc import Sequence
from typing import Any

from starlette.types import Receive, Send

from tintype import clock, events
from tintype.auth import KeySet, Principal
from tintype.rate import Bucket, Limit
from tintype.realtime import frames
from tintype.realtime.changes import Changes
from tintype.realtime.channel import PREFIX, Channel, JoinRefused, Line
from tintype.realtime.frames import Frame, Message, quote
from tintype.realtime.limits import (
    CLOSE_SECONDS_MAX,
    JOINS_PER_SECOND_MAX,
    MESSAGES_PER_SECOND_MAX,
    QUEUE_BYTES_MAX,
    QUEUE_MESSAGES_MAX,
    SILENCE_SECONDS_MAX,
    TOPICS_PER_SOCKET_MAX,
)
from tintype.realtime.outlet import BUFFERED_BYTES_MAX, Outlet, frame_of
from tintype.realtime.permissions import Permissions
from tintype.realtime.topics import Halls

NORMAL, GOING_AWAY, UNREADABLE, REFUSED = 1000, 1001, 1007, 1008
BROKEN, TRY_LATER = 1011, 1013
SOCKET_TOPIC = "phoenix"


class Socket:
    """One client. `run` ends when the connection does."""

    def __init__(
        self,
        receive: Receive,
        send: Send,
        *,
        version: str,
        principal: Principal,
        keys: KeySet,
        halls: Halls,
        permissions: Permissions,
        changes: Changes,
    ) -> None:
        self._receive = receive
        self._send = send
        self._version = version
        self._principal = principal
        self._keys = keys
        self._halls = halls
        self._permissions = permissions
        self._changes = changes
        self._channels: dict[str, Channel] = {}
        self._joining: dict[str, tuple[Channel, asyncio.Task[None]]] = {}
        self._queue: deque[str | bytes] = deque()
        self._queued_bytes = 0
        self._wake = asyncio.Event()
        self._outlet = Outlet(receive)
        # Whether a message is on its way through the server, so that none may overtake it.
        self._writing = True
        self._heard_at = clock.monotonic_seconds()
        self._messages = Bucket(Limit(MESSAGES_PER_SECOND_MAX, seconds=1))
        self._joins = Bucket(Limit(JOINS_PER_SECOND_MAX, seconds=1))
        self._ended: asyncio.Future[tuple[int, str]] = asyncio.get_running_loop().create_future()
        self._line = Line(self._push, self._reply, self._channel_closed)

    async def run(self) -> None:
        """Accept and serve the client until it leaves or `end` is called."""
        await self._send({"type": "websocket.accept"})
        self._writing = False
        reader = asyncio.create_task(self._read())
        writer = asyncio.create_task(self._write())
        try:
            ends: list[asyncio.Future[Any]] = [reader, writer, self._ended]
            await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
        finally:
            tasks = [reader, writer, *(task for _, task in self._joining.values())]
            for task in tasks:
                task.cancel()
            for topic in [*self._channels, *self._joining]:
                self._forget(topic)
            self._queue.clear()
            for outcome in await asyncio.gather(*tasks, return_exceptions=True):
                if isinstance(outcome, Exception):
                    events.emit(
                        events.LoopFailed(
                            loop="realtime socket", error=repr(outcome), delay_seconds=0
                        )
                    )
                    self.end(BROKEN, "InternalError")
        if self._ended.done():
            await self._close(*self._ended.result())

    def end(self, code: int, reason: str) -> None:
        """Close the connection, with a reason of at most 123 bytes; safe to call twice."""
        if not self._ended.done():
            self._ended.set_result((code, reason))

    def tick(self) -> None:
        """Look at the time: end a silent client, and channels whose token has expired."""
        if clock.monotonic_seconds() > self._heard_at + SILENCE_SECONDS_MAX:
            return self.end(NORMAL, "heartbeat timeout")
        for channel in list(self._channels.values()):
            if channel.has_expired():
                channel.end("InvalidJWTToken: Token has expired")
        return None

    async def _read(self) -> None:
        while True:
            message = await self._receive()
            if message["type"] == "websocket.disconnect":
                return None
            self._heard_at = clock.monotonic_seconds()
            if self._messages.take():
                return self.end(REFUSED, "ClientMessageRateLimitReached: too many per second")
            try:
                text = message.get("text")
                if text is not None:
                    frame = frames.read_text(self._version, text)
                else:
                    frame = frames.read_binary(message.get("bytes") or b"")
            except frames.MalformedFrame as error:
                return self.end(UNREADABLE, f"MalformedFrame: {error}")
            await self._hear(frame)
            # What has arrived already is read without waiting: the others get their turn here.
            await asyncio.sleep(0)

    async def _hear(self, frame: Frame) -> None:
        if frame.topic == SOCKET_TOPIC:
            return self._reply(frame, "ok", "{}")
        if frame.event == "phx_join":
            return self._begin_join(frame)
        if frame.event == "phx_leave":
            return self._leave(frame)
        if frame.topic in self._joining:
            # Frames of a topic are taken in their order.
            await asyncio.wait([self._joining[frame.topic][1]])
        channel = self._channels.get(frame.topic)
        if channel is None:
            return self._refuse(frame, "unmatched topic")
        if frame.event == "access_token":
            return await channel.renew(frame)
        return channel.hear(frame)

    def _begin_join(self, frame: Frame) -> None:
        if not frame.topic.startswith(PREFIX) or frame.topic == PREFIX:
            return self._refuse(frame, "TopicNameRequired: You must provide a topic name")
        if self._joins.take():
            return self._refuse(frame, "ClientJoinRateLimitReached: Too many joins per second")
        known = self._channels.get(frame.topic)
        if known is not None:
            self._channel_closed(known, "phx_close")
        self._forget(frame.topic)
        if len(self._channels) + len(self._joining) >= TOPICS_PER_SOCKET_MAX:
            return self._refuse(frame, "ChannelRateLimitReached: Too many channels")
        channel = Channel(
            self._line,
            frame,
            keys=self._keys,
            halls=self._halls,
            permissions=self._permissions,
            changes=self._changes,
        )
        task = asyncio.create_task(self._join(channel, frame))
        self._joining[frame.topic] = channel, task
        return None

    async def _join(self, channel: Channel, frame: Frame) -> None:
        try:
            await channel.join(frame, self._principal)
        except JoinRefused as refusal:
            self._refuse(frame, str(refusal))
        except Exception as error:
            events.emit(events.LoopFailed(loop="realtime join", error=repr(error), delay_seconds=0))
            self._refuse(frame, "UnableToSubscribe: the server cannot do it now, try again")
        if self._joining.get(frame.topic, (None,))[0] is channel:
            del self._joining[frame.topic]
            if channel.joined:
                self._channels[frame.topic] = channel
                return
        channel.close()

    def _leave(self, frame: Frame) -> None:
        channel = self._channels.get(frame.topic)
        if frame.topic in self._joining:
            channel = self._joining[frame.topic][0]
        self._forget(frame.topic)
        self._reply(frame, "ok", "{}")
        if channel is not None:
            self._say(self._event(channel, "phx_close"))

    def _forget(self, topic: str) -> None:
        if topic in self._joining:
            channel, task = self._joining.pop(topic)
            task.cancel()
            channel.close()
        if topic in self._channels:
            self._channels.pop(topic).close()

    def _channel_closed(self, channel: Channel, event: str) -> None:
        if self._channels.get(channel.topic) is channel:
            del self._channels[channel.topic]
        channel.close()
        self._say(self._event(channel, event))

    def _event(self, channel: Channel, event: str) -> str:
        ref = channel.join_ref
        return frames.write_text(self._version, channel.topic, event, "{}", ref=ref, join_ref=ref)

    def _refuse(self, frame: Frame, reason: str) -> None:
        self._reply(frame, "error", quote({"reason": reason}))

    def _reply(self, frame: Frame, status: str, response: str) -> None:
        payload = f'{{"status":"{status}","response":{response}}}'
        self._say(
            frames.write_text(
                self._version,
                frame.topic,
                "phx_reply",
                payload,
                ref=frame.ref,
                join_ref=frame.join_ref,
            )
        )

    def _push(self, messages: Sequence[Message]) -> None:
        written: list[str | bytes] = []
        wire: list[bytes] = []
        size = 0
        for message in messages:
            form, frame = message.form(self._version), message.frame(self._version)
            if form is None or frame is None:
                continue
            written.append(form)
            wire.append(frame)
            size += len(frame)
            if size > BUFFERED_BYTES_MAX:
                self._put(written, b"".join(wire))
                written, wire, size = [], [], 0
        if written:
            self._put(written, b"".join(wire))

    def _say(self, text: str) -> None:
        self._put((text,), frame_of(text))

    def _put(self, written: Sequence[str | bytes], wire: bytes) -> None:
        """Send messages, which are `wire` on the wire, in their order."""
        if self._ended.done():
            return None
        if not (self._queue or self._writing) and self._outlet.write(wire):
            return None
        self._queue.extend(written)
        self._queued_bytes += sum(map(len, written))
        if self._queued_bytes > QUEUE_BYTES_MAX or len(self._queue) > QUEUE_MESSAGES_MAX:
            self._queue.clear()
            return self.end(TRY_LATER, "SlowConsumer: messages are not read fast enough")
        self._wake.set()
        return None

    async def _write(self) -> None:
        while True:
            await self._wake.wait()
            self._wake.clear()
            self._writing = True
            while self._queue:
                written = self._queue.popleft()
                self._queued_bytes -= len(written)
                kind = "text" if isinstance(written, str) else "bytes"
                try:
                    await self._send({"type": "websocket.send", kind: written})
                except OSError:
                    return
            self._writing = False

    async def _close(self, code: int, reason: str) -> None:
        try:
            async with asyncio.timeout(CLOSE_SECONDS_MAX):
                await self._send({"type": "websocket.close", "code": code, "reason": reason[:120]})
        except TimeoutError:
            self._outlet.abort()
        except (OSError, RuntimeError):
            return
