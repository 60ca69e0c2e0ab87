"""The route of `/metrics`."""

import asyncio
import hmac
from collections.abc import Awaitable, Callable

import msgspec
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import choose_encoder
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Match, Route
from starlette.types import Scope

from tintype.auth import Principal
from tintype.errors import RequestError, Unauthenticated
from tintype.telemetry.readings import Readings

Authenticate = Callable[[Request], Awaitable[Principal | None]]


def routes(
    registry: CollectorRegistry,
    readings: Readings,
    authenticate: Authenticate,
    *,
    token: str | None,
) -> list[Route]:
    """Return the route to mount at the root.

    `authenticate` returns who calls, None without credentials, or raises `Unauthenticated`. `token`
    opens this door and no other.
    """

    async def metrics(request: Request) -> Response:
        try:
            await _check(request, authenticate, token)
        except RequestError as error:
            return Response(
                msgspec.json.encode(error.body()),
                error.status,
                {"www-authenticate": "Bearer"},
                media_type="application/json",
            )
        await readings.refresh()
        encode, content_type = choose_encoder(request.headers.get("accept", ""))
        # Thousands of lines take milliseconds, which no request should wait for.
        body = await asyncio.to_thread(encode, registry)
        return Response(body, headers={"content-type": content_type, "cache-control": "no-store"})

    return [_Alone("/metrics", metrics, methods=["GET"])]


class _Alone(Route):
    """A route that no later one stands in for: it answers a method that it has not with 405."""

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        match, found = super().matches(scope)
        return (Match.FULL if match is Match.PARTIAL else match), found


async def _check(request: Request, authenticate: Authenticate, token: str | None) -> None:
    """Raise `Unauthenticated` for whoever is neither the service role nor shows the token."""
    scheme, _, given = request.headers.get("authorization", "").strip().partition(" ")
    is_bearer = scheme.lower() == "bearer"
    if token and is_bearer and hmac.compare_digest(given.strip().encode(), token.encode()):
        return
    principal = await authenticate(request)
    if principal is None or not principal.is_service:
        raise Unauthenticated(
            "metrics_key_required",
            "Metrics are for the service role.",
            hint="Send the service key, or the metrics_token, as Authorization: Bearer.",
        )
