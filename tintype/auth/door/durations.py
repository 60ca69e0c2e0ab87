"""How long is a ban? Written as Go writes durations: `24h`, `1h30m`, `none`."""

import re
from datetime import datetime, timedelta

from tintype import clock
from tintype.errors import InvalidRequest

# What Go's own type can hold.
SECONDS_MAX = 292 * 365 * 24 * 3600
_UNITS = {
    "ns": 1e-9,
    "us": 1e-6,
    "µs": 1e-6,
    "μs": 1e-6,
    "ms": 1e-3,
    "s": 1.0,
    "m": 60.0,
    "h": 3600.0,
}
_PART = r"(\d{1,12}(?:\.\d{0,9})?|\.\d{1,9})(ns|us|µs|μs|ms|s|m|h)"


def banned_until(duration: str) -> datetime | None:
    """Return when a ban that begins now ends; None for `none`, which lifts one.

    Raises `InvalidRequest` `validation_failed`.
    """
    if duration == "none":
        return None
    parts = re.findall(_PART, duration)
    seconds = sum(float(number) * _UNITS[unit] for number, unit in parts)
    if not re.fullmatch(f"(?:{_PART})+", duration) or not 0 < seconds <= SECONDS_MAX:
        raise InvalidRequest(
            "validation_failed",
            "invalid format for ban duration",
            hint="Write it as 24h, 1h30m or none.",
        )
    return clock.now() + timedelta(seconds=seconds)
