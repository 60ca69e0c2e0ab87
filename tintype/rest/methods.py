"""Which methods does a table, a view or a function answer?

What the database can do with it, whoever asks: privileges are told when it is tried.
Source: docs.postgrest.org/en/stable/references/api/options.html.
"""

from collections.abc import Iterable

from tintype.rest.catalogue import Catalogue, Function, Relation
from tintype.rest.request import target
from tintype.rest.trouble import RestError, told

ROOT = ("OPTIONS", "GET", "HEAD")


def allowed(path: str, schema: str, catalogue: Catalogue) -> tuple[str, ...]:
    """Return the methods of what is at `path`; raise PGRST205 or PGRST202 where nothing is."""
    if not path.strip("/"):
        return ROOT
    name, is_call = target(path)
    if not is_call:
        return of_relation(catalogue.relation(schema, name))
    functions = catalogue.functions.get((schema, name))
    if not functions:
        called = f"{schema}.{told(name)}"
        raise RestError(
            "PGRST202",
            f"Could not find the function {called} in the schema cache",
            f"Searched for the function {called}, but no matches were found in the schema cache.",
        )
    return of_functions(functions)


def of_relation(relation: Relation) -> tuple[str, ...]:
    """Return the methods of a table or view. PUT needs a primary key to go by."""
    writes = relation.writes
    found = list(ROOT)
    if "insert" in writes:
        found.append("POST")
    if relation.primary_key and {"insert", "update"} <= writes:
        found.append("PUT")
    if "update" in writes:
        found.append("PATCH")
    if "delete" in writes:
        found.append("DELETE")
    return tuple(found)


def of_functions(functions: Iterable[Function]) -> tuple[str, ...]:
    """Return the methods of the functions of one name: GET where one promises to change nothing."""
    reads = any(not one.volatile for one in functions)
    return (*ROOT, "POST") if reads else ("OPTIONS", "POST")
