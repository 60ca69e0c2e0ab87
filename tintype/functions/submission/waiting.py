"""Does the caller want to wait for the result?"""

import re

# RFC 7240 §4.3: `wait=N` is a wish in whole seconds; this is the most we grant.
WAIT_SECONDS_MAX = 60
_WAIT = re.compile(r"(?:^|[,;\s])wait\s*=\s*\"?(\d{1,9})\"?(?=$|[,;\s])", re.IGNORECASE)


def wait_seconds(prefer: str | None) -> int:
    """Return the seconds that a `Prefer` header asks to wait, capped; 0 without such a wish."""
    found = _WAIT.search(prefer or "")
    return min(int(found[1]), WAIT_SECONDS_MAX) if found else 0
