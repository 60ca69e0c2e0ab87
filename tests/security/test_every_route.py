"""Every route, asked for what is Ada's: by nobody, anon, a stranger, Ada and the service."""

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
from mounted import mounted
from security_site import CALLERS, Caller, Scene, open_scene, talking, told
from walk import WALK, Row
from websockets.exceptions import InvalidStatus

from tests.support.product import Product

OTHERS = CALLERS[:3]
SHOWN = " with the secret"
SERVED = ("jobs", "generations", "projects")


@pytest.fixture(scope="module")
async def scene(product: Product) -> AsyncIterator[Scene]:
    """Return a scene that nothing in this module may change."""
    scene = await open_scene(product)
    before = await scene.dump()
    assert before.keys() >= {
        "auth.sessions",
        "auth.users",
        "files",
        "public.credit_accounts",
        "public.credit_entries",
        "public.generations",
        "public.jobs",
        "public.projects",
        "storage.objects",
        "tintype.delayed",
        "tintype.uploads",
    }
    yield scene
    assert await scene.dump() == before


async def test_no_route_is_forgotten(product: Product) -> None:
    assert {row.route for row in WALK} == await mounted(product)


@pytest.mark.parametrize("caller", OTHERS)
async def test_nobody_else_reads_or_changes_what_is_adas(scene: Scene, caller: str) -> None:
    before = await scene.dump()
    async with talking(scene.product, scene.owner.headers) as ada:
        await ada.follow(SERVED, scene.owner.token)
        await walk(scene, caller)
        assert await scene.dump() == before
        # Had anything of hers changed, she would have been told of that before this.
        await scene.product.admin.execute(
            "insert into public.projects (user_id, name) values ($1, 'sentinel')", scene.owner.id
        )
        change = (await ada.hear("postgres_changes"))["data"]
        assert (change["table"], change["record"]["name"]) == ("projects", "sentinel")
        await scene.product.admin.execute("delete from public.projects where name = 'sentinel'")
        # Who follows next is not told of it any more.
        assert (await ada.hear("postgres_changes"))["data"]["type"] == "DELETE"


@pytest.mark.parametrize("caller", ["owner", "service"])
async def test_ada_and_the_operator_may_do_what_is_theirs(product: Product, caller: str) -> None:
    scene = await open_scene(product)
    shown = await walk(scene, caller)
    # The secret is where a leak would show it, or the walk of the others proves nothing.
    assert len(shown) > 10, shown


async def walk(scene: Scene, who: str) -> list[str]:
    """Ask every route; return the questions whose answers show Ada's secret."""
    place, caller = CALLERS.index(who), scene.callers[who]
    wrong, shown = {}, []
    for row in WALK:
        url = filled(row.url, names(scene, caller))
        question = f"{row.route.partition(' ')[0]} {url} {json.dumps(row.body, default=str)[:60]}"
        if row.route.startswith("WEBSOCKET"):
            answers = [await joined(scene, caller)]
        else:
            answers = [await asked(scene, caller, row, url, method) for method in methods(row)]
        if any(answer.endswith(SHOWN) for answer in answers):
            shown.append(question)
        found = answers[-1].removesuffix(SHOWN)
        if found != row.answers[place] or answers[0].split()[0] != found.split()[0]:
            wrong[question] = (answers, row.answers[place])
    assert wrong == {}
    if who in OTHERS:
        assert shown == []
    return shown


async def asked(scene: Scene, caller: Caller, row: Row, url: str, method: str) -> str:
    """Ask one question and return the answer in short, marked if it shows the secret."""
    answer = await scene.product.http.request(
        method, url, headers=sent_headers(scene, caller, row), **sent_body(scene, caller, row)
    )
    assert answer.status_code < 500, (method, url, answer.text)
    assert answer.headers["access-control-allow-origin"] == "*"
    assert "access-control-allow-credentials" not in answer.headers
    assert method != "HEAD" or answer.content == b""
    shows = scene.secret.encode() in answer.content + str(answer.headers).encode()
    return told(answer) + (SHOWN if shows else "")


def methods(row: Row) -> tuple[str, ...]:
    """Return what to ask by: whatever a GET tells, a HEAD tells too, but for functions."""
    method, _, path = row.route.partition(" ")
    return ("HEAD", "GET") if method == "GET" and "/functions/" not in path else (method,)


def names(scene: Scene, caller: Caller) -> dict[str, str]:
    return scene.names | {"self": caller.id or scene.names["owner"]}


def filled(value: Any, words: dict[str, str]) -> Any:
    """Put the scene's words into the holes of a URL, a header or a body."""
    if isinstance(value, str):
        for name, word in words.items():
            value = value.replace(f"{{{name}}}", word)
    elif isinstance(value, dict):
        return {name: filled(inner, words) for name, inner in value.items()}
    elif isinstance(value, list):
        return [filled(inner, words) for inner in value]
    return value


def sent_headers(scene: Scene, caller: Caller, row: Row) -> dict[str, str]:
    return caller.headers | filled(row.headers, names(scene, caller))


def sent_body(scene: Scene, caller: Caller, row: Row) -> dict[str, Any]:
    if row.body is None:
        return {}
    if isinstance(row.body, bytes):
        return {"content": row.body}
    return {"json": filled(row.body, names(scene, caller))}


async def joined(scene: Scene, caller: Caller) -> str:
    """Tell which topics of Ada's a caller may join."""
    try:
        async with talking(scene.product, caller.headers) as talker:
            kinds = {"public": False, "private": True}
            answers = {
                kind: await talker.join(kind, caller.token, private=private)
                for kind, private in kinds.items()
            }
            return " and ".join(kind for kind in kinds if answers[kind]["status"] == "ok")
    except InvalidStatus as error:
        return str(error.response.status_code)
