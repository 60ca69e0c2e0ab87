"""Functions, called by name with named arguments."""

import json
from typing import Any
from uuid import uuid4

import asyncpg
import httpx2
import pytest
from rest_site import Site, bearer, refusal

from tintype import database
from tintype.rest import http

CALLS: list[tuple[str, dict[str, Any], Any]] = [
    ("add", {"a": 1, "b": 2}, 3),
    ("add", {"a": 1}, 11),
    ("pairs", {"top": 2}, [{"x": 1, "y": 1}, {"x": 2, "y": 4}]),
    ("numbers", {}, [1, 2, 3]),
    ("total", {"n": [1, 2, 3]}, 6),
]


@pytest.mark.parametrize(("name", "arguments", "expected"), CALLS)
async def test_a_call_answers(
    shelf: Site, name: str, arguments: dict[str, Any], expected: Any
) -> None:
    answer = await shelf.http.post(f"/rpc/{name}", json=arguments)
    assert (answer.status_code, answer.json()) == (200, expected)
    texts = {
        key: "{" + ",".join(map(str, value)) + "}" if isinstance(value, list) else str(value)
        for key, value in arguments.items()
    }
    if name != "total":
        answer = await shelf.http.get(f"/rpc/{name}", params=texts)
        assert (answer.status_code, answer.json()) == (200, expected)


async def test_rows_of_a_function_are_selected_filtered_embedded_and_ordered(shelf: Site) -> None:
    path = "/rpc/books_longer_than?select=id,genres(name)&title=like.*a*&order=id.desc&limit=1"
    expected = [{"id": 3, "genres": [{"name": "nature"}]}]
    answer = await shelf.http.post(path, json={"pages_min": 100})
    assert answer.json() == expected
    assert await shelf.rows(f"{path}&pages_min=100") == expected
    one = await shelf.rows("/rpc/one_book?book=2&select=title,authors!author_id(name)")
    assert one == {"title": "Birds", "authors": {"name": "Bea"}}
    assert await shelf.rows("/rpc/pairs?top=3&select=y&x=gt.1") == [{"y": 4}, {"y": 9}]


async def test_a_repeated_argument_is_a_list_for_a_variadic_function(shelf: Site) -> None:
    assert await shelf.rows("/rpc/total?n=1&n=2&n=4") == 7
    assert await shelf.rows("/rpc/total?n=5") == 5
    await shelf.refused("/rpc/add?a=1&a=2", 400, "22P02")


async def test_a_function_of_one_unnamed_json_takes_the_whole_body(shelf: Site) -> None:
    for body in ({"any": [1]}, [{"x": 1}]):
        answer = await shelf.http.post("/rpc/echo", json=body)
        assert answer.json() == body


async def test_a_function_of_one_unnamed_text_or_bytes_takes_them_raw(shelf: Site) -> None:
    plain, raw = {"Content-Type": "text/plain"}, {"Content-Type": "application/octet-stream"}
    answer = await shelf.http.post("/rpc/shout", content="grün'".encode(), headers=plain)
    assert answer.json() == "GRÜN'"
    answer = await shelf.http.post("/rpc/size_of", content=b"\x00\xff'", headers=raw)
    assert answer.json() == 3
    refusal(await shelf.http.post("/rpc/shout", content=b"\xff", headers=plain), 400, "PGRST102")
    answer = await shelf.http.post("/rpc/shout", content=b"x", headers=raw)
    body = refusal(answer, 404, "PGRST202")
    assert "with a single unnamed bytea parameter" in body["details"]
    refusal(await shelf.http.post("/books", content=b"x", headers=plain), 400, "PGRST102")


async def test_a_function_of_nothing_answers_nothing(site: Site) -> None:
    answer = await site.http.post("/rpc/nothing", json={})
    assert (answer.status_code, answer.content) == (204, b"")
    assert (await site.http.post("/rpc/nothing")).status_code == 204


async def test_a_head_call_has_no_body(shelf: Site) -> None:
    answer = await shelf.http.get("/rpc/add?a=1", headers={"Prefer": "count=exact"})
    assert (answer.status_code, answer.headers["content-range"]) == (200, "0-0/1")
    answer = await shelf.http.head(
        "/rpc/books_longer_than?pages_min=1", headers={"Prefer": "count=exact"}
    )
    assert (answer.status_code, answer.content) == (200, b"")
    assert answer.headers["content-range"] == "0-2/3"


async def test_a_get_changes_nothing(
    site: Site, admin: "asyncpg.Connection[asyncpg.Record]"
) -> None:
    refusal(await site.get("/rpc/write_letter?body=x"), 405, "25006")
    assert await admin.fetchval("select count(*) from letterbox") == 0
    answer = await site.http.post(
        "/rpc/write_letter", json={"body": "x"}, headers=bearer(role="service_role")
    )
    assert refusal(answer, 403, "42501")["message"] == "permission denied for table letterbox"


async def test_a_function_is_found_by_its_arguments(shelf: Site) -> None:
    answer = await shelf.http.post("/rpc/add", json={"a": 1, "c": 2})
    body = refusal(answer, 404, "PGRST202")
    assert body["message"] == ("Could not find the function public.add(a, c) in the schema cache")
    assert body["hint"] == "Perhaps you meant to call the function public.add(a, b)"
    body = await shelf.refused("/rpc/ad?a=1", 404, "PGRST202")
    assert "with parameter a," in body["details"]
    assert body["hint"] == "Perhaps you meant to call the function public.add"
    body = await shelf.refused("/rpc/nope", 404, "PGRST202")
    assert "without parameters" in body["message"]
    body = refusal(await shelf.http.post("/rpc/same", json={"a": 1}), 300, "PGRST203")
    assert "public.same(a => integer), public.same(a => text)" in body["message"]
    refusal(await shelf.http.patch("/rpc/add", json={}), 405, "PGRST101")


async def test_claims_and_the_request_are_visible_to_the_database(shelf: Site) -> None:
    user = uuid4()
    headers = [(name.encode(), text.encode()) for name, text in bearer(user).items()]
    answer = await shelf.http.post(
        "/rpc/whoami", headers=[*headers, (b"X-Test", "grüß".encode("latin-1"))]
    )
    told = answer.json()
    assert (told["role"], told["uid"]) == ("authenticated", str(user))
    assert told["claims"]["sub"] == str(user)
    assert (told["method"], told["path"]) == ("POST", "/rpc/whoami")
    assert told["header"] == "grüß"
    assert (await shelf.rows("/rpc/whoami"))["role"] == "anon"


async def test_a_function_sets_status_and_headers(site: Site) -> None:
    answer = await site.http.post("/rpc/teapot")
    assert (answer.status_code, answer.headers["x-pot"], answer.json()) == (418, "tea", "short")


@pytest.mark.parametrize(
    ("state", "status"),
    [
        ("P0001", 400),
        ("TT400", 400),
        ("TT404", 404),
        ("TT409", 409),
        ("PT402", 402),
        ("42501", 401),
        ("53300", 503),
        ("40001", 500),
        ("28000", 403),
        ("22000", 400),
        ("42P01", 404),
    ],
)
async def test_an_error_of_the_database_keeps_its_state(
    site: Site, state: str, status: int
) -> None:
    body = refusal(await site.http.post("/rpc/refuse", json={"state": state}), status, state)
    assert body == {"code": state, "message": "No.", "details": "Because.", "hint": "Ask."}


async def test_a_function_raises_a_whole_answer(shelf: Site) -> None:
    message = {"code": "123", "message": "Pay", "details": "Quota", "hint": "Upgrade"}
    detail = {"status": 402, "headers": {"X-Powered-By": "Nerd Rage"}}

    async def raised(message: Any, detail: Any) -> httpx2.Response:
        texts = {"message": json.dumps(message), "detail": json.dumps(detail)}
        return await shelf.http.post("/rpc/answered", json=texts)

    answer = await raised(message, detail)
    assert refusal(answer, 402, "123") == message
    assert answer.headers["x-powered-by"] == "Nerd Rage"
    for bad in (
        {"status": 402},
        {"status": 99, "headers": {}},
        {"status": 402, "headers": {"X": "a\nSet-Cookie: b"}},
        {"status": 402, "headers": {"Content-Length": "0"}},
        [],
    ):
        body = refusal(await raised(message, bad), 500, "PGRST121")
        assert body["hint"].startswith("DETAIL must be")
    body = refusal(await raised({"code": "x"}, detail), 500, "PGRST121")
    assert body["hint"].startswith("MESSAGE must be")
    answer = await raised(message | {"code": "a\nb"}, detail)
    assert answer.headers["proxy-status"] == "PostgREST; error=ab"


async def test_a_call_of_more_rows_than_max_affected_is_undone(
    site: Site, admin: "asyncpg.Connection[asyncpg.Record]"
) -> None:
    most = {"Prefer": "handling=strict, max-affected=1"}
    refusal(await site.http.post("/rpc/renamed", headers=most), 400, "PGRST124")
    refusal(await site.http.post("/rpc/nothing", headers=most), 400, "PGRST128")
    one = {"Accept": "application/vnd.pgrst.object+json"}
    refusal(await site.http.post("/rpc/renamed", headers=one), 406, "PGRST116")
    assert await admin.fetchval("select count(*) from publishers where name like '%!'") == 0


async def test_a_counted_call_is_made_once(
    site: Site, admin: "asyncpg.Connection[asyncpg.Record]"
) -> None:
    for kind in ("exact", "planned", "estimated"):
        answer = await site.http.post(
            "/rpc/renamed?select=id&limit=1", headers={"Prefer": f"count={kind}"}
        )
        assert answer.status_code in (200, 206), answer.text
    names = await admin.fetch("select name from publishers order by id")
    assert [row["name"] for row in names] == ["Faber!!!", "Penguin!!!"]


async def test_a_statement_is_cut_off(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http, "STATEMENT_SECONDS_MAX", 0.05)
    refusal(await site.http.post("/rpc/wait_long"), 500, "57014")


async def test_a_database_that_is_away_is_503(site: Site, pool: database.Pool) -> None:
    await pool.close()
    refusal(await site.get("/books"), 503, "PGRST000")
