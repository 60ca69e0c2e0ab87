"""What is not understood, not there or not allowed is told as PostgREST tells it."""

import pytest
from rest_site import Site, bearer, refusal, token

REFUSED: list[tuple[str, int, str, str]] = [
    ("/nope", 404, "PGRST205", "Could not find the table 'public.nope' in the schema cache"),
    ("/book", 404, "PGRST205", "Could not find the table 'public.book' in the schema cache"),
    ("/books?select=nope", 400, "42703", "column books.nope does not exist"),
    ("/books?nope=eq.1", 400, "42703", "column books.nope does not exist"),
    ("/books?order=nope", 400, "42703", "column books.nope does not exist"),
    ("/books?id=foo.1", 400, "PGRST100", '"failed to parse filter (foo.1)" (line 1, column 1)'),
    ("/books?id=1", 400, "PGRST100", '"failed to parse filter (1)" (line 1, column 1)'),
    ("/books?id=is.5", 400, "PGRST100", '"failed to parse filter (is.5)" (line 1, column 4)'),
    ("/books?id=in.1", 400, "PGRST100", '"failed to parse filter (in.1)" (line 1, column 4)'),
    ("/books?id=neq(any).{1}", 400, "PGRST100", ""),
    ("/books?or=id.eq.1", 400, "PGRST100", ""),
    ("/books?or=(id.eq.1", 400, "PGRST100", ""),
    ("/books?select=id,", 400, "PGRST100", ""),
    ("/books?select=id::", 400, "PGRST100", ""),
    ("/books?select=authors(", 400, "PGRST100", ""),
    ("/books?order=id.up", 400, "PGRST100", ""),
    ("/books?limit=ten", 400, "PGRST100", ""),
    ("/books?id=eq.%ff", 400, "PGRST100", ""),
    ("/books?select=id::nope", 400, "42704", 'type "nope" does not exist'),
    ("/books?select=id::regclass", 400, "42704", 'type "regclass" does not exist'),
    ("/books?id=eq.x", 400, "22P02", 'invalid input syntax for type integer: "x"'),
    ("/books?id=in.(1,x)", 400, "22P02", 'invalid input syntax for type integer: "x"'),
    ("/books?mood=eq.x", 400, "22P02", 'invalid input value for enum mood: "x"'),
    ("/books?title=eq.%00", 400, "22021", ""),
    ("/books?title=match.(", 400, "2201B", ""),
    ("/books?blurb=fts(klingon).x", 400, "42704", ""),
    ("/books?pages=is.true", 400, "42804", ""),
    (
        "/books?authors.name=eq.Ada",
        400,
        "PGRST108",
        "'authors' is not an embedded resource in this request",
    ),
    (
        "/books?select=nope(*)",
        400,
        "PGRST200",
        "Could not find a relationship between 'books' and 'nope' in the schema cache",
    ),
    ("/books?select=authors!nope(*)", 400, "PGRST200", ""),
    ("/rpc/nope/more", 404, "PGRST125", ""),
    ("/books?limit=١", 400, "PGRST100", ""),
    ("/books?genres.limit=-1&select=genres(*)", 416, "PGRST103", ""),
    (
        "/books?select=authors(*)",
        300,
        "PGRST201",
        "Could not embed because more than one relationship was found for 'books' and 'authors'",
    ),
    (
        "/books?select=genres(*)&order=genres(name)",
        400,
        "PGRST118",
        "A related order on 'genres' is not possible",
    ),
    (
        "/books?select=genres()&genres=eq.1",
        400,
        "PGRST120",
        "Bad operator on the 'genres' embedded resource",
    ),
    ("/a/b/c", 404, "PGRST125", "Invalid path specified in request URL"),
]


@pytest.mark.parametrize(("path", "status", "code", "message"), REFUSED)
async def test_a_bad_read_is_refused(
    shelf: Site, path: str, status: int, code: str, message: str
) -> None:
    body = await shelf.refused(path, status, code)
    assert message in body["message"]
    answer = await shelf.http.head(path)
    assert (answer.status_code, answer.content) == (status, b"")
    assert answer.headers["proxy-status"] == f"PostgREST; error={code}"


async def test_hints_say_what_would_have_been_right(shelf: Site) -> None:
    body = await shelf.refused("/book", 404, "PGRST205")
    assert body["hint"] == "Perhaps you meant the table 'public.books'"
    body = await shelf.refused("/books?select=autors(*)", 400, "PGRST200")
    assert body["hint"] == "Perhaps you meant 'authors' instead of 'autors'."
    body = await shelf.refused("/books?select=authors(*)", 300, "PGRST201")
    assert "'authors!books_author_id_fkey'" in body["hint"]
    assert {
        "cardinality": "many-to-one",
        "embedding": "books with authors",
        "relationship": "books_author_id_fkey using books(author_id) and authors(id)",
    } in body["details"]
    body = await shelf.refused("/books?authors.name=eq.Ada", 400, "PGRST108")
    assert body["hint"] == "Verify that 'authors' is included in the 'select' query parameter."


async def test_only_public_is_exposed(shelf: Site) -> None:
    for schema in ("tintype", "auth", "storage", "pg_catalog", "information_schema", "nope"):
        body = await shelf.refused("/jobs", 406, "PGRST106", accept_profile=schema)
        assert body["hint"] == "Only the following schemas are exposed: public"
        answer = await shelf.http.post("/jobs", json={}, headers={"Content-Profile": schema})
        refusal(answer, 406, "PGRST106")
    assert await shelf.rows("/genres?select=id&id=eq.1", accept_profile="public") == [{"id": 1}]
    for name in ("tintype.jobs", "users", "objects", "pg_class", "auth.users", "queues"):
        await shelf.refused(f"/{name}", 404, "PGRST205")


async def test_a_token_that_does_not_hold_is_refused(shelf: Site) -> None:
    expired = {"Authorization": f"Bearer {token('anon', seconds=-3600)}"}
    answer = await shelf.http.get("/genres", headers=expired)
    assert refusal(answer, 401, "PGRST303")["message"] == "JWT expired"
    assert answer.headers["www-authenticate"] == (
        'Bearer error="invalid_token", error_description="JWT expired"'
    )
    answer = await shelf.http.get("/genres", headers={"Authorization": "Bearer abc"})
    assert refusal(answer, 401, "PGRST301")["message"] == "Expected 3 parts in JWT; got 1"
    answer = await shelf.http.get("/genres", headers={"Authorization": "Bearer a.b.c"})
    refusal(answer, 401, "PGRST301")
    assert "invalid_token" in answer.headers["www-authenticate"]


async def test_what_a_role_may_not_do_is_401_for_anon_and_403_for_others(shelf: Site) -> None:
    answer = await shelf.get("/jobs")
    refusal(answer, 401, "42501")
    answer = await shelf.http.get("/letterbox", headers=bearer(role="service_role"))
    refusal(answer, 403, "42501")


INJECTIONS = [
    "1;drop table books",
    'id"; drop table books; --',
    "id' or '1'='1",
    "id) from books; drop table books; --",
    "$1",
    "id/**/",
    "pg_sleep(10)",
    "(select 1)",
    '\\"; drop table books; --',
    '"id""; drop table books; --"',
    "id\u0000",
    "r0.*",
    "*",
    "a" * 5000,
    "../../etc/passwd",
    "%s{0}",
]
PLACES = [
    "/books?select={}",
    "/books?select={}:id",
    '/books?select="{}":id',
    "/books?select=id::{}",
    "/books?select=facts->>{}",
    "/books?select=x:facts->>{}",
    "/books?select={}(*)",
    "/books?select=authors!{}(*)",
    "/books?select=authors!author_id({})",
    "/books?select=id.{}()",
    "/books?select={}.sum()",
    "/books?order={}",
    "/books?order=id.{}",
    "/books?order=facts->>{}",
    "/books?select=id,authors!author_id(id)&order=authors({})",
    "/books?{}=eq.1",
    "/books?facts->>{}=eq.1",
    "/books?title=eq.{}",
    "/books?title=in.({})",
    '/books?title=in.("{}")',
    "/books?title=like(any).{{{}}}",
    "/books?id={}.1",
    "/books?id=is.{}",
    "/books?blurb=fts({}).x",
    "/books?blurb=wfts.{}",
    "/books?or=({}.eq.1)",
    "/books?or=(title.eq.{})",
    "/books?tags=cs.{{{}}}",
    "/books?limit={}",
    "/books?offset={}",
    "/books?{}.limit=1",
    "/{}",
    "/rpc/{}",
    "/rpc/add?{}=1",
    "/rpc/add?a={}",
]


@pytest.mark.parametrize("place", PLACES)
async def test_no_place_of_a_read_takes_sql(shelf: Site, place: str) -> None:
    for injection in INJECTIONS:
        path, mark, query = place.format(injection).partition("?")
        params = [tuple(query.split("=", 1))] if mark and "&" not in query else None
        answer = (
            await shelf.http.get(path.replace("\u0000", "%00"), params=params)
            if params
            else await shelf.http.get(
                path.replace("\u0000", "%00").replace("#", "")
                + mark
                + query.replace("\u0000", "%00")
            )
        )
        assert answer.status_code < 500, (place, injection, answer.text)
        assert "syntax error at or near" not in answer.text, (place, injection, answer.text)
        assert '"code":"42601"' not in answer.text, (place, injection, answer.text)
    assert len(await shelf.rows("/books?select=id")) == 4


async def test_no_place_of_a_write_takes_sql(site: Site) -> None:
    for injection in INJECTIONS:
        tries = [
            await site.http.post("/books", json={injection: 1}),
            await site.http.post("/books", params={"columns": injection}, json={"title": "x"}),
            await site.http.post("/books", params={"columns": f'"{injection}"'}, json={"id": 1}),
            await site.http.post(
                "/books",
                params={"on_conflict": injection},
                json={"isbn": "aa"},
                headers={"Prefer": "resolution=merge-duplicates"},
            ),
            await site.http.patch("/books", params={injection: "eq.1"}, json={"title": "x"}),
            await site.http.patch("/books?id=eq.1", json={injection: "x"}),
            await site.http.delete("/books", params={"id": f"eq.{injection}"}),
            await site.http.post("/rpc/add", json={injection: 1}),
            await site.http.post("/rpc/add", json={"a": injection}),
        ]
        for answer in tries:
            assert 400 <= answer.status_code < 500, (injection, answer.request.url, answer.text)
            assert "syntax error at or near" not in answer.text
    kept = await site.http.post("/publishers", json={"id": 7, "name": "'; drop table books; --"})
    assert kept.status_code == 201
    assert len(await site.rows("/books?select=id")) == 4


@pytest.mark.parametrize(
    "query",
    [
        "select=" + ",".join(f"a{n}:id" for n in range(2000)),
        "select=" + "genres(" * 30 + ")" * 30,
        "select=" + ",".join(f"g{n}:genres(id)" for n in range(80)),
        "or=" + "(or" * 40 + "(id.eq.1)" + ")" * 40,
        "or=(" + ",".join(["id.eq.1"] * 500) + ")",
        "&".join(["id=eq.1"] * 500),
        "id=in.(" + "1," * 20000 + "1)",
        "select=facts" + "->a" * 50,
        "order=" + ",".join(["id"] * 3000),
        "select=" + "x" * 40000,
    ],
    ids=lambda query: query[:24],
)
async def test_a_query_past_a_limit_is_refused(shelf: Site, query: str) -> None:
    await shelf.refused(f"/books?{query}", 400, "PGRST100")
