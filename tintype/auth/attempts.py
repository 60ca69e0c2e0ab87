"""How often may somebody try?

Token buckets in this process, by limit and key. Each limit remembers a bounded number of keys and
forgets the one unused for longest, so that a flood of one kind of key never wipes out another's.
Across several servers each counts for itself.
"""

import math
from collections import OrderedDict
from ipaddress import IPv6Address, ip_network

import msgspec
from starlette.types import Scope

from tintype import clock
from tintype.errors import TooManyRequests

KEYS_MAX = 10_000
IPV6_SITE_BITS = 64


class Limit(msgspec.Struct, frozen=True):
    """`count` tries at once, and as many again in every `seconds`."""

    count: int
    seconds: int


class Attempts:
    """The tries under one limit, by key."""

    def __init__(self, limit: Limit, *, keys_max: int = KEYS_MAX) -> None:
        self._limit = limit
        self._keys_max = keys_max
        self._left: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def __len__(self) -> int:
        """Return how many keys are remembered."""
        return len(self._left)

    def take(self, key: str) -> None:
        """Count one try of `key` before it is made.

        Raises `TooManyRequests` `over_request_rate_limit` when none is left; that counts nothing,
        so whoever waits as told is let through.
        """
        left = self._refilled(key)
        if left < 1:
            self._keep(key, left)
            seconds = (1 - left) * self._limit.seconds / self._limit.count
            raise TooManyRequests(
                "over_request_rate_limit",
                "Request rate limit reached",
                retry_after_seconds=max(1, math.ceil(seconds)),
            )
        self._keep(key, left - 1)

    def give_back(self, key: str) -> None:
        """Take a try of `key` out of the count, because it was no guess."""
        self._keep(key, min(float(self._limit.count), self._refilled(key) + 1))

    def _refilled(self, key: str) -> float:
        now, full = clock.monotonic_seconds(), float(self._limit.count)
        left, at = self._left.get(key, (full, now))
        return min(full, left + (now - at) * self._limit.count / self._limit.seconds)

    def _keep(self, key: str, left: float) -> None:
        self._left[key] = (left, clock.monotonic_seconds())
        self._left.move_to_end(key)
        while len(self._left) > self._keys_max:
            self._left.popitem(last=False)


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
