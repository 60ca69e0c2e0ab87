"""How often may one caller ask a function?

Buckets by named limit and key. A function's own limit is declared beside it.
"""

from collections.abc import Iterable

import msgspec

from tintype.errors import TooManyRequests
from tintype.rate import KEYS_MAX, Buckets, Limit


class RateLimit(msgspec.Struct, frozen=True):
    """A limit and the name by which it is taken from."""

    name: str
    limit: Limit


class Rate:
    """The buckets of every limit."""

    def __init__(self, limits: Iterable[RateLimit], *, keys_max: int = KEYS_MAX) -> None:
        """`keys_max` bounds the keys remembered of each limit."""
        self._buckets = {one.name: Buckets(one.limit, keys_max=keys_max) for one in limits}

    def take(self, name: str, key: str) -> None:
        """Take one of limit `name` for `key`; raise `TooManyRequests` when there is none."""
        if wait_seconds := self._buckets[name].take(key):
            raise TooManyRequests(
                "rate_limited", "Too many requests.", retry_after_seconds=wait_seconds
            )
