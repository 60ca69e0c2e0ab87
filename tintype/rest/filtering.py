"""Which rows are meant?

A filter is `operator.value` under the key of a column, logic a tree of them in brackets.
Grammar: docs.postgrest.org/en/stable/references/api/tables_views.html, "Operators".
"""

import re

from tintype.rest.grammar import (
    DEPTH_MAX,
    QUOTED,
    Condition,
    Field,
    Logic,
    Scanner,
    unescaped,
)
from tintype.rest.trouble import unparsed

CONDITIONS_MAX = 200
VALUES_IN_LIST_MAX = 10_000
# A regular expression costs more than its length; the statement's time is cut off as well.
PATTERN_CHARACTERS_MAX = 1_000

COMPARISONS = {
    "eq": "=",
    "neq": "<>",
    "gt": ">",
    "gte": ">=",
    "lt": "<",
    "lte": "<=",
    "like": "like",
    "ilike": "ilike",
    "match": "~",
    "imatch": "~*",
}
PATTERNS = frozenset(("like", "ilike", "match", "imatch"))
SETS = {
    "cs": "@>",
    "cd": "<@",
    "ov": "&&",
    "sl": "<<",
    "sr": ">>",
    "nxr": "&<",
    "nxl": "&>",
    "adj": "-|-",
}
SEARCHES = {
    "fts": "to_tsquery",
    "plfts": "plainto_tsquery",
    "phfts": "phraseto_tsquery",
    "wfts": "websearch_to_tsquery",
}
STATES = {
    "null": "is null",
    "not_null": "is not null",
    "true": "is true",
    "false": "is false",
    "unknown": "is unknown",
}
OPERATORS = frozenset((*COMPARISONS, *SETS, *SEARCHES, "in", "is", "isdistinct"))
QUANTIFIED = frozenset(COMPARISONS) - {"neq"}
_OPERATION = re.compile(r"(not\.)?([a-z]+)(?:\(([^()]{0,63})\))?\.", re.S)


def is_filter(text: str) -> bool:
    """Whether the value of a parameter reads as a filter and not as an argument."""
    found = _OPERATION.match(text)
    return found is not None and found[2] in OPERATORS


def parse_condition(field: Field, text: str, values: list[str | list[str]]) -> Condition:
    """Return the test `text` makes of `field`; its value goes to `values`. Raises PGRST100."""
    scanner = Scanner("filter", text)
    condition = _condition(scanner, field, values, nested=False)
    scanner.end()
    return condition


def parse_logic(
    word: str, text: str, values: list[str | list[str]], *, negated: bool = False
) -> Logic:
    """Return the tree of `and=(…)` or `or=(…)`; its values go to `values`. Raises PGRST100."""
    scanner = Scanner("logic tree", text)
    start = len(values)
    logic = Logic(word, _members(scanner, values, 0), negated)
    scanner.end()
    if len(values) - start > CONDITIONS_MAX:
        raise scanner.failure(f"at most {CONDITIONS_MAX} conditions")
    return logic


def _members(
    scanner: Scanner, values: list[str | list[str]], depth: int
) -> tuple[Condition | Logic, ...]:
    if depth > DEPTH_MAX:
        raise scanner.failure(f"at most {DEPTH_MAX} levels")
    scanner.need("(")
    members = [_member(scanner, values, depth)]
    while scanner.take(","):
        members.append(_member(scanner, values, depth))
        if len(members) > CONDITIONS_MAX:
            raise scanner.failure(f"at most {CONDITIONS_MAX} conditions")
    scanner.need(")")
    return tuple(members)


_GROUP = re.compile(r"(not\.)?(and|or)(?=\()")


def _member(scanner: Scanner, values: list[str | list[str]], depth: int) -> Condition | Logic:
    scanner.skip()
    if group := scanner.match(_GROUP):
        return Logic(group[2], _members(scanner, values, depth + 1), group[1] is not None)
    field = scanner.field()
    scanner.need(".")
    condition = _condition(scanner, field, values, nested=True)
    scanner.skip()
    return condition


_WORDS = "not or operator (eq, gt, ...)"
_STATE = re.compile(r"not_null|null|true|false|unknown", re.I)
_BARE = re.compile(r"[^,)]*")
_BRACES = re.compile(r"\{(?:[^{}\"]|\"(?:[^\"\\]|\\.)*\"|\{[^{}]*\})*\}", re.S)
_ENTRY = re.compile(r'"((?:[^"\\]|\\.)*)"(?=[,)])|([^,)]*)', re.S)


def _condition(
    scanner: Scanner, field: Field, values: list[str | list[str]], *, nested: bool
) -> Condition:
    found = scanner.match(_OPERATION)
    if found is None or found[2] not in OPERATORS:
        scanner.at = found.start() if found else scanner.at
        raise scanner.failure(_WORDS)
    negated, operator, modifier = found[1] is not None, found[2], found[3]
    quantifier, language = None, None
    if modifier is not None:
        if operator in SEARCHES:
            language = modifier
        elif operator in QUANTIFIED and modifier in ("any", "all"):
            quantifier = modifier
        else:
            raise scanner.failure("any or all after a comparison, a language after a search")
    if operator == "is":
        state = scanner.match(_STATE)
        if state is None:
            raise scanner.failure("null, not_null, true, false or unknown")
        return Condition(field, "is", negated=negated, state=STATES[state[0].lower()])
    value: str | list[str] = _list(scanner) if operator == "in" else _value(scanner, nested)
    if operator in ("match", "imatch") and len(value) > PATTERN_CHARACTERS_MAX:
        expected = f"a pattern of at most {PATTERN_CHARACTERS_MAX} characters"
        raise unparsed("filter", "…", 0, expected)
    if operator in ("like", "ilike") and isinstance(value, str):
        value = value.replace("*", "%")
    values.append(value)
    return Condition(field, operator, len(values) - 1, negated, quantifier, language)


def _value(scanner: Scanner, nested: bool) -> str:
    if not nested:
        rest = scanner.text[scanner.at :]
        scanner.at = len(scanner.text)
        return rest
    at = scanner.at
    if (quoted := scanner.match(QUOTED)) and scanner.text[scanner.at : scanner.at + 1] in ",)":
        return unescaped(quoted[1])
    scanner.at = at
    if braces := scanner.match(_BRACES):
        return braces[0]
    bare = scanner.match(_BARE)
    return bare[0] if bare else ""


def _list(scanner: Scanner) -> list[str]:
    scanner.need("(")
    if scanner.take(")"):
        return []
    entries: list[str] = []
    while True:
        found = scanner.match(_ENTRY)
        if found is None:
            raise scanner.failure("a value")
        quoted = found[1]
        entries.append(found[2] if quoted is None else unescaped(quoted))
        if len(entries) > VALUES_IN_LIST_MAX:
            raise scanner.failure(f"at most {VALUES_IN_LIST_MAX} values")
        if not scanner.take(","):
            break
    scanner.need(")")
    return entries
