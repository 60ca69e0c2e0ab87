"""Which function is called?

The one of that name whose arguments are those given, by name; those with defaults may be missing.
Source: docs.postgrest.org/en/stable/references/api/functions.html.
"""

from tintype.rest.catalogue import Catalogue, Column, Function, Relation
from tintype.rest.payload import RAW_TYPES
from tintype.rest.request import Shape
from tintype.rest.trouble import RestError, nearest, told

VALUE = "value"


def choose(shape: Shape, schema: str, catalogue: Catalogue) -> Function:
    """Return the function; raise PGRST202 when there is none and PGRST203 when several fit."""
    named = catalogue.functions.get((schema, shape.name), [])
    given = set(shape.columns)
    fitting = [function for function in named if _fits(function, given)]
    raw = shape.body in RAW_TYPES.values()
    if raw or (not fitting and shape.body != "none"):
        fitting = [function for function in named if takes_whole_body(function, shape)]
    if len(fitting) == 1:
        return fitting[0]
    if fitting:
        raise RestError(
            "PGRST203",
            "Could not choose the best candidate function between: "
            + ", ".join(_signature(function) for function in fitting),
            hint="Try renaming the parameters or the function itself in the database"
            " so function overloading can be resolved",
        )
    raise _not_found(shape, schema, catalogue, named)


def takes_whole_body(function: Function, shape: Shape) -> bool:
    """Whether the body as it is becomes the function's single argument."""
    kind = function.takes_whole_body
    if shape.body in ("object", "array"):
        return kind in ("json", "jsonb")
    return kind is not None and kind == shape.body


def _not_found(shape: Shape, schema: str, catalogue: Catalogue, named: list[Function]) -> RestError:
    called = f"{schema}.{told(shape.name)}"
    raw = shape.body in RAW_TYPES.values()
    if raw:
        message = f"Could not find the function {called} in the schema cache"
        searched = f"with a single unnamed {shape.body} parameter"
    elif not shape.columns:
        message = f"Could not find the function {called} without parameters in the schema cache"
        searched = "without parameters"
    else:
        words = told(", ".join(shape.columns))
        message = f"Could not find the function {called}({words}) in the schema cache"
        searched = f"with parameter{'s' if len(shape.columns) > 1 else ''} {words}"
    if shape.body != "none" and not raw:
        searched += " or with a single unnamed json/jsonb parameter"
    return RestError(
        "PGRST202",
        message,
        f"Searched for the function {called} {searched},"
        " but no matches were found in the schema cache.",
        _nearest(shape, schema, catalogue, named),
    )


def _nearest(shape: Shape, schema: str, catalogue: Catalogue, named: list[Function]) -> str | None:
    """Return a hint at what the caller may have meant."""
    if named:
        choices = [", ".join(one.name for one in each.arguments) for each in named]
        found = nearest(", ".join(shape.columns), choices)
        signature = "" if found is None else f"{shape.name}({found})"
    else:
        names = (name for owner, name in catalogue.functions if owner == schema)
        signature = nearest(shape.name, names) or ""
    return f"Perhaps you meant to call the function {schema}.{signature}" if signature else None


def scalar(function: Function) -> Relation:
    """Return the relation of one column that a scalar function stands for."""
    return Relation(
        function.schema, function.name, "scalar", {VALUE: Column(VALUE, "text", "text")}
    )


def _fits(function: Function, given: set[str]) -> bool:
    names = {argument.name for argument in function.arguments}
    if "" in names:
        return False
    required = {argument.name for argument in function.arguments if argument.required}
    return given <= names and required <= given


def _signature(function: Function) -> str:
    arguments = ", ".join(f"{one.name} => {one.type}" for one in function.arguments)
    return f"{function.schema}.{function.name}({arguments})"
