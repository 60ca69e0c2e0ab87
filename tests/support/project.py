"""A project with functions of its own, keys, and the runtime that serves them."""

import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from textwrap import dedent
from typing import Any
from uuid import UUID

import httpx2
from joserfc import jws, jwt
from joserfc.errors import JoseError
from joserfc.jwk import ECKey, OctKey
from starlette.requests import Request

from support.serve import ANSWER_SECONDS_MAX, serving
from tintype import events
from tintype.auth import Principal
from tintype.config import FunctionConfig
from tintype.errors import Unauthenticated
from tintype.functions.journal import Journal, Line
from tintype.functions.loader import Loader
from tintype.functions.runtime import Runtime
from tintype.functions.wire.cors import Cors

SHARED_KEY = OctKey.import_key("a-secret-of-at-least-thirty-two-characters")
SIGNING_KEY = ECKey.generate_key("P-256")
STRANGER_KEY = ECKey.generate_key("P-256")
ALGORITHMS = ["HS256", "ES256"]


def token(
    *, user: UUID | None = None, algorithm: str = "HS256", key: Any = None, seconds: int = 3600
) -> str:
    """Return a signed token: a user's, or the anon key when `user` is None."""
    claims: dict[str, Any] = {"exp": int(time.time()) + seconds, "role": "anon"}
    if user is not None:
        claims |= {"sub": str(user), "role": "authenticated", "aud": "authenticated"}
    chosen = key or (SHARED_KEY if algorithm == "HS256" else SIGNING_KEY)
    return jwt.encode({"alg": algorithm, "typ": "JWT"}, claims, chosen)


async def authenticate(request: Request) -> Principal | None:
    """Verify as the product does: the Authorization header, else the apikey."""
    given = request.headers.get("authorization") or request.headers.get("apikey")
    if not given:
        return None
    try:
        text = given.removeprefix("Bearer ")
        algorithm = jws.extract_compact(text.encode()).headers().get("alg")
        key = SHARED_KEY if algorithm == "HS256" else SIGNING_KEY
        verified = jwt.decode(text, key, algorithms=ALGORITHMS)
        jwt.JWTClaimsRegistry(exp={"essential": True}).validate(verified.claims)
    except (JoseError, ValueError) as error:
        raise Unauthenticated("token_invalid", "The token does not verify.") from error
    claims = verified.claims
    user = UUID(claims["sub"]) if "sub" in claims else None
    return Principal(role=claims["role"], user_id=user, claims=claims)


@dataclass
class Project:
    """A folder with `supabase/functions`, and the server over it."""

    folder: Path
    settings: dict[str, FunctionConfig] = field(default_factory=dict)
    environment: Mapping[str, str] = field(default_factory=dict)
    context: Any = None
    answer_seconds_max: float = 150
    wall_clock_seconds_max: float = 400
    failures: list[dict[str, Any]] = field(default_factory=list)
    lines: list[Line] = field(default_factory=list)
    runtime: Runtime | None = None

    def write(self, path: str, source: str) -> Path:
        """Write a file under `supabase/functions`."""
        file = self.folder / "supabase" / "functions" / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(dedent(source), "utf-8")
        return file

    def open(self, name: str, source: str) -> None:
        """Write the function `name` and let it be called without a token."""
        self.write(f"{name}/index.py", source)
        self.settings[name] = FunctionConfig(verify_jwt=False)

    async def keep(self, lines: Sequence[Line]) -> None:
        """Take what the functions said; all of it is there once `serving` has ended."""
        self.lines.extend(lines)

    @asynccontextmanager
    async def serving(self) -> AsyncIterator[httpx2.AsyncClient]:
        """Serve the functions; yield a client whose base is the server's URL."""

        def note(name: str, fields: dict[str, Any]) -> None:
            if name == "FunctionFailed":
                self.failures.append(fields)

        stop = events.subscribe(note)
        self.runtime = Runtime(
            Loader(self.folder, self.settings, builtin=None),
            authenticate=authenticate,
            context=self.context,
            environment=self.environment,
            journal=Journal(self.keep),
            answer_seconds_max=self.answer_seconds_max,
            wall_clock_seconds_max=self.wall_clock_seconds_max,
        )
        try:
            async with (
                serving(Cors(self.runtime)) as url,
                httpx2.AsyncClient(
                    base_url=url, verify=False, trust_env=False, timeout=ANSWER_SECONDS_MAX
                ) as client,
            ):
                yield client
        finally:
            await self.runtime.close(1)
            stop()
