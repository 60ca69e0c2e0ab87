"""What happens on one topic of one socket, from the join to the leave?"""

import asyncio
import zlib
from collections.abc import Callable, Sequence
from uuid import uuid4

import msgspec

from tintype import clock
from tintype.auth import KeySet, Principal
from tintype.database import STATEMENT_ERRORS
from tintype.errors import Unauthenticated
from tintype.realtime import payloads
from tintype.realtime.capture import CaptureRefused
from tintype.realtime.changes import EVENTS, BadBinding, Changes
from tintype.realtime.frames import (
    Frame,
    Message,
    RawMessage,
    broadcast_payload,
    quote,
)
from tintype.realtime.interests import EVERYTHING, Binding, Subscription
from tintype.realtime.limits import (
    BINDINGS_PER_CHANNEL_MAX,
    FLOW_SECONDS_MAX,
    JOIN_SECONDS_MAX,
    PRESENCE_BYTES_MAX,
    PRESENCE_KEY_BYTES_MAX,
)
from tintype.realtime.permissions import PUBLIC_RIGHTS, Permissions, Rights
from tintype.realtime.recent import is_stream
from tintype.realtime.topics import Halls, TopicIsFull, Topics

PREFIX = "realtime:"
OPAQUE_PREFIX = "sb_"
SCHEMA_DEFAULT = "public"
ID_MAX = 2**31 - 1
# As much as a token's verification forgives.
LEEWAY_SECONDS = 30


class JoinRefused(Exception):
    """The channel cannot be joined; the message is `Code: reason`, as clients read it."""


class Line:
    """What a channel may do with its socket."""

    def __init__(
        self,
        push: Callable[[Sequence[Message]], None],
        reply: Callable[[Frame, str, str], None],
        closed: Callable[["Channel", str], None],
    ) -> None:
        self.push = push
        self.reply = reply
        self.closed = closed


class Channel:
    """One topic on one socket. Used from one event loop.

    `closed(channel, event)` of its line is called when it ends by itself, with the event that
    tells the client whether to join again (`phx_error`) or not (`phx_close`).
    """

    def __init__(
        self,
        line: Line,
        frame: Frame,
        *,
        keys: KeySet,
        halls: Halls,
        permissions: Permissions,
        changes: Changes,
    ) -> None:
        self.topic = frame.topic
        self.join_ref = frame.join_ref or frame.ref
        self.joined = False
        self._line = line
        self._keys = keys
        self._halls = halls
        self._permissions = permissions
        self._changes = changes
        self._rights = PUBLIC_RIGHTS
        self._principal: Principal | None = None
        self._config = payloads.JoinConfig()
        self._presence_key = ""
        self._subscription: Subscription | None = None
        self._holds = False
        self._ids: list[int] = []

    @property
    def name(self) -> str:
        """The topic as the app names it."""
        return self.topic.removeprefix(PREFIX)

    @property
    def _topics(self) -> Topics:
        return self._halls.of(bool(self._config.private))

    @property
    def presence_key(self) -> str:
        """The key under which this channel is present."""
        return self._presence_key

    @property
    def hears_presence(self) -> bool:
        """Whether it is told of presences."""
        presence = self._config.presence
        return presence is not None and bool(presence.enabled) and self._rights.hears_presence

    def push(self, message: Message) -> None:
        """Send a message of this topic to the client, while the channel is joined."""
        if self.joined:
            self._line.push((message,))

    def push_all(self, messages: Sequence[Message]) -> None:
        """Send several messages of this topic, in their order."""
        if self.joined:
            self._line.push(messages)

    def has_expired(self) -> bool:
        """Whether the token of the channel holds no longer."""
        expires = self._principal.claims.get("exp") if self._principal is not None else None
        return expires is not None and clock.unix_seconds() >= expires + LEEWAY_SECONDS

    async def join(self, frame: Frame, fallback: Principal) -> None:
        """Join and reply; with bindings only when changes flow. Closed by whoever called.

        `fallback` counts where the client brings no token of a user. After an ok reply every
        change that is committed later arrives.
        """
        try:
            request = payloads.decode_join(frame.payload)
        except (msgspec.MsgspecError, RecursionError) as error:
            raise JoinRefused(f"InvalidJoinPayload: {error}") from error
        config = self._config = request.config or payloads.JoinConfig()
        self._principal = await self._verify(request.access_token or request.user_token, fallback)
        self._rights = await self._ask_rights(self._principal)
        if not self._rights.hears_broadcast:
            raise JoinRefused(self._unauthorized())
        self._presence_key = (config.presence and config.presence.key) or str(uuid4())
        if len(self._presence_key.encode()) > PRESENCE_KEY_BYTES_MAX:
            raise JoinRefused(
                f"InvalidPresenceKey: a key has at most {PRESENCE_KEY_BYTES_MAX} bytes"
            )
        requests = config.postgres_changes or []
        ids = self._ids = _ids(requests)
        trouble = None
        if requests:
            trouble = await self._subscribe()
        else:
            await self._retain()
        echoes = [
            {"id": number} | msgspec.to_builtins(one)
            for number, one in zip(ids, requests, strict=True)
        ]
        self.joined = True
        self._topics.enter(self.topic, self)
        self._line.reply(frame, "ok", quote({"postgres_changes": echoes}))
        if self.hears_presence:
            self.push(Message(self.topic, "presence_state", self._topics.state(self.topic)))
        if config.broadcast is not None and config.broadcast.replication_ready:
            self._system("system", "Replication connection established", True)
        if requests:
            self._system("postgres_changes", trouble or "Subscribed to PostgreSQL", trouble is None)
        subscription = self._subscription
        if subscription is not None and is_stream(self.name, subscription.bindings):
            try:
                await self._changes.repeat(subscription)
            except STATEMENT_ERRORS:
                self._lose("Changes may have been missed: the database is away.")

    def hear(self, frame: Frame) -> None:
        """Do what a broadcast or a presence asks for."""
        if frame.event == "broadcast":
            self._broadcast(frame)
        elif frame.event == "presence":
            self._presence(frame)

    async def renew(self, frame: Frame) -> None:
        """Act under the token of an `access_token` message from now on; end if it does not hold."""
        try:
            token = payloads.decode_token(frame.payload).access_token
            if not token or token.startswith(OPAQUE_PREFIX):
                return None
            principal = await self._keys.verify_or_refresh(token)
        except Unauthenticated as error:
            return self.end(f"InvalidJWTToken: {error.message}")
        except msgspec.MsgspecError:
            return self.end("MalformedJWT: The token provided is not a valid JWT")
        self._principal = principal
        self._rights = await self._ask_rights(principal)
        if not self._rights.hears_broadcast:
            return self.end(self._unauthorized())
        if not self._rights.sends_presence:
            self._topics.untrack(self.topic, self)
        if self._ids:
            await self._resubscribe()
        return None

    def end(self, reason: str, *, extension: str = "system", event: str = "phx_close") -> None:
        """End the channel from this side and say why."""
        if self.joined:
            self._system(extension, reason, False)
            self._line.closed(self, event)

    def close(self) -> None:
        """Hear and say nothing any more. Safe to call twice."""
        self.joined = False
        self._topics.leave(self.topic, self)
        if self._subscription is not None:
            self._changes.remove(self._subscription)
            self._subscription = None
        self._release()

    def _release(self) -> None:
        if self._holds:
            self._holds = False
            self._changes.capture.release()

    async def _verify(self, token: str | None, fallback: Principal) -> Principal:
        if not token or token.startswith(OPAQUE_PREFIX):
            return fallback
        try:
            return await self._keys.verify_or_refresh(token)
        except Unauthenticated as error:
            raise JoinRefused(f"InvalidJWTToken: {error.message}") from error

    async def _ask_rights(self, principal: Principal) -> Rights:
        if not self._config.private:
            return PUBLIC_RIGHTS
        return (await self._permissions.of(principal, [self.name]))[self.name]

    def _unauthorized(self) -> str:
        if self._rights.trouble is not None:
            return f"UnableToSetPolicies: a policy raised an error: {self._rights.trouble}"
        return (
            "Unauthorized: You do not have permissions to read from this Channel topic:"
            f" {self.name}"
        )

    async def _retain(self) -> None:
        """Have the broadcasts of the database arrive; wait for it where that is expected.

        A private channel is what such broadcasts are for, so it waits; yet it is of use without
        them, where they cannot be had.
        """
        config = self._config
        is_asked = config.broadcast is not None and bool(config.broadcast.replication_ready)
        try:
            if is_asked or config.private:
                async with asyncio.timeout(JOIN_SECONDS_MAX if is_asked else FLOW_SECONDS_MAX):
                    await self._changes.capture.hold(tables=False)
                    self._holds = True
                    return
        except (CaptureRefused, TimeoutError) as error:
            if is_asked:
                raise JoinRefused(
                    "UnableToReplicate: the broadcasts of the database do not arrive"
                ) from error
        self._changes.capture.retain()
        self._holds = True

    async def _subscribe(self) -> str | None:
        """Hear of changes; return what stands in the way, if the bindings do."""
        try:
            async with asyncio.timeout(JOIN_SECONDS_MAX):
                await self._changes.capture.hold()
                self._release()
                self._holds = True
                bindings = await self._bindings()
        except (BadBinding, CaptureRefused) as error:
            return str(error)
        except TimeoutError as error:
            raise JoinRefused(
                "PostgresChangesSubscribeTimeout: changes do not flow yet, try again"
            ) from error
        self._listen(bindings)
        return None

    async def _resubscribe(self) -> None:
        """Hear of changes under the new claims, of those too that the former did not allow."""
        before, trouble = self._subscription, None
        if before is None:
            try:
                trouble = await self._subscribe()
            except JoinRefused as error:
                trouble = str(error)
            return self._system(
                "postgres_changes", trouble or "Subscribed to PostgreSQL", trouble is None
            )
        try:
            bindings = await self._bindings()
        except BadBinding as error:
            self._changes.remove(before)
            self._subscription = None
            return self._system("postgres_changes", str(error), False)
        self._changes.remove(before)
        return self._listen(bindings)

    def _listen(self, bindings: list[Binding]) -> None:
        assert self._principal is not None
        self._subscription = self._changes.listen(
            self.topic, self._principal, bindings, push=self.push_all, lost=self._lose
        )

    def _lose(self, reason: str) -> None:
        self.end(reason, extension="postgres_changes", event="phx_error")

    async def _bindings(self) -> list[Binding]:
        assert self._principal is not None
        return [
            await self._changes.prepare(
                self._principal.role,
                number,
                one.event,
                (one.schema or SCHEMA_DEFAULT, one.table or EVERYTHING),
                filter=one.filter,
                select=one.select,
            )
            for number, one in zip(self._ids, self._config.postgres_changes or [], strict=True)
        ]

    def _broadcast(self, frame: Frame) -> None:
        config = self._config.broadcast or payloads.BroadcastConfig()
        if not self._rights.sends_broadcast:
            return None
        sender = None if config.to_self else self
        try:
            if frame.raw is not None:
                message: Message = RawMessage(self.topic, frame.raw_event, frame.raw)
            else:
                said = payloads.decode_broadcast(frame.payload)
                payload = broadcast_payload(said.event, said.payload)
                message = Message(self.topic, "broadcast", payload)
        except (msgspec.MsgspecError, RecursionError):
            return self._line.reply(frame, "error", quote({"reason": "InvalidPayload"}))
        self._topics.broadcast(message, sender=sender)
        if config.ack:
            self._line.reply(frame, "ok", "{}")
        return None

    def _presence(self, frame: Frame) -> None:
        try:
            said = payloads.decode_presence(frame.payload)
            text = bytes(said.payload).decode()
            fits = len(text) <= PRESENCE_BYTES_MAX and text.lstrip().startswith("{")
            if said.event == "track" and not self._rights.sends_presence:
                reason = "Unauthorized: You do not have permissions to be present on this topic"
                return self._line.reply(frame, "error", quote({"reason": reason}))
            if said.event == "track" and fits:
                self._topics.track(self.topic, self, quote(msgspec.json.decode(text)))
            elif said.event == "untrack":
                self._topics.untrack(self.topic, self)
            else:
                reason = f"InvalidPresence: track an object of at most {PRESENCE_BYTES_MAX} bytes"
                return self._line.reply(frame, "error", quote({"reason": reason}))
        except (msgspec.MsgspecError, ValueError, RecursionError):
            return self._line.reply(frame, "error", quote({"reason": "InvalidPresence"}))
        except TopicIsFull:
            reason = "ClientPresenceRateLimitReached: too many presences on this topic"
            return self._line.reply(frame, "error", quote({"reason": reason}))
        return self._line.reply(frame, "ok", "{}")

    def _system(self, extension: str, message: str, is_good: bool) -> None:
        payload = {
            "extension": extension,
            "status": "ok" if is_good else "error",
            "message": message,
            "channel": self.name,
        }
        self.push(Message(self.topic, "system", quote(payload)))


def _ids(requests: list[payloads.BindingRequest]) -> list[int]:
    """Return a number for each binding: the same for the same binding, never 0."""
    if len(requests) > BINDINGS_PER_CHANNEL_MAX:
        raise JoinRefused(
            f"TooManyBindings: a channel has at most {BINDINGS_PER_CHANNEL_MAX} of them"
        )
    ids: list[int] = []
    taken: dict[int, bytes] = {}
    for one in requests:
        if one.event not in EVENTS:
            raise JoinRefused(f"InvalidBinding: event is one of {', '.join(EVENTS)}")
        text = msgspec.json.encode(one)
        number = zlib.crc32(text) % ID_MAX + 1
        while taken.get(number, text) != text:
            number = number % ID_MAX + 1
        taken[number] = text
        ids.append(number)
    return ids
