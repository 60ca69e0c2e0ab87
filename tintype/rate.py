"""How often may one caller do something?

A token bucket: a Limit is so many at once and as many again in a time, a Bucket is what one caller
has used of it, Buckets are those of many callers by key. They live in this process: across several
servers each counts for itself.
"""

import heapq
import math
from ipaddress import IPv6Address, ip_network

import msgspec
from starlette.types import Scope

from tintype import clock

KEYS_MAX = 10_000
# Keys are forgotten an eighth at a time, so that a flood of new ones pays for one search in many.
FORGOTTEN_SHARE = 8
IPV6_SITE_BITS = 64


class Limit(msgspec.Struct, frozen=True):
    """`count` at once, and as many again in every `seconds`."""

    count: int
    seconds: float


class Bucket:
    """What one caller has used of a limit."""

    __slots__ = ("_at", "_limit", "_used")

    def __init__(self, limit: Limit) -> None:
        self._limit = limit
        self._used = 0.0
        self._at = clock.monotonic_seconds()

    def take(self) -> int:
        """Use one and return 0; or use none and return in how many whole seconds there is one.

        A refused call counts nothing, so whoever waits as told is let through.
        """
        self._refill()
        missing = self._used + 1 - self._limit.count
        if missing > 0:
            return max(1, math.ceil(missing * self._limit.seconds / self._limit.count))
        self._used += 1
        return 0

    def give_back(self) -> None:
        """Take one out of the count; there are never more than `count`."""
        self._refill()
        self._used = max(0.0, self._used - 1)

    @property
    def full_at_seconds(self) -> float:
        """When nothing of it is used any more, on the monotonic clock."""
        return self._at + self._used * self._limit.seconds / self._limit.count

    def _refill(self) -> None:
        now = clock.monotonic_seconds()
        came_back = (now - self._at) * self._limit.count / self._limit.seconds
        self._used, self._at = max(0.0, self._used - came_back), now


class Buckets:
    """The buckets under one limit, by key.

    `keys_max` are remembered. When a new key needs room, those go first that are nearest to full,
    since forgetting a full bucket changes nothing: a flood of fresh keys pushes out its own, and
    not a caller who is being held back.
    """

    def __init__(self, limit: Limit, *, keys_max: int = KEYS_MAX) -> None:
        self._limit = limit
        self._keys_max = keys_max
        self._buckets: dict[str, Bucket] = {}

    def __len__(self) -> int:
        """Return how many keys are remembered."""
        return len(self._buckets)

    def take(self, key: str) -> int:
        """Do for `key` what `Bucket.take` does for one caller."""
        bucket = self._buckets.get(key)
        if bucket is None:
            if len(self._buckets) >= self._keys_max:
                self._forget()
            bucket = self._buckets[key] = Bucket(self._limit)
        return bucket.take()

    def give_back(self, key: str) -> None:
        """Do for `key` what `Bucket.give_back` does; a key that is not remembered has used none."""
        bucket = self._buckets.get(key)
        if bucket is not None:
            bucket.give_back()

    def _forget(self) -> None:
        count = max(1, self._keys_max // FORGOTTEN_SHARE)
        buckets = self._buckets
        for key in heapq.nsmallest(count, buckets, key=lambda key: buckets[key].full_at_seconds):
            del buckets[key]


def address_of(scope: Scope) -> str:
    """Return the client's address as a key; an IPv6 client is its /64, which one customer holds."""
    client = scope.get("client")
    address: str = client[0] if client else ""
    if ":" not in address:
        return address
    try:
        found = IPv6Address(address.partition("%")[0])
    except ValueError:
        return address
    if found.ipv4_mapped is not None:
        return str(found.ipv4_mapped)
    return str(ip_network((found, IPV6_SITE_BITS), strict=False))
