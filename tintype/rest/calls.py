"""Which function is called?

The one of that name whose arguments are those given, by name; those with defaults may be missing.
Source: docs.postgrest.org/en/stable/references/api/functions.html.
"""

from tintype.rest.catalogue import Catalogue, Column, Function, Relation
from tintype.rest.request import Shape
from tintype.rest.trouble import RestError

VALUE = "value"


def choose(shape: Shape, schema: str, catalogue: Catalogue) -> Function:
    """Return the function; raise PGRST202 when there is none and PGRST203 when several fit."""
    named = catalogue.functions.get((schema, shape.name), [])
    given = set(shape.columns)
    fitting = [function for function in named if _fits(function, given)]
    if not fitting and shape.body != "none":
        fitting = [function for function in named if function.takes_whole_body]
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
    called = f"{schema}.{shape.name}"
    if not shape.columns:
        searched = "without parameters"
        message = f"Could not find the function {called} without parameters in the schema cache"
    else:
        words = ", ".join(shape.columns)
        searched = f"with parameters {words}"
        message = f"Could not find the function {called}({words}) in the schema cache"
    or_whole = " or with a single unnamed json/jsonb parameter" if shape.body != "none" else ""
    raise RestError(
        "PGRST202",
        message,
        f"Searched for the function {called} {searched}{or_whole},"
        " but no matches were found in the schema cache.",
    )


def takes_whole_body(function: Function, shape: Shape) -> bool:
    """Whether the body as it is becomes the function's single argument."""
    return shape.body != "none" and bool(function.takes_whole_body)


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
