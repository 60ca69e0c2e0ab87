"""A token that does not hold opens no door: functions, tables, storage, sign-in, realtime."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote
from uuid import uuid4

import httpx2
import pytest
from forged import FORGED, MISUSED, Target, from_outside, legacy
from security_site import PASSWORD, Caller, Scene, open_scene, sign_up, talking, told
from websockets.exceptions import InvalidStatus

from tests.auth.outside_issuer import OUTSIDE, OutsideIssuer
from tests.support.product import Product, open_product
from tintype.auth import open_keys
from tintype.realtime import FRAME_BYTES_MAX

URL_TOKEN_CHARACTERS_MAX = 4096
# Method, path, body, and the answers to a token that does not hold.
DOORS: dict[str, tuple[str, str, Any, tuple[str, ...]]] = {
    "functions": (
        "POST",
        "/functions/v1/generate-image",
        {"prompt": "a robot", "model": "sandbox"},
        (
            "401 UNAUTHORIZED_INVALID_JWT_FORMAT",
            "401 UNAUTHORIZED_LEGACY_JWT",
            "401 UNAUTHORIZED_ASYMMETRIC_JWT",
            "401 UNAUTHORIZED_UNSUPPORTED_TOKEN_ALGORITHM",
        ),
    ),
    "rest": ("GET", "/rest/v1/jobs", None, ("401 PGRST301", "401 PGRST303")),
    "storage": ("POST", "/storage/v1/object/list/uploads", {}, ("400 AccessDenied",)),
    "resumable": (
        "POST",
        "/storage/v1/upload/resumable",
        None,
        ("403 Invalid Compact JWS",),
    ),
    "auth": ("GET", "/auth/v1/user", None, ("403 bad_jwt",)),
    "admin": ("GET", "/auth/v1/admin/users", None, ("403 bad_jwt",)),
    "broadcast": ("POST", "/realtime/v1/api/broadcast", {"messages": []}, ("401 Unauthorized",)),
}


class Trap:
    """Counts who follows a link that a token brought."""

    def __init__(self) -> None:
        self.callers = 0
        self.url = ""

    async def __aenter__(self) -> "Trap":
        def come(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            self.callers += 1
            writer.close()

        self._server = await asyncio.start_server(come, "127.0.0.1", 0)
        self.url = f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}/keys.json"
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()


@pytest.fixture(scope="module")
def outside() -> Iterator[OutsideIssuer]:
    outside = OutsideIssuer()
    yield outside
    outside.stop()


@pytest.fixture(scope="module")
async def product(
    served_url: str, tmp_path_factory: pytest.TempPathFactory, outside: OutsideIssuer
) -> AsyncIterator[Product]:
    """Return a product that takes the tokens of an outside issuer too."""
    folder: Path = tmp_path_factory.mktemp("product")
    issuer = {"TINTYPE_JWKS_URL": outside.url, "TINTYPE_JWT_ISSUER": OUTSIDE}
    async with open_product(served_url, folder, works=False, **issuer) as product:
        yield product


@pytest.fixture(scope="module")
async def scene(product: Product) -> Scene:
    return await open_scene(product)


@pytest.fixture(scope="module")
async def trap() -> AsyncIterator[Trap]:
    async with Trap() as trap:
        yield trap


@pytest.fixture(scope="module")
async def target(scene: Scene, outside: OutsideIssuer, trap: Trap, tmp_path_factory: Any) -> Target:
    another = open_keys(
        tmp_path_factory.mktemp("another") / "keys.json", issuer=scene.product.keys.issuer
    )
    return Target(scene.product.keys, scene.owner.id, trap.url, another, outside)


async def ask(
    product: Product, door: str, headers: dict[str, str] | list[tuple[str, str]]
) -> httpx2.Response:
    method, path, body, _ = DOORS[door]
    tus = [("tus-resumable", "1.0.0"), ("upload-length", "1")] if door == "resumable" else []
    if door == "resumable":
        tus.append(("upload-metadata", "bucketName dXBsb2Fkcw==,objectName YS5wbmc="))
    pairs = list(headers.items()) if isinstance(headers, dict) else headers
    return await product.http.request(method, path, json=body, headers=[*pairs, *tus])


@pytest.mark.parametrize("name", [*FORGED, *MISUSED])
async def test_a_token_that_does_not_hold_opens_no_door(
    scene: Scene, target: Target, trap: Trap, name: str
) -> None:
    token = (FORGED | MISUSED)[name](target)
    anon = scene.product.keys.anon_key
    found = {}
    for door in DOORS:
        answer = await ask(
            scene.product, door, {"apikey": anon, "authorization": f"Bearer {token}"}
        )
        assert scene.secret not in answer.text
        found[door] = told(answer)
    wrong = {door: answer for door, answer in found.items() if answer not in DOORS[door][3]}
    assert wrong == {}
    assert await heard(scene, token) == {"upgrade refused", "join refused", "channel closed"}
    assert trap.callers == 0, "the server followed a link that a token brought"


async def heard(scene: Scene, token: str) -> set[str]:
    """Bring a token as the key of a socket, to a join, and to a channel that is joined.

    A channel takes no `sb_` key in place of a user's token and goes by the socket's own, which is
    no less than the caller had; a URL has its own limit.
    """
    found = {"upgrade refused", "join refused", "channel closed"}
    if len(token) <= URL_TOKEN_CHARACTERS_MAX:
        try:
            async with talking(scene.product, {"apikey": quote(token)}):
                found.discard("upgrade refused")
        except InvalidStatus as error:
            assert error.response.status_code == 401
    if token.startswith("sb_") or len(token) > FRAME_BYTES_MAX // 2:
        return found
    async with talking(scene.product, scene.callers["anon"].headers) as talker:
        if (await talker.join("one", token))["status"] != "error":
            found.discard("join refused")
        assert (await talker.join("two"))["status"] == "ok"
        await talker.say("realtime:two", "access_token", {"access_token": token})
        assert (await talker.hear("system"))["status"] == "error"
        await talker.hear("phx_close")
    return found


@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_the_keys_of_the_project_are_nobody_at_the_door_of_users(
    scene: Scene, method: str
) -> None:
    for name in ("anon_key", "service_role_key", "publishable_key", "secret_key"):
        key = getattr(scene.product.keys, name)
        headers = {"apikey": key, "authorization": f"Bearer {key}"}
        answer = await scene.product.http.request(
            method, f"/auth/v1/{'user' if method == 'GET' else 'logout'}", headers=headers
        )
        assert told(answer) == "403 bad_jwt", name


async def test_a_key_beside_a_users_token_lends_it_nothing(scene: Scene) -> None:
    stranger, keys = scene.callers["stranger"], scene.product.keys
    for key in (keys.service_role_key, keys.secret_key):
        headers = stranger.headers | {"apikey": key}
        assert told(await ask(scene.product, "rest", headers)) == "200 []"
        assert told(await ask(scene.product, "admin", headers)) == "403 not_admin"
        by_query = await scene.product.http.get(
            "/rest/v1/jobs", params={"apikey": key}, headers=stranger.headers
        )
        assert scene.secret not in by_query.text


async def test_a_header_counts_before_the_query_and_a_bad_one_is_not_made_up_for(
    scene: Scene,
) -> None:
    keys, http = scene.product.keys, scene.product.http
    service = {"apikey": keys.service_role_key}
    for headers, status in (
        ({"apikey": keys.anon_key}, 403),
        ({"apikey": "a guess"}, 401),
        ({"apikey": keys.anon_key, "authorization": "Bearer a guess"}, 403),
        ({"authorization": "Basic YTpi", "apikey": keys.anon_key}, 401),
    ):
        answer = await http.get("/auth/v1/admin/users", params=service, headers=headers)
        assert answer.status_code == status, headers


@pytest.mark.parametrize("door", DOORS)
async def test_credentials_that_come_twice_and_differ_are_refused(scene: Scene, door: str) -> None:
    owner, service = scene.owner, scene.callers["service"]
    apikey = ("apikey", scene.product.keys.anon_key)
    bearers = [("authorization", f"Bearer {caller.token}") for caller in (owner, service)]
    for headers in ([apikey, *bearers], [apikey, *reversed(bearers)]):
        answer = await ask(scene.product, door, headers)
        assert told(answer) in DOORS[door][3], headers
    # A proxy that only repeats what came says nothing else.
    again = await ask(scene.product, door, [apikey, bearers[0], bearers[0]])
    alone = await ask(scene.product, door, [apikey, bearers[0]])
    assert told(again) == told(alone)


async def test_a_session_that_ended_is_refused_where_sessions_are_known(
    product: Product, scene: Scene
) -> None:
    """Elsewhere a token holds until it expires, within an hour, as at Supabase."""
    leaver = await sign_up(product, "leaver@example.com", "nothing")
    out = await product.http.post("/auth/v1/logout?scope=global", headers=leaver.headers)
    assert out.status_code == 204
    for method, path in (("GET", "/auth/v1/user"), ("PUT", "/auth/v1/user")):
        answer = await product.http.request(method, path, json={}, headers=leaver.headers)
        assert told(answer) == "403 session_not_found"
    assert told(await refreshed(product, leaver)) == "400 refresh_token_not_found"
    assert told(await ask(product, "rest", leaver.headers)) == "200 []"


@pytest.mark.parametrize(
    ("method", "change", "code", "refresh"),
    [
        ("PUT", {"ban_duration": "1h"}, "user_banned", "400 user_banned"),
        ("DELETE", {"should_soft_delete": True}, "user_not_found", "400 refresh_token_not_found"),
        ("DELETE", {}, "user_not_found", "400 refresh_token_not_found"),
    ],
)
async def test_a_user_who_is_banned_or_gone_comes_in_no_more(
    product: Product, scene: Scene, method: str, change: dict[str, Any], code: str, refresh: str
) -> None:
    email = f"{uuid4().hex[:8]}@example.com"
    user = await sign_up(product, email, "nothing")
    service = scene.callers["service"].headers
    done = await product.http.request(
        method, f"/auth/v1/admin/users/{user.id}", json=change, headers=service
    )
    assert done.status_code == 200, done.text
    assert told(await ask(product, "auth", user.headers)) == f"403 {code}"
    assert told(await refreshed(product, user)) == refresh
    again = await product.http.post(
        "/auth/v1/token?grant_type=password",
        json={"email": email, "password": PASSWORD},
        headers={"apikey": product.keys.anon_key},
    )
    assert told(again) == ("400 user_banned" if "banned" in code else "400 invalid_credentials")


async def test_tokens_of_the_projects_own_secret_and_of_the_outside_issuer_open_every_door(
    scene: Scene, target: Target
) -> None:
    anon = scene.product.keys.anon_key
    for forge in (legacy(), legacy(session_id=None, iat=None), from_outside()):
        headers = {"apikey": anon, "authorization": f"Bearer {forge(target)}"}
        assert scene.secret in (await ask(scene.product, "rest", headers)).text
        # A legacy token names no session; the user is what counts.
        assert (await ask(scene.product, "auth", headers)).json()["id"] == scene.owner.id
        async with talking(scene.product, scene.callers["anon"].headers) as talker:
            assert (await talker.join("room", forge(target)))["status"] == "ok"


async def refreshed(product: Product, user: Caller) -> httpx2.Response:
    return await product.http.post(
        "/auth/v1/token?grant_type=refresh_token",
        json={"refresh_token": user.refresh},
        headers={"apikey": product.keys.anon_key},
    )
