"""May a request be repeated?

With an `Idempotency-Key` the same request has one answer for 24 hours, however often it comes.
"""

import hashlib
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated, Any
from uuid import UUID

import msgspec

from tintype.errors import InvalidRequest
from tintype.functions.submission.submitter import Acceptance, Submission, Submitter

IDEMPOTENCY_KEY_CHARACTERS_MAX = 255
# What a page says of the header.
IDEMPOTENCY_KEY = Annotated[
    str,
    msgspec.Meta(
        extra_json_schema={
            "pattern": r'^([!#-~]([ !#-~]*[!#-~])?|"[ !#-\[\]-~]+")$',
            "maxLength": IDEMPOTENCY_KEY_CHARACTERS_MAX,
        }
    ),
]
# RFC 8941 §3.3.3, a string: printable ASCII, with a backslash before quotes and backslashes.
_QUOTED = re.compile(r'"((?:[ !#-\[\]-~]|\\["\\])*)"')
_ESCAPED = re.compile(r'\\(["\\])')
_BARE = re.compile(r"[ !#-~]+")


class Key:
    """The key of one user's request to one route; `text` is None for a request without."""

    def __init__(self, submitter: Submitter, user_id: UUID, route: str, text: str | None) -> None:
        self._submitter = submitter
        self._user_id = user_id
        self._route = route
        self._text = text

    async def replayed(self, payload: Any) -> Acceptance | None:
        """Return what this key was answered with before, None if it was not.

        So that a repeated request is answered before anything of it is looked at again. Raises
        `Unprocessable` when the key came with another payload.
        """
        if self._text is None:
            return None
        return await self._submitter.replay(
            self._user_id, self._route, self._text, fingerprint(payload)
        )

    def mark(self, submission: Submission, payload: Any) -> None:
        """Let the submission be answered as before if this key came with this payload before."""
        if self._text is not None:
            submission.route, submission.key = self._route, self._text
            submission.fingerprint = fingerprint(payload)


@contextmanager
def keyed(submitter: Submitter, user_id: UUID, route: str, header: str | None) -> Iterator[Key]:
    """Hold the key of an `Idempotency-Key` header while its request runs.

    Raises what `idempotency_key` does, and `Conflict` when a request with the same key is running
    in this process.
    """
    text = idempotency_key(header)
    mark = submitter.begin(user_id, route, text) if text is not None else None
    try:
        yield Key(submitter, user_id, route, text)
    finally:
        if mark is not None:
            submitter.end(mark)


def fingerprint(payload: Any) -> str:
    """Return what tells one payload from another, whatever the order of its fields."""
    return hashlib.sha256(msgspec.json.encode(payload, order="sorted")).hexdigest()


def idempotency_key(header: str | None) -> str | None:
    """Return the key of an `Idempotency-Key` header, quoted or bare, or None without one.

    draft-ietf-httpapi-idempotency-key-header-07 §2.1 wants a quoted string; bare ones are common.
    Raises `InvalidRequest` for one that is empty, too long, badly quoted or not printable ASCII.
    """
    if header is None:
        return None
    given = header.strip()
    quoted = _QUOTED.fullmatch(given)
    bare = _BARE.fullmatch(given)
    key = _ESCAPED.sub(r"\1", quoted[1]) if quoted else bare[0] if bare else ""
    if not 1 <= len(key) <= IDEMPOTENCY_KEY_CHARACTERS_MAX:
        raise InvalidRequest(
            "idempotency_key_invalid",
            f"An Idempotency-Key is 1 to {IDEMPOTENCY_KEY_CHARACTERS_MAX} printable ASCII "
            "characters, in quotes.",
        )
    return key
