"""What can go wrong, and what the caller can do about it.

    TintypeError
    ├── RequestError            the caller can mend the request; HTTP 4xx
    │   ├── InvalidRequest          400
    │   ├── Unauthenticated         401
    │   ├── InsufficientCredits     402
    │   ├── Forbidden               403
    │   ├── NotFound                404
    │   ├── Conflict                409
    │   ├── TooLarge                413
    │   ├── UnsupportedMedia        415
    │   ├── Unprocessable           422
    │   ├── TooManyRequests         429
    │   ├── BadGateway              502
    │   └── Unavailable             503, for a moment
    ├── ProviderError           a provider did not deliver; the cause decides retry and credits
    │   ├── Refused                 safety, by prompt or output: never retried, released
    │   ├── Invalid                 bad request or reference image: never retried, released
    │   ├── Quota                   wait what the provider says, no attempt spent, held
    │   ├── Transient               5 s, 10 s, 20 s, then failed and released
    │   └── Misconfigured           the provider is paused, the operator told, held
    ├── Fenced                  this worker no longer holds the job: stop, write nothing
    └── OperatorError           configuration or machine: the person running the server mends it

Every error has a stable `code`, a sentence, and where something can be done, a `hint`.
"""

from collections.abc import Mapping
from typing import Any, ClassVar


class TintypeError(Exception):
    """The root. `code` is stable snake_case, `message` a sentence, `hint` says what to do."""

    def __init__(
        self,
        code: str,
        message: str,
        *,
        hint: str | None = None,
        details: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.hint = hint
        self.details: dict[str, Any] = dict(details or {})

    def body(self) -> dict[str, Any]:
        """Return the JSON body: `error`, `code`, `hint` when there is one, and the details."""
        body: dict[str, Any] = {"error": self.message, "code": self.code}
        if self.hint is not None:
            body["hint"] = self.hint
        return body | self.details


class RequestError(TintypeError):
    """The caller can mend the request."""

    status: ClassVar[int] = 400


class InvalidRequest(RequestError):
    """A field is missing, malformed or out of range."""


class Unauthenticated(RequestError):
    """Nobody proved who they are."""

    status = 401


class InsufficientCredits(RequestError):
    """The account's available credits do not cover the price."""

    status = 402

    def __init__(self, *, required: int, available: int) -> None:
        super().__init__(
            "insufficient_credits",
            f"This needs {required} credits and {available} are available.",
            hint="Add credits or ask for fewer pictures.",
            details={"required": required, "available": available},
        )


class Forbidden(RequestError):
    """The caller is known and may not."""

    status = 403


class NotFound(RequestError):
    """It does not exist, or belongs to someone else; the two are not told apart."""

    status = 404


class Conflict(RequestError):
    """It contradicts what is already so."""

    status = 409


class TooLarge(RequestError):
    """A body, file or picture is over its limit."""

    status = 413


class UnsupportedMedia(RequestError):
    """The bytes are not of a type this place takes."""

    status = 415


class Unprocessable(RequestError):
    """Well formed, but contradicts an earlier request."""

    status = 422


class TooManyRequests(RequestError):
    """Wait `retry_after_seconds`, then ask again."""

    status = 429

    def __init__(self, code: str, message: str, *, retry_after_seconds: int) -> None:
        super().__init__(code, message, hint=f"Try again in {retry_after_seconds} s.")
        self.retry_after_seconds = retry_after_seconds


class BadGateway(RequestError):
    """Another service refused what was asked of it here."""

    status = 502


class Unavailable(RequestError):
    """The server cannot take this for a moment; the same request later may succeed, in
    `retry_after_seconds` where that is known."""

    status = 503

    def __init__(
        self,
        code: str,
        message: str,
        *,
        hint: str | None = None,
        details: Mapping[str, Any] | None = None,
        retry_after_seconds: int | None = None,
    ) -> None:
        super().__init__(code, message, hint=hint, details=details)
        self.retry_after_seconds = retry_after_seconds


class ProviderError(TintypeError):
    """A provider did not deliver. `cause` is the word stored as the job's `error_code`."""

    cause: ClassVar[str]


class Refused(ProviderError):
    """The provider will not make this picture. Never retried."""

    cause = "refused"


class Invalid(ProviderError):
    """The request can never succeed as it is. Never retried."""

    cause = "invalid"


class Quota(ProviderError):
    """The provider's budget is spent until `retry_after_seconds` from now."""

    cause = "quota"

    def __init__(self, message: str, *, retry_after_seconds: float, daily: bool = False) -> None:
        super().__init__("quota", message)
        self.retry_after_seconds = retry_after_seconds
        self.daily = daily


class Transient(ProviderError):
    """It may work on another try."""

    cause = "transient"


class Misconfigured(ProviderError):
    """The operator's key, account or model setting is wrong; no job can succeed."""

    cause = "misconfigured"


class Fenced(TintypeError):
    """The job ended or was given to another worker; nothing was written."""

    def __init__(self, message: str = "The job is no longer held by this worker.") -> None:
        super().__init__("fenced", message)


class OperatorError(TintypeError):
    """The person who runs the server has to change something first."""
