"""No request, however odd, is answered with a 5xx or reaches SQL as SQL."""

import json
from typing import Any
from urllib.parse import quote

import httpx2
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from rest_site import Site

from tintype.rest.request import parse
from tintype.rest.trouble import RestError

EXAMPLES = 120

COLUMNS = """
id title pages tags facts plain sold_between mood blurb in_print printed_at headline genres authors
author_id nope
"""
OPERATORS = """
eq neq gt gte lt lte like ilike match imatch is isdistinct in cs cd ov sl sr nxr nxl adj fts plfts
phfts wfts eq(any) like(all) fts(english) wfts(simple) not.eq not.in not.is
"""
WORDS = """
1 -1 null true {1,2} {a,b} (1,2) () ("a","b") [1,3) % * {"a":1} [] 2026-01-01 \\ " ' ::text
99999999999999999999 1e400
"""
WISHES = """
return=representation return=headers-only return=minimal resolution=merge-duplicates tx=commit
resolution=ignore-duplicates missing=default count=exact timezone=Asia/Tokyo
"""
columns = st.sampled_from(COLUMNS.split())
paths = st.sampled_from(["", "->a", "->>lang", "->n->x->0", "->-1"])
operators = st.sampled_from(OPERATORS.split())
odd = st.text(max_size=12)
words = st.one_of(odd, st.sampled_from(WORDS.split()))
tests = st.builds(lambda o, w: f"{o}.{w}", operators, words)
conditions = st.builds(lambda c, p, t: (f"{c}{p}", t), columns, paths, tests)
logic = st.recursive(
    st.builds(lambda c, p, t: f"{c}{p}.{t}", columns, paths, tests),
    lambda inner: st.builds(
        lambda w, many: f"{w}({','.join(many)})",
        st.sampled_from(["and", "or", "not.and", "not.or"]),
        st.lists(inner, min_size=1, max_size=3),
    ),
    max_leaves=5,
)
items = st.recursive(
    st.one_of(
        st.builds(
            lambda a, c, p, t: f"{a}{c}{p}{t}",
            st.sampled_from(["", "x:", "s:", '"odd name":']),
            columns,
            paths,
            st.sampled_from(["", "::text", "::int", "::json", "::nope", ".sum()", ".max()::text"]),
        ),
        st.just("*"),
        st.just("count()"),
        odd,
    ),
    lambda inner: st.builds(
        lambda s, r, h, many: f"{s}{r}{h}({','.join(many)})",
        st.sampled_from(["", "...", "y:"]),
        st.sampled_from(["genres", "authors", "author_id", "book_details", "siblings", "books"]),
        st.sampled_from(["", "!inner", "!left", "!author_id", "!editor_id!inner", "!nope"]),
        st.lists(inner, max_size=3),
    ),
    max_leaves=6,
)
orders = st.builds(
    lambda c, p, d, n: f"{c}{p}{d}{n}",
    st.one_of(columns, st.sampled_from(["authors(name)", "author_id(name)", "genres(id)"]), odd),
    paths,
    st.sampled_from(["", ".asc", ".desc", ".up"]),
    st.sampled_from(["", ".nullsfirst", ".nullslast"]),
)
pairs = st.one_of(
    conditions,
    st.tuples(st.just("select"), st.lists(items, min_size=1, max_size=4).map(",".join)),
    st.tuples(st.sampled_from(["or", "and", "not.or", "genres.or"]), logic.map(lambda t: f"({t})")),
    st.tuples(st.sampled_from(["order", "genres.order"]), orders),
    st.tuples(st.sampled_from(["limit", "offset", "genres.limit"]), words),
    st.tuples(odd, odd),
    st.builds(lambda c, t: (f"genres.{c}", t), columns, tests),
)
queries = st.lists(pairs, max_size=5)
headers = st.fixed_dictionaries(
    {},
    optional={
        "Prefer": st.sampled_from(["count=exact", "count=planned", "count=estimated"]),
        "Accept": st.sampled_from(["text/csv", "application/vnd.pgrst.object+json", "*/*"]),
        "Range": st.sampled_from(["0-1", "5-", "3-1"]),
    },
)


values = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), odd, words),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.dictionaries(st.one_of(columns, odd), inner, max_size=3)
    ),
    max_leaves=8,
)
rows = st.dictionaries(st.one_of(columns, odd), values, max_size=4)
bodies = st.one_of(
    st.one_of(rows, st.lists(rows, max_size=3), values).map(lambda value: json.dumps(value)),
    st.binary(max_size=40),
)
wishes = st.lists(st.sampled_from(WISHES.split()), max_size=4)
writes = st.fixed_dictionaries(
    {"method": st.sampled_from(["POST", "PATCH", "PUT", "DELETE"]), "wishes": wishes},
    optional={
        "Accept": st.sampled_from(["text/csv", "application/vnd.pgrst.object+json"]),
        "Content-Type": st.sampled_from(
            ["application/json", "text/csv", "application/x-www-form-urlencoded", "text/plain"]
        ),
    },
)
chosen = st.lists(
    st.one_of(
        pairs,
        st.tuples(st.sampled_from(["columns", "on_conflict"]), st.one_of(columns, odd)),
        st.just(("id", "eq.1")),
    ),
    max_size=4,
)


def encoded(query: list[tuple[str, str]]) -> str:
    return "&".join(
        f"{quote(key, errors='replace')}={quote(text, errors='replace')}" for key, text in query
    )


@settings(max_examples=EXAMPLES * 5, deadline=None)
@given(query=st.one_of(queries.map(encoded), st.binary(max_size=60).map(quote)))
def test_any_query_parses_or_is_refused(query: str) -> None:
    try:
        shape = parse("GET", "/books", query.encode(), {}, b"").shape
    except RestError as error:
        assert error.status < 500 and error.body()
    else:
        assert hash(shape) == hash(shape)


@settings(
    max_examples=EXAMPLES,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(
    path=st.sampled_from(["/books", "/authors", "/long_books", "/rpc/books_longer_than"]),
    query=queries,
    sent=headers,
)
async def test_no_query_gets_a_server_error(
    shelf: Site, path: str, query: list[tuple[str, str]], sent: dict[str, str]
) -> None:
    if path.startswith("/rpc"):
        query = [("pages_min", "1"), *query]
    answer: httpx2.Response = await shelf.http.get(f"{path}?{encoded(query)}", headers=sent)
    told: Any = answer.text
    assert answer.status_code < 500, told
    assert "syntax error at or near" not in told
    assert '"code":"42601"' not in told


@settings(
    max_examples=EXAMPLES,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(
    path=st.sampled_from(["/books", "/publishers", "/shelved_books", "/loose", "/rpc/add"]),
    query=chosen,
    sent=writes,
    body=bodies,
)
async def test_no_write_gets_a_server_error_or_breaks_its_promise(
    shelf: Site,
    path: str,
    query: list[tuple[str, str]],
    sent: dict[str, Any],
    body: str | bytes,
) -> None:
    # Nothing may be affected, so that whatever would be written is undone.
    strict = ["handling=strict", "max-affected=0"] if not path.startswith("/rpc") else []
    headers = {name: sent[name] for name in sent.keys() & {"Accept", "Content-Type"}}
    headers["Prefer"] = ", ".join([*strict, *sent["wishes"]])
    answer = await shelf.http.request(
        sent["method"], f"{path}?{encoded(query)}", content=body, headers=headers
    )
    assert answer.status_code < 500, answer.text
    assert "syntax error at" not in answer.text
    assert [row["id"] for row in await shelf.rows("/books?select=id&order=id")] == [1, 2, 3, 4]
    assert await shelf.rows("/loose") == []
