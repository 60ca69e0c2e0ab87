"""A served storage, its callers with their tokens, and a look at the disk behind it."""

import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx2
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import OctKey
from starlette.requests import Request
from storage3 import AsyncStorageClient

from tintype.auth import ANONYMOUS, Principal
from tintype.errors import Unauthenticated
from tintype.storage import Storage

MakeBucket = Callable[..., Awaitable[str]]

SECRET = b"a-secret-of-at-least-thirty-two-characters"
OBJECT_BYTES_MAX = 2_000_000
PNG = b"\x89PNG\r\n\x1a\n" + bytes(range(256)) * 4
JPEG = b"\xff\xd8\xff\xe0" + b"jpeg" * 100


def token(
    role: str, user: UUID | None = None, *, seconds: int = 3600, secret: bytes = SECRET
) -> str:
    claims: dict[str, Any] = {"role": role, "exp": int(time.time()) + seconds}
    if user is not None:
        claims["sub"] = str(user)
    return jwt.encode({"alg": "HS256"}, claims, OctKey.import_key(secret))


async def authenticate(request: Request) -> Principal:
    given = request.headers.get("authorization", "").removeprefix("Bearer ")
    if not given:
        return ANONYMOUS
    try:
        verified = jwt.decode(given, OctKey.import_key(SECRET), algorithms=["HS256"])
        claims = verified.claims
        jwt.JWTClaimsRegistry(exp={"essential": True}).validate(claims)
    except (JoseError, ValueError) as error:
        code = "token_expired" if "expired" in str(error) else "token_invalid"
        raise Unauthenticated(code, "The token does not verify.") from error
    user = UUID(claims["sub"]) if "sub" in claims else None
    return Principal(role=claims["role"], user_id=user, claims=dict(claims))


def principal_of(user: UUID) -> Principal:
    return Principal("authenticated", user, {"sub": str(user), "role": "authenticated"})


@dataclass(frozen=True)
class Site:
    """The served storage, and ways to call it."""

    url: str
    storage: Storage
    http: httpx2.AsyncClient

    def client(self, role: str, user: UUID | None = None) -> AsyncStorageClient:
        bearer = token(role, user)
        headers = {"apikey": bearer, "Authorization": f"Bearer {bearer}"}
        return AsyncStorageClient(f"{self.url}/storage/v1/", headers)

    def user(self, user: UUID) -> AsyncStorageClient:
        return self.client("authenticated", user)

    def service(self) -> AsyncStorageClient:
        return self.client("service_role")

    def files(self) -> set[str]:
        """Return every file on the disk, unfinished ones included."""
        return files_below(self.storage.config.data / "objects")

    async def rows(self) -> set[tuple[str, str]]:
        found = await self.storage.pool.fetch("select bucket_id, name from storage.objects")
        return {(row["bucket_id"], row["name"]) for row in found}


def files_below(root: Path) -> set[str]:
    return {str(path.relative_to(root)) for path in root.rglob("*") if path.is_file()}


def bearer(user: UUID) -> dict[str, str]:
    return {"Authorization": f"Bearer {token('authenticated', user)}"}
