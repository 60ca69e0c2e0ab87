"""What does a query string ask for?

`select`, `order`, filters and logic are read into small frozen trees that hold names, never
values: each value goes to a list, and the tree keeps its place (`slot`). Two requests that differ
in values alone therefore have equal trees, and one plan serves both. Filters are read in
`filtering`.

Grammar: docs.postgrest.org/en/stable/references/api/tables_views.html and resource_embedding.html.
"""

import re
from functools import lru_cache
from typing import TypeAlias

import msgspec

from tintype.rest.trouble import RestError, unparsed

DEPTH_MAX = 10
ITEMS_MAX = 500
TEXT_CHARACTERS_MAX = 16_384
TEXTS_REMEMBERED_MAX = 512

AGGREGATES = frozenset(("sum", "avg", "count", "min", "max"))

_NAME = re.compile(r"[\w$]+(?:[ -](?!>)[\w$]+)*")
QUOTED = re.compile(r'"((?:[^"\\]|\\.)*)"', re.S)
_ESCAPED = re.compile(r"\\(.)", re.S)
_KEY = re.compile(r"(?:[^\s\"(),.:>-]|-(?!>))+")
_CAST = re.compile(r"[A-Za-z_][\w ]*(?:\[\])?")
# What may be an output's name without being one in the database.
_LABEL = re.compile(r"[\w$ .-]+")
LABEL_BYTES_MAX = 63


class Step(msgspec.Struct, frozen=True):
    """`->key` or, as text, `->>key`."""

    key: str
    text: bool


class Field(msgspec.Struct, frozen=True):
    """A column, or a place in its JSON."""

    name: str
    path: tuple[Step, ...] = ()

    @property
    def label(self) -> str:
        """The output's name without an alias."""
        keys = [step.key for step in self.path if not _is_index(step.key)]
        return keys[-1] if keys else self.name


class Star(msgspec.Struct, frozen=True, tag=True):
    """All columns."""


class Pick(msgspec.Struct, frozen=True, tag=True):
    """One column, cast or aggregated. No field: `count()`."""

    field: Field | None
    label: str
    cast: str | None = None
    aggregate: str | None = None
    aggregate_cast: str | None = None


class Embed(msgspec.Struct, frozen=True, tag=True):
    """Rows of another relation, or with `spread` their columns among ours."""

    target: str
    label: str
    items: "tuple[Item, ...]"
    hint: str | None = None
    inner: bool = False
    spread: bool = False


Item: TypeAlias = Star | Pick | Embed


class Condition(msgspec.Struct, frozen=True):
    """A test of a field against the value at `slot` (-1: none, `state` says it all)."""

    field: Field
    operator: str
    slot: int = -1
    negated: bool = False
    quantifier: str | None = None
    language: str | None = None
    state: str | None = None


class Logic(msgspec.Struct, frozen=True):
    """`and` or `or` of its members."""

    word: str
    members: "tuple[Condition | Logic, ...]"
    negated: bool = False


class Filter(msgspec.Struct, frozen=True):
    """A test of the rows of the embed at `path` (none: of the relation itself)."""

    path: tuple[str, ...]
    test: Condition | Logic


class Term(msgspec.Struct, frozen=True):
    """One term of an order; `relation` where it is a to-one embed's."""

    field: Field
    descending: bool = False
    nulls: str | None = None
    relation: str | None = None


class Scanner:
    """Reads `text` from the left; every failure says where it stopped and what would have fit."""

    def __init__(self, what: str, text: str) -> None:
        self.what, self.text, self.at = what, text, 0

    def take(self, literal: str) -> bool:
        if self.text.startswith(literal, self.at):
            self.at += len(literal)
            return True
        return False

    def need(self, literal: str) -> None:
        if not self.take(literal):
            raise self.failure(f'"{literal}"')

    def match(self, pattern: re.Pattern[str]) -> re.Match[str] | None:
        found = pattern.match(self.text, self.at)
        if found is not None:
            self.at = found.end()
        return found

    def name(self) -> str:
        if quoted := self.match(QUOTED):
            return unescaped(quoted[1])
        if plain := self.match(_NAME):
            return plain[0]
        raise self.failure("field name (* or [a..z0..9_$])")

    def label(self) -> str:
        at = self.at
        name = self.name()
        if not is_label(name):
            self.at = at
            raise self.failure("an alias of letters, digits, space, _ $ . - and at most 63 bytes")
        return name

    def field(self) -> Field:
        return Field(self.name(), self.json_path())

    def json_path(self) -> tuple[Step, ...]:
        steps: list[Step] = []
        while self.take("->"):
            text = self.take(">")
            if quoted := self.match(QUOTED):
                key = unescaped(quoted[1])
            elif plain := self.match(_KEY):
                key = plain[0]
            else:
                raise self.failure("any non reserved character different from: .,>()")
            steps.append(Step(key, text))
            if len(steps) > DEPTH_MAX:
                raise self.failure(f"at most {DEPTH_MAX} arrows")
        return tuple(steps)

    def skip(self) -> None:
        while self.take(" "):
            pass

    def end(self) -> None:
        if self.at < len(self.text):
            raise self.failure("end of input")

    def failure(self, expected: str) -> RestError:
        return unparsed(self.what, self.text, self.at, expected)


def unescaped(text: str) -> str:
    """Return what stood between quotation marks without its backslashes."""
    return _ESCAPED.sub(r"\1", text)


def is_label(text: str) -> bool:
    """Whether `text` may name an output that is not a column."""
    return _LABEL.fullmatch(text) is not None and len(text.encode()) <= LABEL_BYTES_MAX


def _is_index(key: str) -> bool:
    return key.removeprefix("-").isdecimal()


@lru_cache(maxsize=TEXTS_REMEMBERED_MAX)
def parse_select(text: str) -> tuple[Item, ...]:
    """Return the items of `select=`; blank selects everything. Raises PGRST100."""
    scanner = Scanner("select parameter", text)
    if not text:
        return (Star(),)
    _check_length(scanner)
    items = _items(scanner, 0)
    scanner.end()
    if _count(items) > ITEMS_MAX:
        raise scanner.failure(f"at most {ITEMS_MAX} items")
    return items


def _check_length(scanner: Scanner) -> None:
    if len(scanner.text) > TEXT_CHARACTERS_MAX:
        raise unparsed(scanner.what, "…", 0, f"at most {TEXT_CHARACTERS_MAX} characters")


def _count(items: tuple[Item, ...]) -> int:
    return sum(1 + (_count(item.items) if isinstance(item, Embed) else 0) for item in items)


def _items(scanner: Scanner, depth: int) -> tuple[Item, ...]:
    if depth > DEPTH_MAX:
        raise scanner.failure(f"at most {DEPTH_MAX} levels")
    items = [_spaced_item(scanner, depth)]
    while scanner.take(","):
        items.append(_spaced_item(scanner, depth))
    return tuple(items)


def _spaced_item(scanner: Scanner, depth: int) -> Item:
    scanner.skip()
    item = _item(scanner, depth)
    scanner.skip()
    return item


def _item(scanner: Scanner, depth: int) -> Item:
    if scanner.take("..."):
        target = scanner.name()
        return _embed(scanner, depth, target, target, spread=True)
    if scanner.take("*"):
        return Star()
    start = scanner.at
    label, name = None, scanner.name()
    if not scanner.text.startswith("::", scanner.at) and scanner.take(":"):
        scanner.at = start
        label = scanner.label()
        scanner.need(":")
        name = scanner.name()
    following = scanner.text[scanner.at : scanner.at + 1]
    if name == "count" and scanner.take("()"):
        return Pick(None, label or name, aggregate=name, aggregate_cast=_cast(scanner))
    if following in ("!", "("):
        return _embed(scanner, depth, name, label or name, spread=False)
    field = Field(name, scanner.json_path())
    cast = _cast(scanner)
    aggregate, aggregate_cast = None, None
    if scanner.take("."):
        aggregate = scanner.name()
        if aggregate not in AGGREGATES:
            raise scanner.failure("sum, avg, count, min or max")
        scanner.need("()")
        aggregate_cast = _cast(scanner)
    label = label or (aggregate if aggregate else field.label)
    if field.path and not is_label(label):
        raise scanner.failure("an alias before this path")
    return Pick(field, label, cast, aggregate, aggregate_cast)


def _cast(scanner: Scanner) -> str | None:
    if not scanner.take("::"):
        return None
    found = scanner.match(_CAST)
    if found is None:
        raise scanner.failure("a type")
    return found[0].strip().lower()


def _embed(scanner: Scanner, depth: int, target: str, label: str, *, spread: bool) -> Embed:
    hint, inner = None, False
    while scanner.take("!"):
        word = scanner.name()
        if word == "inner":
            inner = True
        elif word != "left":
            hint = word
    scanner.need("(")
    items = () if scanner.text.startswith(")", scanner.at) else _items(scanner, depth + 1)
    scanner.need(")")
    return Embed(target, label, items, hint, inner, spread)


@lru_cache(maxsize=TEXTS_REMEMBERED_MAX)
def parse_order(text: str) -> tuple[Term, ...]:
    """Return the terms of `order=`. Raises PGRST100."""
    scanner = Scanner("order", text)
    _check_length(scanner)
    terms = [_term(scanner)]
    while scanner.take(","):
        terms.append(_term(scanner))
        if len(terms) > ITEMS_MAX:
            raise scanner.failure(f"at most {ITEMS_MAX} terms")
    scanner.end()
    return tuple(terms)


def _term(scanner: Scanner) -> Term:
    scanner.skip()
    relation, field = None, scanner.field()
    if not field.path and scanner.take("("):
        relation, field = field.name, scanner.field()
        scanner.need(")")
    descending, nulls = False, None
    if scanner.take(".desc"):
        descending = True
    else:
        scanner.take(".asc")
    for word in ("nullsfirst", "nullslast"):
        if scanner.take(f".{word}"):
            nulls = word.replace("nulls", "nulls ")
            break
    scanner.skip()
    if scanner.at < len(scanner.text) and scanner.text[scanner.at] != ",":
        raise scanner.failure('"asc", "desc", "nullsfirst" or "nullslast"')
    return Term(field, descending, nulls, relation)


@lru_cache(maxsize=TEXTS_REMEMBERED_MAX)
def parse_names(text: str) -> tuple[str, ...]:
    """Return the names of `columns=` or `on_conflict=`, each once. Raises PGRST100."""
    scanner = Scanner("columns parameter", text)
    _check_length(scanner)
    names = [_spaced_name(scanner)]
    while scanner.take(","):
        names.append(_spaced_name(scanner))
    scanner.end()
    return tuple(dict.fromkeys(names))


def _spaced_name(scanner: Scanner) -> str:
    scanner.skip()
    name = scanner.name()
    scanner.skip()
    return name


@lru_cache(maxsize=TEXTS_REMEMBERED_MAX)
def parse_key(text: str) -> tuple[tuple[str, ...], Field]:
    """Return the embeds a filter's key goes through, and the field it ends at. Raises PGRST100."""
    scanner = Scanner("filter key", text)
    _check_length(scanner)
    names = [scanner.name()]
    while scanner.take("."):
        names.append(scanner.name())
        if len(names) > DEPTH_MAX:
            raise scanner.failure(f"at most {DEPTH_MAX} names")
    field = Field(names[-1], scanner.json_path())
    scanner.end()
    return tuple(names[:-1]), field
