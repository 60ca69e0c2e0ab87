"""How does a condition read in SQL?

Each value is a parameter of type text, cast to the type of what it is compared with; `Binder`
gives them their numbers.
"""

from tintype.rest.catalogue import quote
from tintype.rest.filtering import COMPARISONS, PATTERNS, SEARCHES, SETS
from tintype.rest.plan import Expression, Group, Node, Operand, Test


class Binder:
    """Numbers the parameters of one statement; the same one keeps its number.

    `flat`: the root's rows come from a write that has computed its computed columns already.
    """

    def __init__(self) -> None:
        self.parameters: list[int | str] = []
        self.flat = False
        self._numbers: dict[tuple[str, int | str], int] = {}

    def slot(self, slot: int, *, many: bool = False) -> str:
        """Return the parameter for a slot of the request."""
        return self._parameter("slot", slot) + ("[]" if many else "")

    def text(self, constant: str) -> str:
        """Return the parameter for a text that belongs to the shape."""
        return self._parameter("text", constant)

    def _parameter(self, kind: str, source: int | str) -> str:
        number = self._numbers.get((kind, source))
        if number is None:
            self.parameters.append(source)
            number = self._numbers[kind, source] = len(self.parameters)
        return f"${number}::text"


def operand(one: Operand, node: Node, binder: Binder) -> str:
    """Return the column of the node's row, or the place in its JSON."""
    column, here = one.column, f"r{node.number}"
    if column.function is not None and not (binder.flat and node.parent is None):
        value = f"{column.function}({here})"
    else:
        value = f"{here}.{quote(column.name)}"
    if not one.path:
        return value
    if column.base not in ("json", "jsonb"):
        value = f"to_jsonb({value})"
    for step in one.path:
        key = binder.text(step.key)
        if step.key.removeprefix("-").isdecimal():
            key += "::integer"
        value = f"({value} {'->>' if step.text else '->'} {key})"
    return value


def expression(one: Expression, node: Node, binder: Binder) -> str:
    """Return the SQL of a condition or of a tree of them."""
    if isinstance(one, Group):
        joined = f" {one.word} ".join(expression(member, node, binder) for member in one.members)
        return f"not ({joined})" if one.negated else f"({joined})"
    text = _test(one, node, binder)
    return f"not ({text})" if one.condition.negated else text


def _test(one: Test, node: Node, binder: Binder) -> str:
    condition, name = one.condition, one.condition.operator
    if one.child is not None:
        return f"l{one.child.number}.j {condition.state}"
    assert one.operand is not None
    value, kind = operand(one.operand, node, binder), one.operand.type
    if condition.state is not None:
        return f"{value} {condition.state}"
    if name == "in":
        return f"{value} = any({binder.slot(condition.slot, many=True)}::{kind}[])"
    given = binder.slot(condition.slot)
    if name in SEARCHES:
        language = ""
        if condition.language is not None:
            language = f"{binder.text(condition.language)}::regconfig, "
        vector = value if kind == "tsvector" else f"to_tsvector({language}{value})"
        return f"{vector} @@ {SEARCHES[name]}({language}{given})"
    cast = "text" if name in PATTERNS else kind
    if name in SETS:
        return f"{value} {SETS[name]} {given}::{cast}"
    if name == "isdistinct":
        return f"{value} is distinct from {given}::{cast}"
    if condition.quantifier is not None:
        return f"{value} {COMPARISONS[name]} {condition.quantifier}({given}::{cast}[])"
    return f"{value} {COMPARISONS[name]} {given}::{cast}"
