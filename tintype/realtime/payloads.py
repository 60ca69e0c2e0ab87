"""What may a client put into a message?

One type for each payload; what is not named here is ignored, as newer clients send more.
"""

from typing import Any

import msgspec


class BindingRequest(msgspec.Struct, omit_defaults=True):
    """One entry of `postgres_changes`."""

    event: str
    schema: str | None = None
    table: str | None = None
    filter: str | None = None
    select: list[str] | None = None


class BroadcastConfig(msgspec.Struct):
    """`ack`: answer each broadcast. `to_self`: the sender gets its own.

    `replication_ready`: join, and say so, once broadcasts of the database arrive.
    """

    ack: bool | None = False
    to_self: bool | None = msgspec.field(default=False, name="self")
    replication_ready: bool | None = False


class PresenceConfig(msgspec.Struct):
    """`enabled`: this channel is told of presences. Clients before 2.70 do not say it."""

    key: str | None = ""
    enabled: bool | None = True


class JoinConfig(msgspec.Struct):
    """What a channel is to be."""

    broadcast: BroadcastConfig | None = None
    presence: PresenceConfig | None = None
    postgres_changes: list[BindingRequest] | None = None
    private: bool | None = False


class JoinRequest(msgspec.Struct):
    """The payload of `phx_join`."""

    config: JoinConfig | None = None
    access_token: str | None = None
    user_token: str | None = None


class TokenRequest(msgspec.Struct):
    """The payload of `access_token`."""

    access_token: str | None = None


class BroadcastRequest(msgspec.Struct):
    """The payload of `broadcast`."""

    event: str = ""
    payload: Any = msgspec.field(default_factory=dict)


class PresenceRequest(msgspec.Struct):
    """The payload of `presence`."""

    event: str = ""
    payload: msgspec.Raw = msgspec.Raw(b"{}")


class PostedMessage(msgspec.Struct):
    """One message of `POST /realtime/v1/api/broadcast`."""

    topic: str
    event: str
    payload: Any = msgspec.field(default_factory=dict)
    private: bool = False


class Posted(msgspec.Struct):
    """The body of `POST /realtime/v1/api/broadcast`."""

    messages: list[PostedMessage]


decode_join = msgspec.json.Decoder(JoinRequest).decode
decode_token = msgspec.json.Decoder(TokenRequest).decode
decode_broadcast = msgspec.json.Decoder(BroadcastRequest).decode
decode_presence = msgspec.json.Decoder(PresenceRequest).decode
decode_posted = msgspec.json.Decoder(Posted).decode
