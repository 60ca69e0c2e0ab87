"""Whatever stands where a name or a value is expected: never a 5xx, never SQL, nothing changed.

The application is asked without a server between, so that it meets what a server would refuse.
"""

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import quote

import asyncpg
import pytest
from rest_site import Site

from tintype.rest.grammar import LABEL_BYTES_MAX, is_label
from tintype.rest.query import Query
from tintype.rest.request import PARAMETERS_MAX, QUERY_BYTES_MAX

Admin = asyncpg.Connection

# No name of the catalogue holds it, so wherever it shows in SQL a caller has put it there.
MARK = "zqx7"
DEEP = 10_000
HOSTILE: Mapping[str, str] = {
    "a quote": f"'{MARK}",
    "a double quote": f'"{MARK}',
    "doubled quotes": f'""{MARK}',
    "a statement": f"1;drop table books;select {MARK}",
    "a closed statement": f'"; drop table books; -- {MARK}',
    "a closed bracket": f") from books; drop table books; -- {MARK}",
    "a comment": f"{MARK}--",
    "a block comment": f"/*{MARK}*/",
    "an open comment": f"/*{MARK}",
    "dollars": f"$${MARK}$$",
    "a tag": f"${MARK}$ 1 ${MARK}$",
    "a backslash": f"\\{MARK}",
    "an escaped quote": f"\\'{MARK}",
    "a last backslash": f"{MARK}\\",
    "an escape string": f"E'\\x27{MARK}'",
    "a parameter": "$1",
    "always true": f"x' or '1'='1' or '{MARK}",
    "a subquery": f"(select '{MARK}')",
    "a call": "pg_sleep(10)",
    "a cast": f"::regclass::{MARK}",
    "a star": "*",
    "a row": "r0.*",
    "NUL": f"\0{MARK}",
    "a percent sign": f"%00%27{MARK}",
    "formats": f"%s%n{{0}}{{{MARK}}}",
    "line ends": f"a\r\n{MARK}",
    "half a surrogate pair": f"\ud800{MARK}",
    "other alphabets": f"\u202e\ufeff\U0001f4a9ʼ＇{MARK}",
    "a path": f"../../etc/{MARK}",
    "arrows": f"a->b->>{MARK}",
    "a huge number": "9" * 400,
    "a huge exponent": "1e400000",
    "a negative number": "-99999999999999999999",
    "brackets open": "(" * DEEP,
    "brackets closed": "(" * DEEP + ")" * DEEP,
    "square brackets": "[" * DEEP + "]" * DEEP,
    "braces": "{" * DEEP + "}" * DEEP,
    "objects": '{"a":' * 2_000 + "1" + "}" * 2_000,
    "embeds": f"{MARK}(" * 2_000,
    "logic": "and(" * 2_000,
    "commas": "," * DEEP,
    "dots": "." * DEEP,
    "spreads": "......" + MARK + "(",
    "a long word": "a" * 60_000,
    "a longer one": "a" * 100_000,
}
# `¤` is where the hostile text goes.
PLACES = """
select=¤ select=x:¤ select=¤:id select="¤":id select=id::¤ select=facts->¤ select=x:facts->>¤
select=facts->"¤" select=¤(*) select=authors!¤(*) select=authors!author_id(¤) select=id.¤()
select=...¤(id) select=x:"¤"(id) select=¤.sum() select=count()::¤
order=¤ order=id.¤ order=facts->¤ order="¤" order=authors(¤)&select=authors!author_id(id)
¤=eq.1 "¤"=eq.1 facts->>¤=eq.1 genres.¤=eq.1&select=genres(id) ¤.id=eq.1 ¤=1 ¤
id=eq.¤ title=eq.¤ title=neq.¤ title=not.gte.¤ title=isdistinct.¤ title=like.¤ title=ilike.¤
title=match.¤ title=imatch.¤ title=in.(¤) title=in.("¤") id=in.(¤) title=like(any).{¤}
title=eq(any).¤ id=¤.1 id=eq(¤).1 id=is.¤ blurb=fts(¤).x blurb=fts.¤ blurb=plfts.¤ blurb=phfts.¤
blurb=wfts.¤ title=fts(english).¤ tags=cs.¤ tags=cs.{¤} tags=ov.{"¤"} facts=cs.¤ facts=eq.¤
facts->n=eq.¤ facts->>lang=eq.¤ plain->a=eq.¤ sold_between=adj.¤ mood=eq.¤
printed_at=gt.¤ price=lt.¤ in_print=eq.¤ or=¤ or=(¤) or=(title.eq.¤) or=(title.eq."¤")
or=(¤.eq.1) or=(and(¤)) and=(id.in.(¤))
not.and=¤ genres.or=(name.eq.¤)&select=genres(id) limit=¤ offset=¤ ¤.limit=1 ¤.order=id
genres.limit=¤&select=genres(id) genres.order=¤&select=genres(id) ¤.or=(id.eq.1) columns=¤
columns="¤" on_conflict=¤
"""
HEADERS = (
    "prefer",
    "range",
    "accept",
    "accept-profile",
    "content-profile",
    "content-type",
    "cookie",
    "x-client-info",
)
PREFERENCES = (
    "return=",
    "count=",
    "timezone=",
    "handling=strict,max-affected=",
    "handling=strict,",
)


@pytest.fixture
async def unchanged(site: Site, admin: Admin) -> Any:
    """Fail the test if it leaves another database behind than it found."""
    before = await everything(admin)
    yield
    assert await everything(admin) == before


async def everything(admin: Admin) -> list[Any]:
    """Return all rows of all tables in reach, and all that the catalogue holds."""
    tables = await admin.fetch(
        "select c.oid::regclass::text as name from pg_class as c"
        " where c.relkind = 'r' and c.relnamespace in ('public'::regnamespace,"
        " 'auth'::regnamespace, 'tintype'::regnamespace) order by 1"
    )
    rows = [
        await admin.fetchval(
            f"select array_agg(t::text order by t::text) from {table['name']} as t"
        )
        for table in tables
    ]
    catalogue = "select array_agg(t.oid::text || t.*::text order by t.oid) from {} as t"
    kept = ("pg_proc", "pg_class", "pg_namespace", "pg_roles", "pg_policy", "pg_type")
    # A sequence moves and statistics change; neither is a row of pg_class's own making.
    described = [
        await admin.fetchval(catalogue.format(name)) for name in kept if name != "pg_class"
    ]
    return [tables, rows, described]


async def asked(
    site: Site,
    method: str,
    path: str,
    query: str = "",
    headers: Mapping[str, bytes] | None = None,
    body: bytes = b"",
) -> tuple[int, str]:
    """Return status and body of one request; fail where it blames the server or shows SQL."""
    sent: list[dict[str, Any]] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": body, "more_body": False}

    async def send(message: Any) -> None:
        sent.append(message)

    given = {"content-length": str(len(body)).encode(), **(headers or {})}
    scope = {
        "type": "http",
        "method": method,
        "path": f"/rest/v1{path}",
        "query_string": query.encode("ascii"),
        "headers": [(name.encode("ascii"), value) for name, value in given.items()],
        "root_path": "",
    }
    await site.rest(scope, receive, send)
    status, told = sent[0]["status"], sent[1]["body"].decode()
    described = (method, path[:80], query[:120], dict(headers or {}), body[:120], told[:300])
    assert status < 500, described
    assert "syntax error at" not in told and "unterminated" not in told, described
    for name, value in sent[0]["headers"]:
        assert b"\r" not in value and b"\n" not in value, (name, described)
    return status, told


def percent(text: str) -> str:
    return quote(text, safe="", errors="surrogatepass")


def filled(place: str, text: str) -> str:
    return percent(text).join(quote(part, safe="=&") for part in place.split("¤"))


async def names(admin: Admin) -> set[str]:
    """Return every identifier that the catalogue has."""
    rows = await admin.fetch(
        "select relname::text as name from pg_class union select attname from pg_attribute"
        " union select proname from pg_proc union select nspname from pg_namespace"
        " union select typname from pg_type union select unnest(proargnames) from pg_proc"
    )
    return {row["name"] for row in rows} | {"value"}


def check_statements(site: Site, known: set[str]) -> None:
    """Fail where a planned statement holds a word of a caller's, labels of outputs apart."""
    remembered = site.rest.catalogue.remembered
    for _, query in remembered.values():
        for one in statements(query):
            for quoted in re.findall(r'"((?:[^"]|"")*)"', one):
                name = quoted.replace('""', '"')
                assert name in known or is_label(name), one
            assert MARK not in re.sub(r'"(?:[^"]|"")*"', "", one), one
    remembered.clear()


def statements(query: Query) -> Iterator[str]:
    yield query.text
    if query.estimate is not None:
        yield query.estimate.text


@pytest.mark.usefixtures("unchanged")
async def test_no_place_of_a_query_string_takes_sql(site: Site, admin: Admin) -> None:
    known = await names(admin)
    for place in PLACES.split():
        for text in HOSTILE.values():
            await asked(site, "GET", "/books", filled(place, text))
        check_statements(site, known)


@pytest.mark.usefixtures("unchanged")
async def test_no_path_or_argument_takes_sql(site: Site, admin: Admin) -> None:
    known = await names(admin)
    for text in HOSTILE.values():
        # A server hands on a path that it has decoded.
        path = text.encode("utf-8", "replace").decode()
        for method in ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"):
            status, _ = await asked(site, method, f"/{path}", "id=eq.1", body=b'{"id":1}')
            assert status in (400, 404, 405)
            status, _ = await asked(site, method, f"/rpc/{path}", body=b"{}")
            assert status in (400, 404, 405)
        for query in (f"a={percent(text)}", f"{percent(text)}=1", f"a=1&b=2&{percent(text)}"):
            await asked(site, "GET", "/rpc/add", query)
        for query in (f"n={percent(text)}", f"n=1&n={percent(text)}"):
            await asked(site, "GET", "/rpc/total", query)
        check_statements(site, known)


@pytest.mark.usefixtures("unchanged")
async def test_no_header_takes_sql(site: Site, admin: Admin) -> None:
    known = await names(admin)
    for text in HOSTILE.values():
        # What no HTTP parser lets into a header is left out.
        value = re.sub(rb"[\r\n\0]", b"", text.encode("utf-8", "surrogatepass"))
        for name in HEADERS:
            await asked(site, "GET", "/books", "select=id", {name: value})
            await asked(site, "POST", "/nope", "", {name: value}, b'{"title":1}')
        for wish in PREFERENCES:
            await asked(site, "GET", "/books", "select=id", {"prefer": wish.encode() + value})
        await asked(site, "GET", "/", "", {"accept-profile": value, "host": value})
        status, _ = await asked(site, "GET", "/books", "", {"authorization": b"Bearer " + value})
        assert status == 401
        check_statements(site, known)


@pytest.mark.usefixtures("unchanged")
async def test_no_part_of_a_body_takes_sql(site: Site, admin: Admin) -> None:
    known = await names(admin)
    kind = {"content-type": b"application/json"}
    # Strictly nothing may be written, so that a body which is sound is undone.
    nothing = {**kind, "prefer": b"handling=strict,max-affected=0,missing=default"}
    for text in HOSTILE.values():
        told = json.dumps(text).encode()
        for raw in (text.encode("utf-8", "surrogatepass"), told):
            for body in (
                raw,
                b"[" + raw + b"]",
                b'{"title":' + raw + b"}",
                b'{"facts":' + raw + b',"title":"x"}',
                b'[{"tags":' + raw + b"}]",
                b"{" + told + b":" + raw + b"}",
            ):
                await asked(site, "POST", "/books", "", nothing, body)
                await asked(site, "POST", "/books", "columns=title,facts,tags", nothing, body)
                await asked(site, "PATCH", "/books", "id=gt.0", nothing, body)
                await asked(site, "PUT", "/publishers", "id=eq.1", kind, body)
                await asked(site, "POST", "/rpc/add", "", kind, body)
                await asked(site, "POST", "/rpc/echo", "", kind, body)
        for media in (b"text/csv", b"application/x-www-form-urlencoded", b"text/plain"):
            whole = text.encode("utf-8", "surrogatepass")
            sent = {**nothing, "content-type": media}
            await asked(site, "POST", "/books", "", sent, whole)
            await asked(site, "POST", "/rpc/shout", "", {"content-type": media}, whole)
        query = f"columns={percent(text)}&on_conflict={percent(text)}&select={percent(text)}"
        for resolution in (b"merge-duplicates", b"ignore-duplicates"):
            sent = {**kind, "prefer": b"resolution=" + resolution}
            await asked(site, "POST", "/publishers", query, sent, b'{"id":1}')
        await asked(site, "DELETE", "/books", f"title=eq.{percent(text)}", nothing)
        check_statements(site, known)


async def test_a_hostile_value_is_kept_as_it_is(site: Site, admin: Admin) -> None:
    fit = [text for text in HOSTILE.values() if "\0" not in text and "\ud800" not in text]
    body = json.dumps([{"word": text} for text in fit]).encode()
    status, told = await asked(site, "POST", "/loose", body=body)
    assert status == 201, told
    assert [row["word"] for row in await admin.fetch("select word from loose")] == fit
    for text in fit:
        if len(percent(text)) < QUERY_BYTES_MAX - len("word=eq."):
            status, told = await asked(site, "GET", "/loose", f"word=eq.{percent(text)}")
            assert (status, json.loads(told)) == (200, [{"word": text, "size": None}])


async def test_an_outputs_name_is_the_only_word_of_the_callers_in_sql(site: Site) -> None:
    for label in ("a$b", "x.y", "A-b c", "ünï", "_", "9", "select"):
        path = f'/books?select="{label}":id,more:facts->>"{label}"&id=eq.1'
        assert await site.rows(path) == [{label: 1, "more": None}]
    for label in ('"', "'", ";", "\\", "a\n", "(", "a" * (LABEL_BYTES_MAX + 1), "ü" * 32, ""):
        escaped = label.replace("\\", "\\\\").replace('"', '\\"')
        asking = percent(f'"{escaped}":id')
        status, told = await asked(site, "GET", "/books", f"select={asking}")
        assert (status, json.loads(told)["code"]) == (400, "PGRST100"), label


async def test_what_is_long_or_many_is_refused_before_it_is_planned(site: Site) -> None:
    limits = {
        "&".join(["id=eq.1"] * DEEP): 414,
        "&".join(["id=eq.1"] * (PARAMETERS_MAX + 1)): 400,
        "title=eq." + "a" * 100_000: 414,
        "title=match." + "a" * 2_000: 400,
        "title=imatch." + "(a*)*" * 500: 400,
        "select=" + "a" * 20_000: 400,
        "columns=" + "a," * 10_000: 400,
        "id=in.(" + "1," * 20_000 + "1)": 400,
        "or=(" + "id.eq.1," * 500 + "id.eq.1)": 400,
        "or=" + "(or" * 20 + "(id.eq.1)" + ")" * 20: 400,
        "select=" + "genres(books(" * 8 + "))" * 8: 400,
    }
    for query, expected in limits.items():
        status, told = await asked(site, "GET", "/books", query)
        assert (status, json.loads(told)["code"]) == (expected, "PGRST100"), query[:80]
        assert len(told) < 2_000
    for path in ("/" + "a" * 100_000, "/rpc/" + "a" * 100_000):
        status, told = await asked(site, "GET", path)
        assert status == 404 and len(told) < 4_000
    assert not site.rest.catalogue.remembered
