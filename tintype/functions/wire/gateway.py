"""What does the platform answer when no function did?

Codes, statuses and sentences are those of Supabase's gateway and edge runtime, which apps and
their libraries read: `{code, message, msg}` with the code again in `sb-error-code`. Which 401 a
bad token gets is decided by the algorithm its header names, as upstream does.
"""

import base64
import binascii
from typing import Any

import msgspec

ALGORITHM_CHARACTERS_MAX = 32

STATUSES = {
    "UNAUTHORIZED_NO_AUTH_HEADER": (401, "Missing authorization header"),
    "UNAUTHORIZED_INVALID_JWT_FORMAT": (401, "Invalid JWT format"),
    "UNAUTHORIZED_LEGACY_JWT": (401, "Invalid JWT"),
    "UNAUTHORIZED_ASYMMETRIC_JWT": (401, "Invalid JWT"),
    "UNAUTHORIZED_UNSUPPORTED_TOKEN_ALGORITHM": (401, "Unsupported JWT algorithm"),
    "NOT_FOUND": (404, "Requested function was not found"),
    "BOOT_ERROR": (503, "Function failed to start (please check logs)"),
    "WORKER_ERROR": (500, "Function exited due to an error (please check logs)"),
    "IDLE_TIMEOUT": (504, "Function did not answer in time (please check logs)"),
    "WORKER_LIMIT": (
        546,
        "Function failed due to not having enough compute resources (please check logs)",
    ),
}
ALGORITHMS = {
    "HS256": "UNAUTHORIZED_LEGACY_JWT",
    "RS256": "UNAUTHORIZED_ASYMMETRIC_JWT",
    "ES256": "UNAUTHORIZED_ASYMMETRIC_JWT",
    "EdDSA": "UNAUTHORIZED_ASYMMETRIC_JWT",
}


class GatewayError(Exception):
    """The platform answers in the function's place. `detail` is for the log, never the caller."""

    def __init__(self, code: str, message: str | None = None, *, detail: str = "") -> None:
        self.code = code
        self.status, sentence = STATUSES[code]
        self.message = message or sentence
        self.detail = detail
        super().__init__(self.message)

    def body(self) -> dict[str, Any]:
        """Return the JSON body; `msg` repeats the sentence for older clients."""
        return {"code": self.code, "message": self.message, "msg": self.message}


def unauthorized(headers: dict[bytes, bytes]) -> GatewayError:
    """Return the 401 for a request whose credentials did not verify."""
    given = headers.get(b"authorization") or headers.get(b"apikey", b"")
    algorithm = _algorithm(given.strip().rpartition(b" ")[2])
    if algorithm is None:
        return GatewayError("UNAUTHORIZED_INVALID_JWT_FORMAT")
    code = ALGORITHMS.get(algorithm, "UNAUTHORIZED_UNSUPPORTED_TOKEN_ALGORITHM")
    if code in ALGORITHMS.values():
        return GatewayError(code)
    return GatewayError(code, f"{STATUSES[code][1]} {algorithm[:ALGORITHM_CHARACTERS_MAX]}")


def _algorithm(token: bytes) -> str | None:
    parts = token.split(b".")
    if len(parts) != 3:
        return None
    try:
        header = msgspec.json.decode(base64.urlsafe_b64decode(parts[0] + b"=="))
    except (binascii.Error, msgspec.DecodeError, ValueError, RecursionError):
        return None
    algorithm = header.get("alg") if isinstance(header, dict) else None
    return algorithm if isinstance(algorithm, str) else None
