"""A served rest, its callers with their tokens."""

import time
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import httpx2
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import OctKey
from postgrest import AsyncPostgrestClient
from starlette.requests import Request

from tintype.auth import Principal
from tintype.errors import Unauthenticated
from tintype.rest import Rest

SECRET = OctKey.import_key("a-secret-of-at-least-thirty-two-characters")


def token(role: str, user: UUID | None = None, *, seconds: int = 3600) -> str:
    claims: dict[str, Any] = {"role": role, "exp": int(time.time()) + seconds}
    if user is not None:
        claims["sub"] = str(user)
    return jwt.encode({"alg": "HS256"}, claims, SECRET)


async def authenticate(request: Request) -> Principal | None:
    given = request.headers.get("authorization", "").removeprefix("Bearer ")
    if not given:
        return None
    if given.count(".") != 2:
        raise Unauthenticated("token_malformed", "This is not an access token.")
    try:
        claims = jwt.decode(given, SECRET, algorithms=["HS256"]).claims
        jwt.JWTClaimsRegistry(exp={"essential": True}).validate(claims)
    except (JoseError, ValueError) as error:
        code = "token_expired" if "expired" in str(error) else "token_signature"
        raise Unauthenticated(code, "The token does not verify.") from error
    user = UUID(claims["sub"]) if "sub" in claims else None
    return Principal(role=claims["role"], user_id=user, claims=dict(claims))


@dataclass(frozen=True)
class Site:
    """The served library, and ways to call it."""

    url: str
    rest: Rest
    http: httpx2.AsyncClient

    def client(self, role: str = "anon", user: UUID | None = None) -> AsyncPostgrestClient:
        bearer = token(role, user)
        headers = {"apikey": bearer, "Authorization": f"Bearer {bearer}"}
        return AsyncPostgrestClient(f"{self.url}/rest/v1", headers=headers)

    async def get(self, path: str, **headers: str) -> httpx2.Response:
        return await self.http.get(path, headers=named(headers))

    async def rows(self, path: str, **headers: str) -> Any:
        """Return what a read that must succeed answers."""
        answer = await self.get(path, **headers)
        assert answer.status_code in (200, 206), answer.text
        return answer.json()

    async def refused(self, path: str, status: int, code: str, **headers: str) -> dict[str, Any]:
        """Return the body of a read that must fail so."""
        return refusal(await self.get(path, **headers), status, code)


def refusal(answer: httpx2.Response, status: int, code: str) -> dict[str, Any]:
    """Return the body of an answer that must be this failure, with all four keys."""
    assert (answer.status_code, answer.json()["code"]) == (status, code), answer.text
    body: dict[str, Any] = answer.json()
    assert body.keys() == {"code", "message", "details", "hint"}
    assert answer.headers["proxy-status"] == f"PostgREST; error={code}"
    return body


def named(headers: dict[str, str]) -> dict[str, str]:
    return {name.replace("_", "-"): value for name, value in headers.items()}


def bearer(user: UUID | None = None, role: str = "authenticated") -> dict[str, str]:
    return {"Authorization": f"Bearer {token(role, user)}"}
