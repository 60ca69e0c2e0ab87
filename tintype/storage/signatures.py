"""How is one object opened, for a time, to whoever holds a URL?

By a JWT (HS256) whose payload is that of Supabase's storage-api: `url`, `scope`, `iat`, `exp`, for
uploads `owner`, `upsert` and perhaps our own `bytes_max`, for pictures `transformations`. A token
for one route or object opens no other: who may see the small picture may not see the large one.
"""

from typing import Any, Literal

from joserfc import jwt
from joserfc.errors import ExpiredTokenError, JoseError
from joserfc.jwk import OctKey

from tintype import clock
from tintype.errors import InvalidRequest

UPLOAD_SECONDS = 2 * 3600
TOKEN_CHARACTERS_MAX = 8192
Scope = Literal["download", "upload"]


class Signer:
    """Makes and checks the tokens of signed URLs with one secret."""

    def __init__(self, secret: bytes) -> None:
        self._key = OctKey.import_key(secret)

    def download(self, bucket: str, name: str, seconds: int, transformations: str = "") -> str:
        """Return a token that reads the object for `seconds`, or only what is rendered from it."""
        claims = {"scope": "download"}
        if transformations:
            claims["transformations"] = transformations
        return self._encode(bucket, name, seconds, claims)

    def upload(
        self,
        bucket: str,
        name: str,
        *,
        owner: str | None,
        upsert: bool,
        bytes_max: int | None = None,
    ) -> str:
        """Return a token that uploads the object once or more within `UPLOAD_SECONDS`.

        `bytes_max` takes the place of the server's limit for one object, not of the bucket's.
        """
        claims: dict[str, Any] = {"scope": "upload", "owner": owner, "upsert": upsert}
        if bytes_max is not None:
            claims["bytes_max"] = bytes_max
        return self._encode(bucket, name, UPLOAD_SECONDS, claims)

    def verify(self, token: str, scope: Scope, bucket: str, name: str) -> dict[str, Any]:
        """Return the payload of a token made for this object and use.

        Raises `InvalidRequest`: `invalid_jwt` when forged or expired, `invalid_signature` when it
        was made for another object or use.
        """
        if len(token) > TOKEN_CHARACTERS_MAX:
            raise InvalidRequest("invalid_jwt", "Invalid Compact JWS")
        try:
            claims = jwt.decode(token, self._key, algorithms=["HS256"]).claims
            registry = jwt.JWTClaimsRegistry(now=int(clock.unix_seconds()), exp={"essential": True})
            registry.validate(claims)
        except ExpiredTokenError as error:
            raise InvalidRequest(
                "invalid_jwt", '"exp" claim timestamp check failed', hint="Sign a new URL."
            ) from error
        except (JoseError, ValueError) as error:
            raise InvalidRequest("invalid_jwt", "Invalid Compact JWS") from error
        if claims.get("scope") != scope or claims.get("url") != f"{bucket}/{name}":
            raise InvalidRequest("invalid_signature", "The signature was made for something else.")
        return dict(claims)

    def _encode(self, bucket: str, name: str, seconds: int, claims: dict[str, Any]) -> str:
        now = int(clock.unix_seconds())
        payload = {"url": f"{bucket}/{name}", "iat": now, "exp": now + seconds} | claims
        return jwt.encode({"alg": "HS256"}, payload, self._key)
