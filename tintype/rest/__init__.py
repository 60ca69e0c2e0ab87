"""Tables, views and functions of the database over HTTP, in PostgREST's dialect.

A request is taken apart into a `Request` (what is asked, and the values), resolved into a `Plan`
(which relations, columns and functions that means), written as one `Query`, and rendered as a
response. `open_rest` reads the `Catalogue` and returns the ASGI application for `/rest/v1`.

Promised: each request is one transaction as the caller's role with the caller's claims, read-only
for reads, and one statement, cut off after 8 s; row-level security decides what it sees. Every
identifier comes from the catalogue, every value is a bound parameter. A read answers at most 1,000
rows at any level, as hosted Supabase does. An update or delete without a filter is refused. A
write that breaks `single()` or `max-affected` is undone. Not here: PUT, OpenAPI, EXPLAIN,
GeoJSON, and the preferences `tx` (accepted, not applied) and `timezone`.
"""

from tintype.rest.catalogue import Catalogue
from tintype.rest.http import BODY_BYTES_MAX, Rest, open_rest
from tintype.rest.request import ROWS_MAX

__all__ = ["BODY_BYTES_MAX", "ROWS_MAX", "Catalogue", "Rest", "open_rest"]
