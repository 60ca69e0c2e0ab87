"""How often may one caller ask?

Token buckets in this process, by named limit and key. Keys are bounded in number: the one unused
for longest is forgotten first. Across several servers each counts for itself.
"""

import math
from collections import OrderedDict
from collections.abc import Callable, Iterable
from ipaddress import IPv6Address, ip_network

import msgspec
from starlette.types import Scope

from tintype import clock
from tintype.errors import TooManyRequests

KEYS_MAX = 10_000
IPV6_SITE_BITS = 64


class RateLimit(msgspec.Struct, frozen=True):
    """`burst` requests at once, then `per_second` for as long as it goes on."""

    name: str
    per_second: float
    burst: int


class Rate:
    """The buckets of every limit."""

    def __init__(
        self,
        limits: Iterable[RateLimit],
        *,
        keys_max: int = KEYS_MAX,
        now: Callable[[], float] = clock.monotonic_seconds,
    ) -> None:
        """`keys_max` bounds the keys of all limits together; `now` returns seconds."""
        self._limits = {limit.name: limit for limit in limits}
        self._buckets: OrderedDict[tuple[str, str], tuple[float, float]] = OrderedDict()
        self._keys_max = keys_max
        self._now = now

    def __len__(self) -> int:
        """Return how many keys are remembered."""
        return len(self._buckets)

    def take(self, name: str, key: str) -> None:
        """Take one token of limit `name` for `key`; raise `TooManyRequests` when there is none.

        A refused call takes nothing, so a caller who waits as told is let through.
        """
        limit = self._limits[name]
        now = self._now()
        tokens, at = self._buckets.pop((name, key), (float(limit.burst), now))
        tokens = min(float(limit.burst), tokens + (now - at) * limit.per_second)
        allowed = tokens >= 1
        self._buckets[name, key] = (tokens - 1 if allowed else tokens, now)
        if len(self._buckets) > self._keys_max:
            self._buckets.popitem(last=False)
        if not allowed:
            raise TooManyRequests(
                "rate_limited",
                "Too many requests.",
                retry_after_seconds=max(1, math.ceil((1 - tokens) / limit.per_second)),
            )


def address_of(scope: Scope) -> str:
    """Return the client's address as a key; an IPv6 client is its /64, which one customer holds."""
    client = scope.get("client")
    address: str = client[0] if client else ""
    if ":" not in address:
        return address
    try:
        mapped = IPv6Address(address.partition("%")[0])
    except ValueError:
        return address
    if mapped.ipv4_mapped is not None:
        return str(mapped.ipv4_mapped)
    return str(ip_network((mapped, IPV6_SITE_BITS), strict=False))
