"""How much may one client ask for, and how long does the server wait?

What a client goes beyond is refused with a reason; nothing here is grown by asking more often.
"""

from tintype import clock

SOCKETS_MAX = 10_000
FRAME_BYTES_MAX = 1024 * 1024
TOPIC_BYTES_MAX = 255
TOPICS_PER_SOCKET_MAX = 100
JOINS_PER_SECOND_MAX = 100
MESSAGES_PER_SECOND_MAX = 1_000
BINDINGS_PER_CHANNEL_MAX = 100
FILTER_BYTES_MAX = 16 * 1024
FILTER_VALUES_MAX = 100
FILTER_CONDITIONS_MAX = 16

# What waits for a socket that reads slowly. Beyond either it is closed.
QUEUE_BYTES_MAX = 4 * 1024 * 1024
QUEUE_MESSAGES_MAX = 10_000

# Clients beat every 25 s.
SILENCE_SECONDS_MAX = 60
# Clients give a join 10 s.
JOIN_SECONDS_MAX = 9
CLOSE_SECONDS_MAX = 1
TICK_SECONDS = 1

PRESENCES_PER_TOPIC_MAX = 1_000
PRESENCE_BYTES_MAX = 16 * 1024
PRESENCE_KEY_BYTES_MAX = 255

POST_BYTES_MAX = 1024 * 1024
POST_MESSAGES_MAX = 1_000

# A record beyond this goes out with its small values only, and says so.
RECORD_BYTES_MAX = 1024 * 1024
LARGE_RECORD_VALUE_BYTES_MAX = 64


class Allowance:
    """So many per second, saved up for one second at most."""

    def __init__(self, per_second: int) -> None:
        self._per_second = per_second
        self._left = float(per_second)
        self._at = clock.monotonic_seconds()

    def take(self) -> bool:
        """Use one up and return whether there was one."""
        now = clock.monotonic_seconds()
        self._left = min(self._per_second, self._left + (now - self._at) * self._per_second)
        self._at = now
        if self._left < 1:
            return False
        self._left -= 1
        return True
