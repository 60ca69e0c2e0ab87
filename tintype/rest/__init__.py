"""Tables, views and functions of the database over HTTP, in PostgREST's dialect.

A request is taken apart into a `Request` (what is asked, and the values), resolved into a `Plan`
(which relations, columns and functions that means), written as one `Query`, and rendered as a
response. `open_rest` reads the `Catalogue` and returns the ASGI application for `/rest/v1`.

Promised: each request is one transaction as the caller's role with the caller's claims, read-only
for reads, and one statement, cut off after 8 s; row-level security decides what it sees. Every
identifier comes from the catalogue, every value is a bound parameter. A read answers at most 1,000
rows at any level, as hosted Supabase does. An update or delete without a filter is refused. A
write that breaks `single()`, `max-affected` or its own URL is undone. `GET /` describes in OpenAPI
2.0 what the caller's role may use, OPTIONS what a resource can do.

Each limit is a named constant: in `request` the bytes of a query string and the parameters, rows
and offsets; in `grammar` names, items and depth; in `filtering` conditions, lists and patterns; in
`plan` embeds; here the bytes of a body and the seconds of a statement.

Not here: EXPLAIN and GeoJSON (406), `Prefer: tx=rollback` (refused if strict), media types of the
database's own, domain representations, a pre-request function. What differs from PostgREST on
purpose: `docs/decisions/2026-11-20-where-rest-differs-from-postgrest.md`.
"""

from tintype.rest.catalogue import Catalogue
from tintype.rest.http import BODY_BYTES_MAX, Rest, open_rest
from tintype.rest.request import ROWS_MAX

__all__ = ["BODY_BYTES_MAX", "ROWS_MAX", "Catalogue", "Rest", "open_rest"]
