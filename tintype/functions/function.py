"""What is a function, and what may it answer?

A file defines `async def serve(invocation) -> Answer`, and may define `body_bytes_max: int`,
`answer_seconds_max: float` (how long it may take to the first byte of its answer, the body's
arrival included), `methods: tuple[str, ...]` and `contract: Contract`. Its name on the wire is its
folder's name, or for one that comes with Tintype the module's name with hyphens.
"""

from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING, Any

import msgspec
from starlette.responses import Response

from tintype.functions.contract import Contract

if TYPE_CHECKING:
    from tintype.functions.invocation import Invocation

BODY_BYTES_MAX = 10 * 1024 * 1024
METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE")


class Reply(msgspec.Struct, frozen=True):
    """An answer with its own status and headers.

    `body`: bytes are sent as they are, text as text/plain, None as no body, anything else as JSON.
    A content-type in `headers` wins over the one the body would get.
    """

    status: int = 200
    body: Any = None
    headers: Mapping[str, str] = {}


Answer = dict[str, Any] | list[Any] | msgspec.Struct | Reply | Response | None
"""What `serve` returns: JSON with 200, nothing with 204, or a whole answer of its own."""

Serve = Callable[["Invocation"], Awaitable[Answer]]


class Function(msgspec.Struct, frozen=True):
    """One loaded function. `body_bytes_max` is checked while the body arrives; without
    `answer_seconds_max` the runtime's own limit holds.

    The calls of one that `is_builtin` are logged when they are refused or fail, of the project's
    own all.
    """

    name: str
    serve: Serve
    verify_jwt: bool = True
    body_bytes_max: int = BODY_BYTES_MAX
    answer_seconds_max: float | None = None
    methods: tuple[str, ...] = METHODS
    contract: Contract | None = None
    is_builtin: bool = False
