"""Which keys sign and verify here?

Tokens of this server are ES256; HS256 stays for the project keys and for tokens made with the
legacy secret. Another issuer's public keys may join them, to verify only.
"""

import hashlib
import hmac
from collections import OrderedDict
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from uuid import UUID

from joserfc import jwt
from joserfc.jwk import OctKey

from tintype import clock
from tintype.auth.issuer import Issuer
from tintype.auth.keyfile import KeyFile, open_key_file, signing_key
from tintype.auth.principal import ANONYMOUS, WORKER_ROLE, Principal
from tintype.auth.verify import (
    LEEWAY_SECONDS,
    Unverified,
    VerificationKey,
    check_signature,
    principal_of,
    read_claims,
    take_apart,
)
from tintype.errors import Unauthenticated

# Verified tokens that are remembered: a signature costs about a hundred times a look-up.
REMEMBERED_MAX = 10_000
OPAQUE_PREFIX = "sb_"
SERVICE = Principal("service_role", None, {"role": "service_role"})
PROVIDER = {"provider": "email", "providers": ["email"]}
# A worker's key holds until it is replaced or revoked; the row of the worker says so.
WORKER_KEY_SECONDS = 10 * 365 * 24 * 3600


def open_keys(
    path: Path,
    *,
    issuer: str,
    jwks_url: str | None = None,
    outside_issuer: str | None = None,
    outside_audience: str | None = None,
) -> "KeySet":
    """Return the key set kept in the file `path`, which is made at first use. Blocking.

    `issuer` is the `iss` of the tokens minted here. `jwks_url` adds the public keys of another
    issuer; with `outside_issuer` its tokens must carry exactly that `iss`, with
    `outside_audience` name that `aud`. Raises `OperatorError` `keys_damaged` or `keys_unreadable`.
    """
    return KeySet(
        open_key_file(path),
        issuer=issuer,
        jwks_url=jwks_url,
        outside_issuer=outside_issuer,
        outside_audience=outside_audience,
    )


class KeySet:
    """The keys of one server. Used from one event loop."""

    def __init__(
        self,
        file: KeyFile,
        *,
        issuer: str,
        jwks_url: str | None = None,
        outside_issuer: str | None = None,
        outside_audience: str | None = None,
    ) -> None:
        self.issuer = issuer
        self.anon_key = file.anon_key
        self.service_role_key = file.service_role_key
        self.publishable_key = file.publishable_key
        self.secret_key = file.secret_key
        self.jwt_secret = file.jwt_secret
        self.url_secret = file.url_secret.encode()
        self.refresh_secret = hmac.digest(
            file.jwt_secret.encode(), b"tintype refresh token", "sha256"
        )
        self.outside_issuer = outside_issuer
        self.outside_audience = outside_audience
        self._outside = Issuer(jwks_url) if jwks_url else None
        self._signing_key = signing_key(file)
        self._own = (
            VerificationKey(OctKey.import_key(file.jwt_secret), frozenset(("HS256",))),
            VerificationKey(self._signing_key, frozenset(("ES256",)), self._signing_key.kid),
        )
        self._remembered: OrderedDict[bytes, tuple[float, Principal]] = OrderedDict()

    def mint(
        self,
        user_id: UUID,
        *,
        email: str = "",
        phone: str = "",
        seconds: int = 3600,
        role: str = "authenticated",
        app_metadata: Mapping[str, Any] | None = None,
        user_metadata: Mapping[str, Any] | None = None,
        session_id: UUID | None = None,
        is_anonymous: bool = False,
        method: str = "password",
        signed_in_at: int | None = None,
    ) -> str:
        """Return an access token with the claims that GoTrue gives, valid for `seconds`.

        One without a `session_id` holds until it expires: nothing signs it out. `method` and
        `signed_in_at` (unix seconds, default now) tell how and when the user came in.
        """
        now = int(clock.unix_seconds())
        claims: dict[str, Any] = {
            "iss": self.issuer,
            "sub": str(user_id),
            "aud": "authenticated",
            "exp": now + seconds,
            "iat": now,
            "email": email,
            "phone": phone,
            "app_metadata": dict(
                ({} if is_anonymous else PROVIDER) if app_metadata is None else app_metadata
            ),
            "user_metadata": dict(user_metadata or {}),
            "role": role,
            "aal": "aal1",
            "amr": [
                {
                    "method": "anonymous" if is_anonymous else method,
                    "timestamp": now if signed_in_at is None else signed_in_at,
                }
            ],
            "is_anonymous": is_anonymous,
        }
        if session_id is not None:
            claims["session_id"] = str(session_id)
        header = {"alg": "ES256", "kid": self._signing_key.kid, "typ": "JWT"}
        return jwt.encode(header, claims, self._signing_key)

    def mint_worker(self, worker_id: UUID, key_id: UUID) -> str:
        """Return the key of a worker outside the server.

        It opens nothing by itself: what it may do is decided where it is used, by the worker's
        row, which must have this `key_id` and not be revoked.
        """
        now = int(clock.unix_seconds())
        claims = {
            "iss": self.issuer,
            "role": WORKER_ROLE,
            "worker": str(worker_id),
            "key_id": str(key_id),
            "iat": now,
            "exp": now + WORKER_KEY_SECONDS,
        }
        header = {"alg": "ES256", "kid": self._signing_key.kid, "typ": "JWT"}
        return jwt.encode(header, claims, self._signing_key)

    def verify(self, token: str) -> Principal:
        """Return the caller that `token` (a JWT or an `sb_` key) proves, from the known keys.

        The claims of a principal are shared between calls: read them, never change them.
        Raises `Unauthenticated` with the codes of `tintype.auth.verify`, `token_key_unknown`
        for a key that is not known (yet), and `api_key_unknown`.
        """
        if token.startswith(OPAQUE_PREFIX):
            return self._opaque(token)
        now = clock.unix_seconds()
        digest = hashlib.sha256(token.encode("utf-8", "surrogatepass")).digest()
        remembered = self._remembered.get(digest)
        if remembered is not None and now < remembered[0]:
            self._remembered.move_to_end(digest)
            return remembered[1]
        parts = take_apart(token)
        key = self._key_for(parts)
        claims = read_claims(check_signature(parts, key), now=now)
        principal = principal_of(
            claims,
            outside=key.outside,
            issuer=self.outside_issuer,
            audience=self.outside_audience,
        )
        self._remembered[digest] = (claims["exp"] + LEEWAY_SECONDS, principal)
        while len(self._remembered) > REMEMBERED_MAX:
            self._remembered.popitem(last=False)
        return principal

    async def verify_or_refresh(self, token: str) -> Principal:
        """Verify, and where the key is unknown ask the outside issuer for its keys first.

        Only such a token waits for the issuer, for a bounded time; every other is answered from
        what is known, also while the issuer is down. Raises as `verify` does.
        """
        if self._outside is not None and self._outside.keys and self._outside.stale:
            self._outside.begin().add_done_callback(lambda _: self._remembered.clear())
        try:
            return self.verify(token)
        except Unauthenticated as error:
            if error.code != "token_key_unknown" or self._outside is None:
                raise
            if not (self._outside.due or self._outside.fetching):
                raise
        await self.refresh()
        return self.verify(token)

    async def refresh(self) -> bool:
        """Fetch the outside issuer's keys now and return whether they were replaced.

        Its former keys go, and with them every token remembered by them. A failure changes
        nothing. False without a `jwks_url`.
        """
        if self._outside is None or not await self._outside.refresh():
            return False
        self._remembered.clear()
        return True

    def jwks(self) -> dict[str, list[dict[str, Any]]]:
        """Return this server's public keys as a JWKS document that WebCrypto can import."""
        public = dict(self._signing_key.as_dict(private=False))
        return {"keys": [public | {"key_ops": ["verify"], "ext": True}]}

    def _opaque(self, token: str) -> Principal:
        given = token.encode("utf-8", "surrogatepass")
        if hmac.compare_digest(given, self.publishable_key.encode()):
            return ANONYMOUS
        if hmac.compare_digest(given, self.secret_key.encode()):
            return SERVICE
        raise Unauthenticated("api_key_unknown", "Invalid API key")

    def _key_for(self, token: Unverified) -> VerificationKey:
        """Return the one key that a token can mean; an own key is never shadowed by another's."""
        outside = self._outside.keys if self._outside is not None else []
        fitting = [
            key
            for key in (*self._own, *outside)
            if token.algorithm in key.algorithms and token.kid == key.kid
        ]
        if not fitting and token.kid is None:
            fitting = [key for key in outside if token.algorithm in key.algorithms]
        if len(fitting) == 1 or (fitting and not fitting[0].outside):
            return fitting[0]
        raise Unauthenticated(
            "token_key_unknown",
            "The token is signed with a key that this server does not know.",
            hint="Sign in again; if another issuer signs, check its jwks_url.",
        )
