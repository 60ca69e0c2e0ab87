"""Is the table of what is supported true? Each row is asked of the running product.

The rows are data, docs/reference/supabase.toml; the page beside it is rendered from them.
"""

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from typing import Any

import asyncpg
import pytest
import websockets
from starlette.routing import BaseRoute, Match, Mount, Route

from tests.support.databases import fresh_database
from tests.support.product import open_product
from tests.support.supported import STATES, TABLES, Row, World, rows
from tintype import auth, realtime, storage

ANSWER_SECONDS_MAX = 100
EVERYTHING_ELSE = ("/auth/v1/{path:path}", "/storage/v1/{path:path}")
# The same routes as for callers, told in one row.
SIGNED_UPLOADS = "/storage/v1/upload/resumable/sign"
AREAS = rows()
ASKED = [
    pytest.param(row, id=f"{area}: {row.feature}")
    for area, listed in AREAS.items()
    for row in listed
    if not row.send
]
SENT = [
    pytest.param(row, version, id=f"{row.feature}, {version}")
    for row in AREAS["realtime"]
    if row.send
    for version in ("1.0.0", "2.0.0")
]


@pytest.fixture(scope="module")
async def world(
    postgres_url: str, template: str, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[World]:
    """Return one product for all rows; each makes what it changes."""
    folder = tmp_path_factory.mktemp("supported")
    async with fresh_database(postgres_url, template) as database_url:
        admin = await asyncpg.connect(database_url)
        await admin.execute(TABLES)
        await admin.close()
        async with open_product(database_url, folder) as product:
            world = World(product)
            await world.furnish()
            yield world


@pytest.mark.parametrize("row", ASKED)
async def test_a_row_answers_as_the_table_says(world: World, row: Row) -> None:
    answer, row = await world.ask(row)
    told = f"{answer.status_code} {answer.text[:500]}"
    assert answer.status_code == row.status, told
    if row.code:
        assert answer.json()["code"] == row.code, told
    if row.rows is not None:
        assert answer.json() == row.rows, told
    if row.has is not None:
        assert _part(answer.json(), row.has), told
    if row.status < 300 and row.state == "supported":
        assert answer.headers["access-control-allow-origin"] == "*"


@pytest.mark.parametrize(("row", "version"), SENT)
async def test_a_socket_answers_as_the_table_says(world: World, row: Row, version: str) -> None:
    keys = world.product.keys
    address = world.product.url.replace("http", "ws", 1)
    address += f"/realtime/v1/websocket?apikey={keys.anon_key}&vsn={version}"
    async with (
        asyncio.timeout(ANSWER_SECONDS_MAX),
        websockets.connect(address) as connection,
    ):
        for number, (topic, event, payload) in enumerate(row.send, 1):
            if event == "phx_join" and row.caller == "user":
                payload = {"access_token": world.token} | payload
            await connection.send(_frame(version, str(number), topic, event, payload))
            if number < len(row.send):
                await _heard(connection, version, {"event": "phx_reply"})
        await _heard(connection, version, row.hears)


async def _heard(connection: Any, version: str, wanted: dict[str, Any]) -> None:
    while True:
        frame = json.loads(await connection.recv())
        if version == "2.0.0":
            frame = dict(zip(("join_ref", "ref", "topic", "event", "payload"), frame, strict=True))
        if _part(frame, wanted):
            return


def _frame(version: str, ref: str, topic: str, event: str, payload: dict[str, Any]) -> str:
    if version == "2.0.0":
        return json.dumps(["1", ref, topic, event, payload])
    return json.dumps(
        {"topic": topic, "event": event, "payload": payload, "ref": ref, "join_ref": "1"}
    )


def _part(whole: Any, part: Any) -> bool:
    if isinstance(part, dict):
        return isinstance(whole, dict) and all(
            key in whole and _part(whole[key], value) for key, value in part.items()
        )
    return bool(whole == part)


def test_every_state_is_one_that_the_page_explains() -> None:
    for row in (row for listed in AREAS.values() for row in listed):
        assert row.state in STATES
        refused = row.state in ("not enabled", "unknown")
        assert not refused or row.status >= 400, f"{row.feature}: a refusal has a status"
        assert row.status < 400 or row.code or row.status in (401, 404, 405), row.feature


async def test_every_route_of_the_product_has_its_row(world: World) -> None:
    product = world.product
    live = realtime.open_realtime(product.pool, "", product.keys)
    objects = storage.open_storage(product.config, product.pool, product.keys.url_secret)
    routes: list[BaseRoute] = [
        *auth.routes(product.keys, product.pool),
        Mount("/storage/v1", routes=storage.routes(objects, None)),  # type: ignore[arg-type]
        *live.routes(),
    ]
    asked = [
        (method, path)
        for listed in AREAS.values()
        for row in listed
        for method, _, path in (row.on.partition(" "), (row.ask or row.on).partition(" "))
    ]
    missing = [
        f"{method} {path}"
        for route, method, path in _ends(routes)
        if path not in EVERYTHING_ELSE
        and not path.startswith(SIGNED_UPLOADS)
        and not any(
            asked_method == method and _leads_to(routes, method, asked_path, route)
            for asked_method, asked_path in asked
        )
    ]
    assert missing == []


def _ends(routes: list[BaseRoute]) -> Iterator[tuple[BaseRoute, str, str]]:
    for route in routes:
        if isinstance(route, Mount):
            for end, method, path in _ends(list(route.routes)):
                yield end, method, route.path + path
        elif isinstance(route, Route):
            for method in sorted((route.methods or set()) - {"HEAD"}):
                yield route, method, route.path


def _leads_to(routes: list[BaseRoute], method: str, path: str, wanted: BaseRoute) -> bool:
    scope = {"type": "http", "method": method, "path": path.partition("?")[0], "root_path": ""}
    for route in routes:
        match, child = route.matches(scope)
        if match is Match.FULL:
            if isinstance(route, Mount):
                return _leads_within(list(route.routes), scope | child, wanted)
            return route is wanted
    return False


def _leads_within(routes: list[BaseRoute], scope: dict[str, Any], wanted: BaseRoute) -> bool:
    for route in routes:
        if route.matches(scope)[0] is Match.FULL:
            return route is wanted
    return False
