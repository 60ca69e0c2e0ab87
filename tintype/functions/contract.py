"""What does a function take, and what may it answer?

A file may declare it beside its handler, as `contract = Contract(...)`: the page at
`/functions/v1/openapi.json` is made from it. The types are those that the handler reads and answers
with, so that the page cannot say one thing and the function do another.
"""

from collections.abc import Mapping
from typing import Any

import msgspec

# What reading a body as a declared type may refuse with.
READING_REFUSALS = {
    "body_empty": 400,
    "body_not_json": 400,
    "field_invalid": 400,
    "content_type_not_json": 415,
}


class Contract(msgspec.Struct, frozen=True, kw_only=True):
    """`request` is the type of the JSON body, or a tuple of types of which it is one; None where
    the function reads it in its own way.

    `answers` are the types that an answer of one of `statuses` may hold; `media_type` says what
    they are sent as. `refusals` has the HTTP status of every code that the function refuses with,
    without those of reading the body; `refusal_fields` stand in the body of each beside the
    code. `headers` are request headers the function looks at, `answer_headers` those it may set,
    each with the type of its value. Raises `TypeError` for a type that no schema describes.
    """

    summary: str
    request: Any = None
    answers: tuple[Any, ...] = ()
    statuses: tuple[int, ...] = (200,)
    media_type: str = "application/json"
    refusals: Mapping[str, int] = {}
    refusal_fields: Mapping[str, Any] = {}
    headers: Mapping[str, Any] = {}
    answer_headers: Mapping[str, Any] = {}

    def __post_init__(self) -> None:
        msgspec.json.schema_components(self.types)

    @property
    def types(self) -> list[Any]:
        """Every type it names: the request first if there is one, answers, headers both ways."""
        headers = [*self.headers.values(), *self.answer_headers.values()]
        return [*self.requests, *self.answers, *headers]

    @property
    def requests(self) -> tuple[Any, ...]:
        """The types of which the JSON body is one; none where the function reads it itself."""
        if isinstance(self.request, tuple):
            return self.request
        return () if self.request is None else (self.request,)


def told(**schema: Any) -> msgspec.Meta:
    """Return what the page says of a field that is checked by the function, with its own codes."""
    return msgspec.Meta(extra_json_schema=schema)
