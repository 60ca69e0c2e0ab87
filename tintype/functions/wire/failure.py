"""How is a function's failure told to the operator?"""

import traceback

TRACE_CHARACTERS_MAX = 10_000


def described(error: BaseException) -> str:
    """Return the error's type and message, then where it was raised, `TRACE_CHARACTERS_MAX` long
    at most; the end of a longer trace is kept, where the cause is."""
    reason = "".join(traceback.format_exception_only(error)).strip()
    trace = "".join(traceback.format_tb(error.__traceback__)).rstrip()
    room = max(0, TRACE_CHARACTERS_MAX - len(reason) - 1)
    return f"{reason[:TRACE_CHARACTERS_MAX]}\n{trace[-room:] if room else ''}".rstrip()
