"""A page of any origin reads every answer, errors included."""

import httpx2
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from support.serve import ANSWER_SECONDS_MAX, serving
from tintype.functions.wire.cors import ALLOW_HEADERS, ALLOW_METHODS, Cors

ORIGIN = {"Origin": "https://app.example"}


async def fine(request: Request) -> Response:
    return PlainTextResponse("fine")


async def broken(request: Request) -> Response:
    raise RuntimeError("the reason stays inside")


async def own(request: Request) -> Response:
    return PlainTextResponse("own", headers={"Access-Control-Allow-Origin": "https://app.example"})


routes = [Route("/fine", fine), Route("/broken", broken), Route("/own", own)]


async def asked(method: str, path: str, headers: dict[str, str] | None = None) -> httpx2.Response:
    async with (
        serving(Cors(Starlette(routes=routes))) as url,
        httpx2.AsyncClient(verify=False, timeout=ANSWER_SECONDS_MAX) as client,
    ):
        return await client.request(method, url + path, headers=ORIGIN | (headers or {}))


async def test_a_preflight_is_answered_on_every_path_without_a_key() -> None:
    for path in ("/fine", "/nowhere", "/functions/v1/generate-image"):
        answer = await asked("OPTIONS", path, {"Access-Control-Request-Method": "POST"})
        assert answer.status_code == 204
        assert answer.headers["access-control-allow-origin"] == "*"
        assert answer.headers["access-control-allow-methods"] == ALLOW_METHODS.decode()
        assert answer.headers["access-control-allow-headers"] == ALLOW_HEADERS.decode()
        assert answer.headers["access-control-max-age"] == "86400"


async def test_a_preflight_allows_the_headers_it_asks_for() -> None:
    wanted = "authorization,x-my-own,content-type"
    answer = await asked("OPTIONS", "/fine", {"Access-Control-Request-Headers": wanted})
    assert answer.headers["access-control-allow-headers"] == wanted


async def test_a_preflight_that_asks_for_nonsense_gets_the_list() -> None:
    answer = await asked("OPTIONS", "/fine", {"Access-Control-Request-Headers": "a; b=<script>"})
    assert answer.headers["access-control-allow-headers"] == ALLOW_HEADERS.decode()


async def test_every_answer_can_be_read_by_a_page() -> None:
    for path, status in (("/fine", 200), ("/nowhere", 404), ("/broken", 500)):
        answer = await asked("GET", path)
        assert answer.status_code == status
        assert answer.headers["access-control-allow-origin"] == "*"
        exposed = answer.headers["access-control-expose-headers"]
        assert "sb-error-code" in exposed and "Content-Range" in exposed
        assert "the reason" not in answer.text


async def test_an_app_that_fails_before_it_answers_is_answered_for() -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            raise RuntimeError("the reason stays inside")

    async with (
        serving(Cors(app)) as url,
        httpx2.AsyncClient(verify=False, timeout=ANSWER_SECONDS_MAX) as client,
    ):
        answer = await client.get(url + "/", headers=ORIGIN)
    assert answer.status_code == 500
    assert answer.headers["access-control-allow-origin"] == "*"
    assert answer.json() == {"message": "Internal Server Error", "code": "internal_error"}


async def test_headers_that_a_function_sets_itself_are_not_doubled() -> None:
    answer = await asked("GET", "/own")
    assert answer.headers.get_list("access-control-allow-origin") == ["https://app.example"]
    assert len(answer.headers.get_list("access-control-expose-headers")) == 1
