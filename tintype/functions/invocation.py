"""What does a function know about the call it serves?"""

from collections.abc import AsyncIterator, Coroutine, Mapping
from typing import TYPE_CHECKING, Any, TypeVar

from starlette.requests import Request
from starlette.types import Scope

from tintype.auth import Principal
from tintype.functions.background import Background
from tintype.functions.function import Function
from tintype.functions.wire.body import Body
from tintype.functions.wire.reading import check_content_type, read_json

if TYPE_CHECKING:
    from tintype.functions.context import Context

T = TypeVar("T")


class Invocation:
    """One call of one function by one caller.

    `principal` is verified; with `verify_jwt = false` it may be anonymous. `path` is what follows
    the function's name in the URL, "" or starting with a slash. `context` is the server's own
    parts. `environment` holds SUPABASE_URL and the other names a function finds there. What is
    added to `warnings` reaches the caller beside the answer.
    """

    __slots__ = (
        "_background",
        "_body",
        "_headers",
        "_request",
        "_scope",
        "context",
        "environment",
        "function",
        "path",
        "principal",
        "request_id",
        "warnings",
    )

    def __init__(
        self,
        function: Function,
        principal: Principal,
        *,
        scope: Scope,
        headers: Mapping[bytes, bytes],
        body: Body,
        path: str,
        request_id: str,
        context: "Context",
        environment: Mapping[str, str],
        background: Background,
    ) -> None:
        self.function = function
        self.principal = principal
        self.path = path
        self.request_id = request_id
        self.context = context
        self.environment = environment
        self.warnings: list[str] = []
        self._scope = scope
        self._headers = headers
        self._body = body
        self._background = background
        self._request: Request | None = None

    @property
    def request(self) -> Request:
        """The whole request; reading its body keeps to the function's limit too."""
        if self._request is None:
            self._request = Request(self._scope, self._body.receive)
        return self._request

    def header(self, name: str) -> str | None:
        """Return the request's header `name`, in any case, or None."""
        value = self._headers.get(name.lower().encode())
        return None if value is None else value.decode("latin-1")

    async def body(self) -> bytes:
        """Return the whole body, as often as asked.

        Raises `TooLarge` at the byte that passes the function's limit. A body that ends early
        (the client went away) ends the call: nothing is answered.
        """
        return await self._body.read()

    def chunks(self) -> AsyncIterator[bytes]:
        """Return the body piece by piece, as it arrives, once; for one too large to be held.

        While the function works on a piece the client is held back. Raises `TooLarge` at the byte
        that passes the function's limit. A body that ends early ends the call, as for `body`.
        """
        return self._body.chunks()

    async def json(self, kind: type[T]) -> T:
        """Return the body as a `kind`, strictly; unknown top-level fields become warnings.

        Raises `UnsupportedMedia` for another Content-Type and `InvalidRequest` with the code
        `body_empty`, `body_not_json` or `field_invalid`.
        """
        # Before the body is read: an upload of the wrong type is refused at once.
        if self._body.unread:
            check_content_type(self.header("content-type"))
        return read_json(await self._body.read(), kind, self.warnings)

    def wait_until(self, work: Coroutine[Any, Any, Any]) -> None:
        """Let `work` go on after the answer; it is awaited when the server stops.

        What it raises becomes an event. A kill of the process ends it: work that must happen is a
        job. Raises `TooManyRequests` when too much is under way already.
        """
        self._background.start(work, function=self.function.name, request=self.request_id)
