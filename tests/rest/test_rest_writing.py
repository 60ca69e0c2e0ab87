"""What writes do, what they answer, and what undoes them."""

from typing import Any
from uuid import uuid4

import asyncpg
import pytest
from rest_site import Site, bearer, refusal

Admin = asyncpg.Connection
REPRESENTATION = {"Prefer": "return=representation"}
ONE = {"Accept": "application/vnd.pgrst.object+json"}


async def titles(admin: Admin, where: str = "true") -> list[str]:
    rows = await admin.fetch(f"select title from books where {where} order by id")
    return [row["title"] for row in rows]


async def test_an_insert_answers_nothing_unless_asked(site: Site, admin: Admin) -> None:
    answer = await site.http.post("/books", json={"title": "New"})
    assert (answer.status_code, answer.content) == (201, b"")
    assert answer.headers["content-range"] == "*/*"
    assert await titles(admin, "id > 4") == ["New"]

    answer = await site.http.post(
        "/books?select=id,title,mood", json={"title": "Newer"}, headers=REPRESENTATION
    )
    assert answer.status_code == 201
    assert answer.json() == [{"id": 102, "title": "Newer", "mood": "calm"}]
    assert answer.headers["preference-applied"] == "return=representation"


async def test_an_insert_says_where_the_row_is(site: Site) -> None:
    prefer = {"Prefer": "return=headers-only"}
    answer = await site.http.post("/books", json={"title": "New"}, headers=prefer)
    assert (answer.status_code, answer.content) == (201, b"")
    assert answer.headers["location"] == "/books?id=eq.101"
    row = {"book_id": 3, "genre_id": 3}
    answer = await site.http.post("/book_genres", json=row, headers=prefer)
    assert answer.headers["location"] == "/book_genres?book_id=eq.3&genre_id=eq.3"


async def test_a_row_without_a_key_of_columns_gets_null_or_with_missing_default_the_default(
    site: Site,
) -> None:
    rows = [{"title": "a", "mood": "tense"}, {"title": "b"}]
    path = '/books?columns="title","mood"&select=title,mood'
    answer = await site.http.post(path, json=rows, headers=REPRESENTATION)
    assert answer.json() == [{"title": "a", "mood": "tense"}, {"title": "b", "mood": None}]

    prefer = {"Prefer": "return=representation, missing=default, count=exact"}
    path = "/books?columns=id,title,mood&select=id,title,mood"
    answer = await site.http.post(path, json=rows, headers=prefer)
    first, second = answer.json()
    assert (first["mood"], second["mood"]) == ("tense", "calm")
    assert second["id"] == first["id"] + 1
    assert answer.headers["content-range"] == "*/2"
    assert answer.headers["preference-applied"] == (
        "missing=default, return=representation, count=exact"
    )


async def test_columns_leave_other_keys_of_the_payload_alone(site: Site) -> None:
    row = {"title": "a", "pages": 3, "no_such": 1}
    answer = await site.http.post(
        "/books?columns=title&select=title,pages", json=row, headers=REPRESENTATION
    )
    assert answer.json() == [{"title": "a", "pages": None}]


async def test_an_insert_shows_its_row_with_what_it_embeds(site: Site) -> None:
    path = "/books?select=title,headline,authors!author_id(name),genres(name)"
    row = {"title": "Mine", "author_id": 1}
    answer = await site.http.post(path, json=row, headers=REPRESENTATION | ONE)
    assert answer.status_code == 201
    assert answer.json() == {
        "title": "Mine",
        "headline": "MINE",
        "authors": {"name": "Ada"},
        "genres": [],
    }


async def test_types_of_all_kinds_go_in_as_json(site: Site) -> None:
    row = {
        "title": "All",
        "tags": ["a", 'b"c', "d,e"],
        "facts": {"deep": [1, {"x": None}]},
        "plain": [1, 2],
        "sold_between": "[2020-01-01,2021-01-01)",
        "mood": "tense",
        "price": "1.25",
        "printed_at": "2026-01-01T00:00:00Z",
    }
    path = f"/books?select={','.join(row)}"
    answer = await site.http.post(path, json=row, headers=REPRESENTATION)
    expected = row | {"price": 1.25, "printed_at": "2026-01-01T00:00:00+00:00"}
    assert answer.json() == [expected]


async def test_empty_bodies_insert_defaults_or_nothing(site: Site, admin: Admin) -> None:
    prefer = {"Authorization": ""} | REPRESENTATION
    answer = await site.http.post("/letterbox", json={})
    assert (answer.status_code, await admin.fetchval("select count(*) from letterbox")) == (201, 1)
    answer = await site.http.post("/books", json=[], headers=prefer)
    assert (answer.status_code, answer.json()) == (201, [])
    answer = await site.http.post("/letterbox", json=[{}, {}])
    assert (answer.status_code, await admin.fetchval("select count(*) from letterbox")) == (201, 3)


async def test_who_may_only_insert_can(site: Site, admin: Admin) -> None:
    answer = await site.http.post("/letterbox", json=[{"body": "a"}, {"body": "b"}])
    assert answer.status_code == 201
    assert await admin.fetchval("select count(*) from letterbox") == 2
    answer = await site.http.post("/letterbox", json={"body": "c"}, headers=REPRESENTATION)
    refusal(answer, 401, "42501")
    assert await admin.fetchval("select count(*) from letterbox") == 2


async def test_csv_and_forms_are_bodies_too(site: Site, admin: Admin) -> None:
    csv = 'title,pages\n"Comma, here",12\nPlain,NULL\n'
    answer = await site.http.post("/books", content=csv, headers={"Content-Type": "text/csv"})
    assert answer.status_code == 201
    answer = await site.http.post("/books", data={"title": "Formed", "pages": "5"})
    assert answer.status_code == 201
    rows = await admin.fetch("select title, pages from books where id > 4 order by id")
    assert [tuple(row) for row in rows] == [("Comma, here", 12), ("Plain", None), ("Formed", 5)]


async def test_an_upsert_merges_or_ignores_what_is_there(site: Site, admin: Admin) -> None:
    merge = {"Prefer": "resolution=merge-duplicates, return=representation"}
    rows = [{"id": 1, "name": "Faber & Faber"}, {"id": 3, "name": "New"}]
    answer = await site.http.post("/publishers", json=rows, headers=merge)
    assert (answer.status_code, answer.json()) == (201, rows)
    answer = await site.http.post("/publishers", json=rows, headers=merge)
    assert (answer.status_code, answer.json()) == (200, rows)
    assert answer.headers["preference-applied"] == (
        "resolution=merge-duplicates, return=representation"
    )

    ignore = {"Prefer": "resolution=ignore-duplicates, return=representation"}
    rows = [{"id": 9, "name": "New"}, {"id": 10, "name": "Newest"}]
    answer = await site.http.post("/publishers?on_conflict=name", json=rows, headers=ignore)
    assert (answer.status_code, answer.json()) == (201, [{"id": 10, "name": "Newest"}])

    merge_minimal = {"Prefer": "resolution=merge-duplicates"}
    rows = [{"id": 20, "name": "Newest"}]
    answer = await site.http.post("/publishers?on_conflict=name", json=rows, headers=merge_minimal)
    assert (answer.status_code, answer.content) == (200, b"")
    assert await admin.fetchval("select id from publishers where name = 'Newest'") == 20


async def test_an_upsert_of_nothing_or_without_a_key_says_what_it_did(site: Site) -> None:
    merge = {"Prefer": "resolution=merge-duplicates, return=representation"}
    answer = await site.http.post("/publishers", json=[], headers=merge)
    assert (answer.status_code, answer.json()) == (200, [])
    answer = await site.http.post("/loose", json={"word": "x", "size": 1}, headers=merge)
    assert (answer.status_code, answer.json()) == (201, [{"word": "x", "size": 1}])
    assert answer.headers["preference-applied"] == "return=representation"
    row = {"id": 4, "title": "Duster"}
    answer = await site.http.post("/shelved_books?select=title", json=row, headers=merge)
    assert (answer.status_code, answer.json()) == (200, [{"title": "Duster"}])
    answer = await site.http.post(
        "/publishers?on_conflict= name , name&columns= id , name",
        json={"id": 7, "name": "Faber"},
        headers={"Prefer": "resolution=ignore-duplicates"},
    )
    assert answer.status_code == 201


async def test_a_put_writes_the_row_of_its_url(site: Site, admin: Admin) -> None:
    row = {"id": 9, "name": "Nine"}
    answer = await site.http.put("/publishers?id=eq.9", json=row, headers=REPRESENTATION)
    assert (answer.status_code, answer.json()) == (201, [row])
    assert answer.headers["preference-applied"] == "return=representation"
    # Of several rows the first of that key counts.
    rows = [{"id": 9, "name": "Nina"}, {"id": 10, "name": "Ten"}, {"id": 9, "name": "No"}]
    answer = await site.http.put("/publishers?id=eq.9", json=rows, headers=REPRESENTATION | ONE)
    assert (answer.status_code, answer.json()) == (200, {"id": 9, "name": "Nina"})
    answer = await site.http.put("/publishers?id=eq.9", json={"id": 9, "name": "Nora"})
    assert (answer.status_code, answer.content) == (204, b"")
    names = "select name from publishers where id > 2 order by id"
    assert [row["name"] for row in await admin.fetch(names)] == ["Nora"]

    pair = {"book_id": 4, "genre_id": 1}
    path = "/book_genres?genre_id=eq.1&book_id=eq.4&select=genres(name)"
    for status in (201, 200):
        answer = await site.http.put(path, json=pair, headers=REPRESENTATION)
        assert (answer.status_code, answer.json()) == (status, [{"genres": {"name": "science"}}])
    answer = await site.http.put("/shelved_books?id=eq.4", json={"id": 4, "title": "Duster"})
    assert answer.status_code == 204
    assert await titles(admin, "id = 4") == ["Duster"]


async def test_a_put_is_bound_by_row_level_security(site: Site, admin: Admin) -> None:
    owner, other = uuid4(), uuid4()
    made = await site.http.post(
        "/notes", json={"body": "mine"}, headers=bearer(owner) | REPRESENTATION
    )
    note = made.json()[0]
    changed = {"id": note["id"], "user_id": str(other), "body": "stolen"}
    answer = await site.http.put(f"/notes?id=eq.{note['id']}", json=changed, headers=bearer(other))
    refusal(answer, 403, "42501")
    assert await admin.fetchval("select body from notes") == "mine"


async def test_an_update_changes_what_its_filter_finds(site: Site, admin: Admin) -> None:
    answer = await site.http.patch("/books?id=in.(1,2)", json={"pages": 7})
    assert (answer.status_code, answer.content) == (204, b"")
    assert answer.headers["content-range"] == "0-1/*"
    assert await titles(admin, "pages = 7") == ["Engines", "Birds"]

    prefer = {"Prefer": "return=representation,count=exact"}
    answer = await site.http.patch(
        "/books?id=in.(1,2)&select=id,authors!author_id(name)&order=id.desc",
        json={"pages": 8},
        headers=prefer,
    )
    assert answer.status_code == 200
    assert answer.json() == [
        {"id": 2, "authors": {"name": "Bea"}},
        {"id": 1, "authors": {"name": "Ada"}},
    ]
    assert answer.headers["content-range"] == "0-1/2"

    answer = await site.http.patch("/books?id=eq.99", json={"pages": 9}, headers=REPRESENTATION)
    assert (answer.status_code, answer.json()) == (200, [])
    assert answer.headers["content-range"] == "*/*"
    answer = await site.http.patch("/books?id=eq.1", json={})
    assert answer.status_code == 204
    answer = await site.http.patch("/books", json={}, headers=REPRESENTATION)
    assert (answer.status_code, answer.json()) == (200, [])


async def test_a_computed_column_chooses_what_is_changed_and_is_shown(site: Site) -> None:
    answer = await site.http.patch(
        "/books?headline=eq.BIRDS&select=id,headline",
        json={"title": "Bees"},
        headers=REPRESENTATION,
    )
    assert answer.json() == [{"id": 2, "headline": "BEES"}]


async def test_a_delete_removes_what_its_filter_finds(site: Site, admin: Admin) -> None:
    answer = await site.http.request(
        "DELETE", "/books?id=eq.1", json={}, headers={"Prefer": "return=representation"}
    )
    assert (answer.status_code, [row["id"] for row in answer.json()]) == (200, [1])
    headers = {"Content-Type": "application/json", "Prefer": "count=exact"}
    answer = await site.http.delete("/books?facts->>lang=eq.de", headers=headers)
    assert (answer.status_code, answer.content) == (204, b"")
    assert answer.headers["content-range"] == "*/1"
    assert await titles(admin) == ['Cats, "big" (and small)', "Dust"]


async def test_a_write_without_a_filter_is_refused(site: Site, admin: Admin) -> None:
    body = refusal(await site.http.delete("/books"), 400, "21000")
    assert body["message"] == "DELETE requires a WHERE clause"
    body = refusal(await site.http.patch("/books", json={"pages": 1}), 400, "21000")
    assert body["message"] == "UPDATE requires a WHERE clause"
    refusal(await site.http.delete("/books?limit=1&order=id"), 400, "21000")
    refusal(await site.http.delete("/books?select=*,genres(id)&genres.id=eq.1"), 400, "21000")
    assert len(await titles(admin)) == 4


WRITES: list[tuple[str, str, Any]] = [
    ("POST", "/books", [{"title": "x"}, {"title": "y"}]),
    ("PATCH", "/books?id=lt.3", {"pages": 1}),
    ("DELETE", "/books?id=in.(3,4)", None),
]


@pytest.mark.parametrize(("method", "path", "body"), WRITES)
async def test_a_write_of_several_rows_is_undone_when_one_was_promised(
    site: Site, admin: Admin, method: str, path: str, body: Any
) -> None:
    before = await admin.fetch("select * from books order by id")
    answer = await site.http.request(method, path, json=body, headers=REPRESENTATION | ONE)
    assert refusal(answer, 406, "PGRST116")["details"] == "The result contains 2 rows"
    most = {"Prefer": "handling=strict, max-affected=1"}
    answer = await site.http.request(method, path, json=body, headers=most)
    assert refusal(answer, 400, "PGRST124")["details"] == "The query affects 2 rows"
    assert await admin.fetch("select * from books order by id") == before

    enough = {"Prefer": "handling=strict, max-affected=2"}
    answer = await site.http.request(method, path, json=body, headers=enough)
    assert answer.status_code in (201, 204)
    assert answer.headers["preference-applied"] == "handling=strict, max-affected=2"
    assert await admin.fetch("select * from books order by id") != before


async def test_a_caller_cannot_roll_back_and_strict_callers_hear_of_unknown_wishes(
    site: Site, admin: Admin
) -> None:
    answer = await site.http.post(
        "/books", json={"title": "Kept"}, headers={"Prefer": "tx=rollback, nonsense=1"}
    )
    assert answer.status_code == 201 and "preference-applied" not in answer.headers
    assert await titles(admin, "id > 4") == ["Kept"]
    answer = await site.http.post(
        "/books", json={"title": "No"}, headers={"Prefer": "handling=strict, nonsense=1, x"}
    )
    assert refusal(answer, 400, "PGRST122")["details"] == "Invalid preferences: nonsense=1, x"
    answer = await site.http.post(
        "/books", json={"title": "No"}, headers={"Prefer": "handling=strict, tx=rollback"}
    )
    assert refusal(answer, 400, "PGRST122")["details"] == "Invalid preferences: tx=rollback"
    assert await titles(admin, "id > 4") == ["Kept"]


REFUSED: list[tuple[str, str, Any, int, str]] = [
    ("POST", "/books", {"title": "x", "nope": 1}, 400, "PGRST204"),
    ("POST", "/books?columns=nope", {"title": "x"}, 400, "PGRST204"),
    ("POST", "/books", {"title": "x", "headline": "y"}, 400, "PGRST204"),
    ("POST", "/books", [{"title": "x"}, {"pages": 1}], 400, "PGRST102"),
    ("POST", "/books", [1, 2], 400, "PGRST102"),
    ("POST", "/books", 7, 400, "PGRST102"),
    ("POST", "/books", [{}, {}], 400, "23502"),
    ("POST", "/books", {"pages": 1}, 400, "23502"),
    ("POST", "/books", {"title": "x", "pages": -1}, 400, "23514"),
    ("POST", "/books", {"title": "x", "pages": "many"}, 400, "22P02"),
    ("POST", "/books", {"title": "x", "isbn": "aa"}, 409, "23505"),
    ("POST", "/books", {"title": "x", "author_id": 99}, 409, "23503"),
    ("POST", "/books", {"title": "x", "isbn": "too long"}, 400, "22001"),
    ("POST", "/books", {"title": "a\0b"}, 400, "22P05"),
    ("POST", "/letterbox", {"id": 5}, 400, "428C9"),
    ("UPSERT", "/publishers", [{"id": 1, "name": "x"}, {"id": 1, "name": "y"}], 400, "21000"),
    ("POST", "/marks", {"id": 5, "grade": 9}, 400, "23514"),
    ("PATCH", "/books?id=eq.1", [{"pages": 1}, {"pages": 2}], 400, "PGRST102"),
    ("PATCH", "/books?id=eq.1", {"nope": 2}, 400, "PGRST204"),
    ("PATCH", "/nope?id=eq.1", {"nope": 2}, 404, "PGRST205"),
    ("DELETE", "/authors?id=eq.1", None, 409, "23503"),
    ("DELETE", "/books?genres=is.null&select=id,genres()", None, 400, "PGRST120"),
    ("PUT", "/publishers?id=eq.1", {"id": 2, "name": "x"}, 400, "PGRST115"),
    ("PUT", "/publishers?id=eq.1", {"name": "x"}, 400, "PGRST115"),
    ("PUT", "/publishers?id=eq.1", [], 400, "PGRST115"),
    ("PUT", "/publishers?id=eq.1&limit=1", {"id": 1, "name": "x"}, 400, "PGRST114"),
    ("PUT", "/publishers?id=eq.1&offset=0", {"id": 1, "name": "x"}, 400, "PGRST114"),
    ("PUT", "/publishers?name=eq.x", {"id": 1, "name": "x"}, 405, "PGRST105"),
    ("PUT", "/publishers?id=eq.1&name=eq.x", {"id": 1, "name": "x"}, 405, "PGRST105"),
    ("PUT", "/publishers?id=not.eq.1", {"id": 1, "name": "x"}, 405, "PGRST105"),
    ("PUT", "/publishers?id=in.(1)", {"id": 1, "name": "x"}, 405, "PGRST105"),
    ("PUT", "/publishers?and=(id.eq.1)", {"id": 1, "name": "x"}, 405, "PGRST105"),
    ("PUT", "/publishers", {"id": 1, "name": "x"}, 405, "PGRST105"),
    ("PUT", "/book_genres?book_id=eq.1", {"book_id": 1, "genre_id": 1}, 405, "PGRST105"),
    ("PUT", "/loose?word=eq.x", {"word": "x"}, 405, "PGRST105"),
    ("PUT", "/rpc/add", {"a": 1}, 405, "PGRST101"),
]


async def test_a_bad_write_is_refused_and_changes_nothing(site: Site, admin: Admin) -> None:
    every = (
        "select (select array_agg(b::text) from books as b),"
        " (select array_agg(p::text) from publishers as p)"
    )
    before = await admin.fetchrow(every)
    for method, path, body, status, code in REFUSED:
        merge = {"Prefer": "resolution=merge-duplicates"} if method == "UPSERT" else {}
        sent = method.replace("UPSERT", "POST")
        answer = await site.http.request(sent, path, json=body, headers=merge)
        assert (answer.status_code, answer.json()["code"]) == (status, code), (path, answer.text)
        refusal(answer, status, code)
        assert await admin.fetchrow(every) == before, (method, path, body)


@pytest.mark.parametrize("body", [b"", b"{", b'{"a":"\xff"}', b"[" * 100_000, b'{"\\ud800":1}'])
async def test_what_is_not_json_is_refused(site: Site, body: bytes) -> None:
    answer = await site.http.post(
        "/books", content=body, headers={"Content-Type": "application/json"}
    )
    assert answer.status_code == 400
    assert answer.json()["code"] in ("PGRST102", "PGRST204")


async def test_a_conflict_target_without_a_constraint_is_postgres_own_error(site: Site) -> None:
    merge = {"Prefer": "resolution=merge-duplicates"}
    answer = await site.http.post("/books?on_conflict=pages", json={"title": "x"}, headers=merge)
    refusal(answer, 400, "42P10")
    answer = await site.http.post("/books?on_conflict=nope", json={"title": "x"}, headers=merge)
    refusal(answer, 400, "42703")


async def test_a_body_over_the_limit_is_refused(site: Site) -> None:
    async def chunks() -> Any:
        for _ in range(20):
            yield b" " * 1024 * 1024

    answer = await site.http.post("/books", content=chunks())
    refusal(answer, 413, "PGRST102")
