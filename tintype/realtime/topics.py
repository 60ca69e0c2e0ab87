"""Who is on a topic, and what do they tell each other?

Broadcasts go to everybody on the topic at this server; presences are what each channel says about
itself while it is there.
"""

from collections.abc import Iterable
from itertools import count
from typing import NamedTuple, Protocol

from tintype.realtime.frames import Message, quote
from tintype.realtime.limits import PRESENCES_PER_TOPIC_MAX


class Member(Protocol):
    """A channel, as its topic sees it."""

    @property
    def presence_key(self) -> str: ...

    @property
    def hears_presence(self) -> bool: ...

    def push(self, message: Message) -> None: ...


class Presence:
    """What one channel says about itself; `meta` is the JSON text of an object with `phx_ref`."""

    __slots__ = ("key", "meta", "ref")

    def __init__(self, key: str, ref: str, meta: str) -> None:
        self.key = key
        self.ref = ref
        self.meta = meta


class TopicIsFull(Exception):
    """No more presences fit."""


class _Topic:
    def __init__(self) -> None:
        self.members: dict[Member, None] = {}
        self.presences: dict[Member, Presence] = {}


class Topics:
    """All topics that somebody is on. Used from one event loop."""

    def __init__(self) -> None:
        self._topics: dict[str, _Topic] = {}
        self._refs = count(1)

    def enter(self, name: str, member: Member) -> None:
        """Put `member` on the topic; it hears what is said from now on."""
        self._topics.setdefault(name, _Topic()).members[member] = None

    def leave(self, name: str, member: Member) -> None:
        """Take `member` off the topic, its presence with it."""
        topic = self._topics.get(name)
        if topic is None or member not in topic.members:
            return
        del topic.members[member]
        self._forget(name, topic, member)
        if not topic.members:
            del self._topics[name]

    def broadcast(self, message: Message, *, sender: Member | None = None) -> None:
        """Push `message` to everybody on its topic but `sender`."""
        topic = self._topics.get(message.topic)
        if topic is not None:
            for member in tuple(topic.members):
                if member is not sender:
                    member.push(message)

    def state(self, name: str) -> str:
        """Return the JSON of all presences of a topic, by key."""
        topic = self._topics.get(name)
        return _by_key(topic.presences.values()) if topic is not None else "{}"

    def track(self, name: str, member: Member, payload: str) -> None:
        """Say `payload` (the JSON text of an object) about `member`, in place of what was said.

        Raises `TopicIsFull` beyond `PRESENCES_PER_TOPIC_MAX`.
        """
        topic = self._topics[name]
        before = topic.presences.get(member)
        if before is None and len(topic.presences) >= PRESENCES_PER_TOPIC_MAX:
            raise TopicIsFull
        ref = f"{next(self._refs):016x}"
        head = f'"phx_ref":{quote(ref)}'
        if before is not None:
            head += f',"phx_ref_prev":{quote(before.ref)}'
        body = payload.strip()[1:].lstrip()
        meta = "{" + head + ("" if body == "}" else ",") + body
        presence = topic.presences[member] = Presence(member.presence_key, ref, meta)
        self._tell(name, topic, [presence], [before] if before is not None else [])

    def untrack(self, name: str, member: Member) -> None:
        """Say nothing about `member` any more."""
        topic = self._topics.get(name)
        if topic is not None:
            self._forget(name, topic, member)

    def _forget(self, name: str, topic: _Topic, member: Member) -> None:
        before = topic.presences.pop(member, None)
        if before is not None:
            self._tell(name, topic, [], [before])

    def _tell(
        self, name: str, topic: _Topic, joins: list[Presence], leaves: list[Presence]
    ) -> None:
        payload = f'{{"joins":{_by_key(joins)},"leaves":{_by_key(leaves)}}}'
        message = Message(name, "presence_diff", payload)
        for member in tuple(topic.members):
            if member.hears_presence:
                member.push(message)


class Halls(NamedTuple):
    """The topics that are open to all, and those of the same names where policies decide."""

    public: Topics
    private: Topics

    def of(self, private: bool) -> Topics:
        """Return the hall that a message or a channel belongs to."""
        return self.private if private else self.public


def _by_key(presences: Iterable[Presence]) -> str:
    metas: dict[str, list[str]] = {}
    for presence in presences:
        metas.setdefault(presence.key, []).append(presence.meta)
    return (
        "{"
        + ",".join(f'{quote(key)}:{{"metas":[{",".join(some)}]}}' for key, some in metas.items())
        + "}"
    )
