"""How often may somebody try?

Each limit has buckets of its own, so that a flood of one kind of key never wipes out another's.
"""

from tintype.errors import TooManyRequests
from tintype.rate import KEYS_MAX, Buckets, Limit


class Attempts:
    """The tries under one limit, by key."""

    def __init__(self, limit: Limit, *, keys_max: int = KEYS_MAX) -> None:
        self._buckets = Buckets(limit, keys_max=keys_max)

    def __len__(self) -> int:
        """Return how many keys are remembered."""
        return len(self._buckets)

    def take(self, key: str) -> None:
        """Count one try of `key` before it is made.

        Raises `TooManyRequests` `over_request_rate_limit` when none is left; that counts nothing,
        so whoever waits as told is let through.
        """
        if wait_seconds := self._buckets.take(key):
            raise TooManyRequests(
                "over_request_rate_limit",
                "Request rate limit reached",
                retry_after_seconds=wait_seconds,
            )

    def give_back(self, key: str) -> None:
        """Take a try of `key` out of the count, because it was no guess."""
        self._buckets.give_back(key)
