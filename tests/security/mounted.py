"""Which routes does the running app answer? Asked of the app itself, never listed by hand."""

from collections.abc import Iterable
from typing import Any

from starlette.applications import Starlette
from starlette.routing import BaseRoute, Mount, Route, WebSocketRoute

from tests.support.product import Product
from tintype.app import _Doors
from tintype.functions import Runtime, openapi
from tintype.rest import Rest

# What stands before the doors and answers nothing but what CORS and time ask for.
WRAPPINGS = ("Cors", "Patience")


async def mounted(product: Product) -> set[str]:
    """Return every route as `METHOD /path`; a kind of door that is not known here is an error."""
    doors: Any = product.app
    while type(doors).__name__ in WRAPPINGS:
        doors = doors._app
    assert isinstance(doors, _Doors), "something else stands between the network and the doors"
    found: set[str] = set()
    for door in vars(doors).values():
        if isinstance(door, Runtime):
            found |= await _functions(door)
        elif isinstance(door, Rest):
            found |= _tables(door)
        else:
            assert isinstance(door, Starlette), f"a door of a kind not known here: {door!r}"
            found |= set(_routes(door.routes, ""))
    return found


async def _functions(runtime: Runtime) -> set[str]:
    loader = runtime._functions
    # The one name that is the room's own and no function's.
    found = {f"GET /functions/v1/{openapi.NAME}"}
    for name in loader.names:
        function = await loader.find(name)
        assert function is not None
        found |= {f"{method} /functions/v1/{name}" for method in function.methods}
    return found


def _tables(rest: Rest) -> set[str]:
    """Every relation can be read and written, every function called, as far as its grants go."""
    catalogue = rest.catalogue
    found = {"GET /rest/v1/"}
    for (_, name), relation in catalogue._relations.items():
        assert relation.kind != "record", name
        verbs = ("GET", "POST", "PATCH", "PUT", "DELETE")
        found |= {f"{verb} /rest/v1/{name}" for verb in verbs}
    for _, name in catalogue.functions:
        found |= {f"{verb} /rest/v1/rpc/{name}" for verb in ("GET", "POST")}
    return found


def _routes(routes: Iterable[BaseRoute], prefix: str) -> Iterable[str]:
    for route in routes:
        if isinstance(route, Mount):
            assert route.routes, f"{route.path} mounts an app whose routes are not known here"
            yield from _routes(route.routes, prefix + route.path)
        elif isinstance(route, WebSocketRoute):
            yield f"WEBSOCKET {prefix}{route.path}"
        else:
            assert isinstance(route, Route), f"a route of a kind not known here: {route!r}"
            # What a GET tells, a HEAD tells too; the walk asks both. OPTIONS asks for no rights.
            assert route.methods, f"{route.path} answers any method"
            for method in route.methods - {"HEAD", "OPTIONS"} or {"OPTIONS"}:
                yield f"{method} {prefix}{route.path}"
            if "HEAD" in route.methods and "GET" not in route.methods:
                yield f"HEAD {prefix}{route.path}"
