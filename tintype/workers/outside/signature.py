"""Did the worker that has the job sign this callback?

Two forms: `X-Callback-Signature: sha256=<hex>`, the HMAC of the raw body; and Standard Webhooks
(https://www.standardwebhooks.com: `webhook-id`, `webhook-timestamp`, `webhook-signature`), which
also says when. Both are keyed by the secret of the worker that holds the job, so a secret opens its
own jobs only.
"""

import base64
import binascii
import hashlib
import hmac
from collections.abc import Mapping

from tintype import clock

# How far the clock of the worker may be off, and how long a signed callback may be repeated.
REPLAY_SECONDS_MAX = 300
PLAIN = "x-callback-signature"
SIGNATURE_HEADERS = (PLAIN, "webhook-id", "webhook-timestamp", "webhook-signature")
PREFIX = "whsec_"
SIGNATURES_MAX = 5


def is_signed(headers: Mapping[str, str]) -> bool:
    """Return whether the request claims to be signed, in either form."""
    return PLAIN in headers or "webhook-signature" in headers


def verify(headers: Mapping[str, str], body: bytes, secret: str) -> bool:
    """Return whether `body` was signed with `secret`; Standard Webhooks' also recently.

    Takes the same time for a wrong secret as for the right one. `headers` answer to lower-case
    names.
    """
    plain = headers.get(PLAIN)
    if plain is not None:
        digest = hmac.digest(secret.encode(), body, hashlib.sha256).hex()
        return hmac.compare_digest(plain.strip().lower().encode(), f"sha256={digest}".encode())
    return _verify_standard(headers, body, secret)


def sign_standard(secret: str, identity: str, timestamp: int, body: bytes) -> str:
    """Return the `webhook-signature` of a message, as Standard Webhooks makes it."""
    key = base64.b64decode(secret.removeprefix(PREFIX))
    digest = hmac.digest(key, f"{identity}.{timestamp}.".encode() + body, hashlib.sha256)
    return "v1," + base64.b64encode(digest).decode()


def _verify_standard(headers: Mapping[str, str], body: bytes, secret: str) -> bool:
    identity, moment = headers.get("webhook-id", ""), headers.get("webhook-timestamp", "")
    if not identity or not moment.isdecimal() or len(moment) > 15:
        return False
    if abs(clock.unix_seconds() - int(moment)) > REPLAY_SECONDS_MAX:
        return False
    try:
        expected = sign_standard(secret, identity, int(moment), body).encode()
    except binascii.Error:
        return False
    given = headers.get("webhook-signature", "").split()[:SIGNATURES_MAX]
    return any(hmac.compare_digest(one.encode("utf-8", "surrogatepass"), expected) for one in given)
