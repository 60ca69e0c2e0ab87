"""What a select answers, byte for byte where a client looks at bytes."""

from typing import Any

import asyncpg
import pytest
from rest_site import Site, refusal

READS: list[tuple[str, Any]] = [
    # Columns, aliases, casts, JSON paths.
    ("/publishers?select=*&order=id", [{"id": 1, "name": "Faber"}, {"id": 2, "name": "Penguin"}]),
    ("/publishers?select=no:id,name&id=eq.2", [{"no": 2, "name": "Penguin"}]),
    ("/publishers?select=id::text&id=eq.2", [{"id": "2"}]),
    ("/publishers?select=n:id::double%20precision&id=eq.2", [{"n": 2}]),
    ("/books?select=facts->>lang&id=eq.1", [{"lang": "en"}]),
    ("/books?select=facts->n->x->1&id=eq.1", [{"x": 2}]),
    ("/books?select=last:facts->n->x->-1::text&id=eq.1", [{"last": "2"}]),
    ("/books?select=plain->a&id=eq.1", [{"a": 1}]),
    ("/books?select=tags->0&id=eq.1", [{"tags": "math"}]),
    ("/books?select=headline&id=eq.2", [{"headline": "BIRDS"}]),
    ("/books?select=id&headline=eq.BIRDS", [{"id": 2}]),
    ("/books?select=s:id&id=eq.1", [{"s": 1}]),
    ("/marks?select=s&id=eq.1", [{"s": "a"}]),
    ('/odd%20%22names%22?select="a b","select",ünï', [{"a b": 1, "select": "x", "ünï": "y"}]),
    # Values as Postgres writes them in JSON.
    (
        "/books?select=price,printed_at,mood,sold_between,in_print&id=eq.1",
        [
            {
                "price": 10.50,
                "printed_at": "2026-01-02T03:04:05.678901+00:00",
                "mood": "calm",
                "sold_between": "[2000-01-01,2001-01-01)",
                "in_print": True,
            }
        ],
    ),
    # Aggregates.
    ("/books?select=count()", [{"count": 4}]),
    (
        "/books?select=author_id,pages.sum(),n:count()&author_id=not.is.null&order=author_id",
        [{"author_id": 1, "sum": 320, "n": 1}, {"author_id": 2, "sum": 620, "n": 2}],
    ),
    ("/books?select=pages.avg()::int", [{"avg": 313}]),
    ("/books?select=count", [{"count": 4}]),
    (
        "/books?select=mood,n:count::text&mood=not.is.null&order=mood",
        [{"mood": "calm", "n": "2"}, {"mood": "tense", "n": "1"}],
    ),
    (
        "/genres?select=*,count()&id=eq.1",
        [{"id": 1, "name": "science", "parent_id": None, "count": 1}],
    ),
    ("/books?select=plain,count()&id=eq.1", [{"plain": {"a": 1}, "count": 1}]),
    (
        "/authors?select=id,books!author_id(count)&order=id",
        [{"id": n, "books": [{"count": count}]} for n, count in ((1, 1), (2, 2), (3, 0))],
    ),
    # What is spread from a to-one embed is grouped and aggregated with the row it joins.
    (
        "/books?select=pages.sum(),...authors!author_id(name)&order=authors(name)&author_id=gt.0",
        [{"sum": 320, "name": "Ada"}, {"sum": 620, "name": "Bea"}],
    ),
    (
        "/books?select=tags->>0,...authors!author_id(first:born.min(),n:count())&order=tags->>0",
        [
            {"tags": "math", "first": "1815-12-10", "n": 1},
            {"tags": "nature", "first": "1900-01-01", "n": 2},
            {"tags": None, "first": None, "n": 0},
        ],
    ),
    (
        "/books?select=...authors!author_id(publishers(name)),pages.sum()&author_id=eq.1",
        [{"publishers": {"name": "Faber"}, "sum": 320}],
    ),
    (
        "/authors?select=id,books!author_id(count())&id=lte.2&order=id",
        [{"id": 1, "books": [{"count": 1}]}, {"id": 2, "books": [{"count": 2}]}],
    ),
    # Embeds: to one, to many, many to many, one to one, itself, through views, computed.
    (
        "/authors?select=id,publishers(name)&order=id",
        [
            {"id": 1, "publishers": {"name": "Faber"}},
            {"id": 2, "publishers": {"name": "Penguin"}},
            {"id": 3, "publishers": None},
        ],
    ),
    (
        "/publishers?select=id,authors(name)&order=id",
        [{"id": 1, "authors": [{"name": "Ada"}]}, {"id": 2, "authors": [{"name": "Bea"}]}],
    ),
    (
        "/authors?select=name,written:books!books_author_id_fkey(id)&order=id",
        [
            {"name": "Ada", "written": [{"id": 1}]},
            {"name": "Bea", "written": [{"id": 2}, {"id": 3}]},
            {"name": "Cyd", "written": []},
        ],
    ),
    (
        "/books?select=id,author_id(name),editor:authors!editor_id(name)&id=eq.1",
        [{"id": 1, "author_id": {"name": "Ada"}, "editor": {"name": "Bea"}}],
    ),
    (
        "/books?select=id,genres(name)&genres.order=name.desc&order=id&limit=2",
        [
            {"id": 1, "genres": [{"name": "science"}]},
            {"id": 2, "genres": [{"name": "poetry"}, {"name": "nature"}]},
        ],
    ),
    (
        "/genres?select=name,books(id)&id=eq.2&books.order=id",
        [{"name": "nature", "books": [{"id": 2}, {"id": 3}]}],
    ),
    (
        "/books?select=id,book_details(weight)&order=id&limit=1",
        [{"id": 1, "book_details": {"weight": 1.5}}],
    ),
    ("/book_details?select=books(title)&book_id=eq.1", [{"books": {"title": "Engines"}}]),
    (
        "/genres?select=name,parent:parent_id(name)&id=eq.2",
        [{"name": "nature", "parent": {"name": "science"}}],
    ),
    (
        "/genres?select=name,below:genres!parent_id(name)&id=eq.1",
        [{"name": "science", "below": [{"name": "nature"}]}],
    ),
    (
        "/long_books?select=name,authors(name)&order=id",
        [
            {"name": "Engines", "authors": {"name": "Ada"}},
            {"name": 'Cats, "big" (and small)', "authors": {"name": "Bea"}},
        ],
    ),
    ("/long_books_again?select=id,authors(name)&id=eq.1", [{"id": 1, "authors": {"name": "Ada"}}]),
    ("/authors?select=id,long_books(id)&id=eq.1", [{"id": 1, "long_books": [{"id": 1}]}]),
    ("/books?select=id,siblings(id)&id=eq.2", [{"id": 2, "siblings": [{"id": 3}]}]),
    # A function of one row is to one, and overrides the key of the same name.
    ("/shelved_books?select=id,authors(name)&id=eq.1", [{"id": 1, "authors": {"name": "Cyd"}}]),
    ("/shelved_books?select=id,authors()&order=authors(id),id.desc&limit=1", [{"id": 4}]),
    (
        "/publishers?select=authors(books!author_id(genres(name)))&id=eq.1",
        [{"authors": [{"books": [{"genres": [{"name": "science"}]}]}]}],
    ),
    # Inner joins, filters on embeds, filters by presence.
    (
        "/authors?select=name,publishers!inner(name)&publishers.name=eq.Faber",
        [{"name": "Ada", "publishers": {"name": "Faber"}}],
    ),
    (
        "/authors?select=name,publishers!left(name)&publishers.name=eq.Faber&order=id&limit=2",
        [{"name": "Ada", "publishers": {"name": "Faber"}}, {"name": "Bea", "publishers": None}],
    ),
    (
        "/authors?select=name,books!author_id!inner(id)&books.id=gt.2",
        [{"name": "Bea", "books": [{"id": 3}]}],
    ),
    ("/authors?select=name,books!author_id!inner()&books.pages=lt.200", [{"name": "Bea"}]),
    ("/authors?select=name,publishers()&publishers=is.null", [{"name": "Cyd"}]),
    (
        "/authors?select=name,b:books!author_id()&b=not.is.null&order=id",
        [{"name": "Ada"}, {"name": "Bea"}],
    ),
    (
        "/authors?select=name,publishers(),books!author_id()&or=(publishers.is.null,id.eq.1)&order=id",
        [{"name": "Ada"}, {"name": "Cyd"}],
    ),
    (
        "/authors?select=id,books!author_id(id)&books.or=(id.eq.2,pages.gt.400)&books.limit=1"
        "&books.order=id.desc&id=eq.2",
        [{"id": 2, "books": [{"id": 3}]}],
    ),
    (
        "/authors?select=id,books!author_id(id)&books.offset=1&books.order=id&id=eq.2",
        [{"id": 2, "books": [{"id": 3}]}],
    ),
    # Spread.
    (
        "/authors?select=name,...publishers(house:name)&order=id&limit=1",
        [{"name": "Ada", "house": "Faber"}],
    ),
    (
        "/authors?select=...books!author_id(titles:title)&id=eq.2",
        [{"titles": ["Birds", 'Cats, "big" (and small)']}],
    ),
    (
        "/books?select=id,...authors!author_id(*,...publishers(house:name))&id=eq.1",
        [
            {
                "id": 1,
                "name": "Ada",
                "born": "1815-12-10",
                "publisher_id": 1,
                "house": "Faber",
            }
        ],
    ),
    # Order.
    ("/books?select=id&order=pages.desc.nullslast,id", [{"id": n} for n in (3, 1, 2, 4)]),
    ("/books?select=id&order=pages.nullsfirst", [{"id": n} for n in (4, 2, 1, 3)]),
    (
        "/books?select=id&order=facts->>lang.asc.nullsfirst,id.desc",
        [{"id": n} for n in (4, 3, 2, 1)],
    ),
    (
        "/authors?select=id,publishers()&order=publishers(name).desc.nullslast",
        [{"id": 2}, {"id": 1}, {"id": 3}],
    ),
    ("/books?select=id&order=id.desc&limit=2&offset=1", [{"id": 3}, {"id": 2}]),
    ("/books?select=id&limit=0", []),
    # Blanks around commas; of what is repeated the first, or for a page the last.
    ("/books?select= id , title &order= id.desc , title&limit=1", [{"id": 4, "title": "Dust"}]),
    ("/books?select=id&select=title&id=eq.1", [{"id": 1}]),
    ("/books?select=id&order=id.desc&order=id&limit=3&limit=1", [{"id": 1}]),
    ("/books?select=id&order=id&offset=-4&limit=1", [{"id": 1}]),
]


@pytest.mark.parametrize(("path", "expected"), READS, ids=[path for path, _ in READS])
async def test_a_select_answers(shelf: Site, path: str, expected: Any) -> None:
    assert await shelf.rows(path) == expected


FILTERS: list[tuple[str, list[int]]] = [
    ("id=eq.2", [2]),
    ("id=neq.2&id=not.eq.3", [1, 4]),
    ("id=gt.2&id=lte.3", [3]),
    ("id=gte.4", [4]),
    ("id=lt.2", [1]),
    ("title=like.B*", [2]),
    ("title=like.B%25", [2]),
    ("title=ilike.*ir*", [2]),
    ("title=match.^E", [1]),
    ("title=imatch.^e", [1]),
    ("title=not.imatch.^e", [2, 3, 4]),
    ('title=eq.Cats, "big" (and small)', [3]),
    ("id=in.(1,3)", [1, 3]),
    ('title=in.("Birds","Cats, \\"big\\" (and small)")', [2, 3]),
    ('title=in.(Birds,"Dust")', [2, 4]),
    ("id=in.()", []),
    ("id=not.in.(1,3)", [2, 4]),
    ("pages=is.null", [4]),
    ("pages=is.not_null", [1, 2, 3]),
    ("pages=not.is.NULL", [1, 2, 3]),
    ("in_print=is.true", [1, 4]),
    ("in_print=is.false", [2]),
    ("in_print=is.unknown", [3]),
    ("in_print=not.is.true", [2, 3]),
    ("mood=isdistinct.calm", [2, 3]),
    ("mood=eq.tense", [2]),
    ("tags=cs.{old}", [1, 3]),
    ("tags=cd.{nature,wild}", [2, 4]),
    ("tags=ov.{math,nature}", [1, 2, 3]),
    ("tags=eq.{nature}", [2]),
    ('facts=cs.{"lang":"en"}', [1]),
    ('facts=cd.{"lang":null,"a":1}', [3, 4]),
    ("facts->>lang=eq.de", [2]),
    ("facts->n->x->0=eq.3", [2]),
    ("facts->n->x->>0=in.(1,3)", [1, 2]),
    ("plain->>a=eq.1", [1]),
    ("sold_between=cs.[2000-05-01,2000-06-01)", [1]),
    ("sold_between=cd.[1999-01-01,2001-06-01)", [1]),
    ("sold_between=ov.[2000-06-01,2002-06-01)", [1, 2]),
    ("sold_between=sl.[2001-06-01,2001-07-01)", [1]),
    ("sold_between=sr.[2001-06-01,2001-07-01)", [2]),
    ("sold_between=nxr.[2000-06-01,2001-07-01)", [1]),
    ("sold_between=nxl.[2001-06-01,2001-07-01)", [2]),
    ("sold_between=adj.[2001-01-01,2002-01-01)", [1, 2]),
    ("blurb=fts.engine", [1]),
    ("blurb=fts(english).engines %26 steam", [1]),
    ("blurb=plfts(english).singing birds", [2]),
    ("blurb=phfts(english).analytical engine", [1]),
    ("blurb=wfts(english).birds or engines", [1, 2]),
    ("blurb=not.fts(english).engine", [2]),
    ("title=fts(english).bird", [2]),
    ("title=like(any).{B*,D*}", [2, 4]),
    ("title=ilike(all).{*s*,*r*}", [2]),
    ("id=eq(any).{1,2}", [1, 2]),
    ("id=gt(all).{1,2}", [3, 4]),
    ("id=not.eq(any).{1,2}", [3, 4]),
    ("or=(id.eq.1,id.eq.2)", [1, 2]),
    ("or=(id.eq.1,and(id.gt.2,pages.is.null))", [1, 4]),
    ("or=(id.eq.1,not.and(id.gt.1,pages.gt.200))", [1, 2]),
    ("not.or=(id.eq.1,id.eq.2)", [3, 4]),
    ("not.and=(id.gt.1,id.lt.4)", [1, 4]),
    ("and=(id.gt.1,id.lt.4,or(pages.eq.120,pages.eq.500))", [2, 3]),
    ('or=(title.eq."Cats, \\"big\\" (and small)",id.in.(1,2))', [1, 2, 3]),
    ('or=(tags.cs.{old,math},sold_between.cs."[2002-05-01,2002-06-01)")', [1, 2]),
    ("or=(facts->>lang.eq.de,title.not.ilike.*s*)", [2]),
    ("price=gt.6.5&price=lt.8", [3]),
    ("printed_at=gte.2026-01-02T03:04:05%2B00:00", [1]),
    ("author_id=eq.2&editor_id=is.null", [3]),
]


@pytest.mark.parametrize(("query", "ids"), FILTERS, ids=[query for query, _ in FILTERS])
async def test_a_filter_finds(shelf: Site, query: str, ids: list[int]) -> None:
    rows = await shelf.rows(f"/books?select=id&order=id&{query}")
    assert [row["id"] for row in rows] == ids


async def test_a_value_is_compared_as_the_column_is_and_never_as_its_domain(shelf: Site) -> None:
    assert await shelf.rows("/marks?select=id&grade=lt.99") == [{"id": 1}]
    assert await shelf.rows("/books?select=id&isbn=eq.aaXXXXXXX") == []


COUNTS: list[tuple[str, str, int, str]] = [
    ("/books?select=id", "", 200, "0-3/*"),
    ("/books?select=id&limit=2", "", 200, "0-1/*"),
    ("/books?select=id&id=eq.99", "", 200, "*/*"),
    ("/books?select=id", "count=exact", 200, "0-3/4"),
    ("/books?select=id&limit=2&offset=2", "count=exact", 206, "2-3/4"),
    ("/books?select=id&limit=0", "count=exact", 206, "*/4"),
    ("/books?select=id&id=eq.99", "count=exact", 200, "*/0"),
    ("/books?select=id&limit=1", "count=estimated", 206, "0-0/4"),
    ("/authors?select=id,publishers!inner(id)&limit=1", "count=exact", 206, "0-0/2"),
    ("/rpc/books_longer_than?pages_min=200&limit=1", "count=exact", 206, "0-0/2"),
    ("/books?select=id&offset=9", "", 200, "*/*"),
    ("/books?select=author_id,count()", "count=exact", 200, "0-2/3"),
]


@pytest.mark.parametrize("method", ["GET", "HEAD"])
@pytest.mark.parametrize(("path", "prefer", "status", "content_range"), COUNTS)
async def test_rows_are_counted(
    shelf: Site, method: str, path: str, prefer: str, status: int, content_range: str
) -> None:
    answer = await shelf.http.request(method, path, headers={"Prefer": prefer} if prefer else {})
    assert (answer.status_code, answer.headers["content-range"]) == (status, content_range)
    assert answer.headers.get("preference-applied", "") == prefer
    assert (answer.content == b"") == (method == "HEAD")


async def test_a_planned_count_comes_from_the_planner(
    site: Site, admin: "asyncpg.Connection[asyncpg.Record]"
) -> None:
    await admin.execute("insert into genres select n, 'g' from generate_series(10, 3009) as n")
    await admin.execute("analyze genres")
    for kind in ("planned", "estimated"):
        answer = await site.get("/genres?limit=1&id=gt.0", prefer=f"count={kind}")
        assert answer.status_code == 206
        assert 2900 <= int(answer.headers["content-range"].removeprefix("0-0/")) <= 3100
    # What no read gets past, at any level.
    assert len(await site.rows("/genres?limit=5000")) == 1000


async def test_an_offset_past_a_counted_end_is_not_satisfiable(shelf: Site) -> None:
    answer = await shelf.get("/books?offset=9", prefer="count=exact")
    body = refusal(answer, 416, "PGRST103")
    assert body["details"] == "An offset of 9 was requested, but there are only 4 rows."
    assert answer.headers["content-range"] == "*/4"
    await shelf.refused("/books?limit=-1", 416, "PGRST103")
    await shelf.refused("/books", 416, "PGRST103", range="3-1")


async def test_a_range_header_is_a_limit_and_an_offset(shelf: Site) -> None:
    answer = await shelf.get("/books?select=id&order=id", range="1-2")
    assert answer.json() == [{"id": 2}, {"id": 3}]
    assert answer.headers["content-range"] == "1-2/*"
    assert len(await shelf.rows("/books?select=id", range="2-")) == 2
    # Both hold; and only GET has ranges.
    path = "/books?select=id&order=id&limit=2&offset=1"
    assert await shelf.rows(path, range="0-1") == [{"id": 2}]
    assert await shelf.rows(path, range="items=2-9") == [{"id": 3}]
    assert await shelf.rows(path, range="nonsense") == [{"id": 2}, {"id": 3}]
    answer = await shelf.http.head("/books?select=id", headers={"Range": "0-1"})
    assert answer.headers["content-range"] == "0-3/*"


async def test_one_row_is_an_object_and_any_other_number_is_refused(shelf: Site) -> None:
    accept = "application/vnd.pgrst.object+json"
    answer = await shelf.get("/publishers?id=eq.1", accept=accept)
    assert answer.json() == {"id": 1, "name": "Faber"}
    assert answer.headers["content-type"] == f"{accept}; charset=utf-8"
    for query, rows in (("id=eq.9", 0), ("id=gt.0", 2)):
        body = await shelf.refused(f"/publishers?{query}", 406, "PGRST116", accept=accept)
        assert body["message"] == "Cannot coerce the result to a single JSON object"
        assert body["details"] == f"The result contains {rows} rows"


async def test_nulls_are_left_out_where_that_is_asked(shelf: Site) -> None:
    accept = "application/vnd.pgrst.array+json;nulls=stripped"
    rows = await shelf.rows("/genres?id=eq.1", accept=accept)
    assert rows == [{"id": 1, "name": "science"}]


async def test_rows_come_as_csv(shelf: Site) -> None:
    answer = await shelf.get(
        "/books?select=id,t:title,tags&order=id&id=in.(1,3)", accept="text/csv"
    )
    assert answer.headers["content-type"] == "text/csv; charset=utf-8"
    assert answer.text.splitlines() == [
        "id,t,tags",
        '1,Engines,"{math,old}"',
        '3,"Cats, ""big"" (and small)","{nature,old}"',
    ]
    assert (await shelf.get("/genres?id=eq.99", accept="text/csv")).text == "id,name,parent_id\n"


async def test_the_first_type_that_can_be_made_is_made(shelf: Site) -> None:
    browser = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"
    answer = await shelf.get("/publishers", accept=browser)
    assert answer.headers["content-type"] == "application/json; charset=utf-8"
    answer = await shelf.get("/publishers", accept="text/csv;q=0.1, application/json")
    assert answer.headers["content-type"] == "application/json; charset=utf-8"
    await shelf.refused("/publishers", 406, "PGRST107", accept="text/csv;q=0")
    plan = 'application/vnd.pgrst.plan+text; for="application/json"; options=analyze|verbose;'
    for accept in ("image/png", plan, "application/geo+json"):
        await shelf.refused("/publishers", 406, "PGRST107", accept=accept)


async def test_a_time_zone_is_shown_where_it_is_known(shelf: Site) -> None:
    path = "/books?select=printed_at&id=eq.1"
    answer = await shelf.get(path, prefer="timezone=America/Los_Angeles")
    assert answer.json() == [{"printed_at": "2026-01-01T19:04:05.678901-08:00"}]
    assert answer.headers["preference-applied"] == "timezone=America/Los_Angeles"
    answer = await shelf.get(path, prefer="timezone=Jupiter/Red_Spot")
    assert answer.json() == [{"printed_at": "2026-01-02T03:04:05.678901+00:00"}]
    assert "preference-applied" not in answer.headers
    strict = "handling=strict, timezone=Jupiter/Red_Spot"
    body = await shelf.refused(path, 400, "PGRST122", prefer=strict)
    assert body["details"] == "Invalid preferences: timezone=Jupiter/Red_Spot"
