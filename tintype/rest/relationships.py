"""Which rows belong to which, so that one request can ask for both?

Foreign keys say it, both ways, and through a join table whose primary key holds two of them. A
view inherits the keys of the tables its columns come from. A function from a row to rows of
another relation says it too.
"""

import re
from collections.abc import Iterable, Mapping
from typing import Any, TypeAlias

import msgspec

from tintype.rest.trouble import RestError, nearest, told

Key: TypeAlias = tuple[str, str]
Pairs: TypeAlias = tuple[tuple[str, str], ...]

VIEW_DEPTH_MAX = 10


class View(msgspec.Struct, frozen=True):
    """A view's oid, and its query as pg_rewrite keeps it."""

    oid: int
    tree: str


class Junction(msgspec.Struct, frozen=True):
    """The join table between two relations, with the keys' names and (its, their) columns."""

    table: Key
    names: tuple[str, str]
    near: Pairs
    far: Pairs


class Relationship(msgspec.Struct, frozen=True):
    """How rows of one relation find those of `target`; `pairs` are (ours, theirs).

    `holds_key`: ours is the foreign key.
    """

    name: str
    target: Key
    to_one: bool
    pairs: Pairs
    one_to_one: bool = False
    junction: Junction | None = None
    function: str | None = None
    holds_key: bool = False

    @property
    def cardinality(self) -> str:
        """As PostgREST calls it."""
        if self.junction is not None:
            return "many-to-many"
        if self.one_to_one:
            return "one-to-one"
        return "many-to-one" if self.to_one else "one-to-many"


class _ForeignKey(msgspec.Struct, frozen=True):
    name: str
    child: int
    parent: int
    columns: tuple[int, ...]
    target_columns: tuple[int, ...]
    unique: bool


def find(
    relationships: Iterable[Relationship], origin: Key, target: str, hint: str | None
) -> Relationship:
    """Return the one relationship that `target` and `hint` mean; raise PGRST200 or PGRST201.

    `target` is a relation's, constraint's or own foreign-key column's name; `hint` a constraint's,
    a column's or a join table's. A function of the target's name overrides what keys say.
    """
    relationships = list(relationships)
    found = [one for one in relationships if _matches(one, origin, target, hint)]
    found = [one for one in found if one.function is not None] or found
    if len(found) == 1:
        return found[0]
    if not found:
        with_hint = f" using the hint '{told(hint)}'" if hint else ""
        near = nearest(target, sorted({one.target[1] for one in relationships} - {target}))
        raise RestError(
            "PGRST200",
            f"Could not find a relationship between '{origin[1]}' and '{told(target)}'"
            " in the schema cache",
            f"Searched for a foreign key relationship between '{origin[1]}' and '{told(target)}'"
            f"{with_hint} in the schema '{origin[0]}', but no matches were found.",
            f"Perhaps you meant '{near}' instead of '{target}'." if near else None,
        )
    choices = ", ".join(f"'{target}!{_hint_of(one)}'" for one in found)
    raise RestError(
        "PGRST201",
        "Could not embed because more than one relationship was found for"
        f" '{origin[1]}' and '{target}'",
        [_candidate(one, origin) for one in found],
        f"Try changing '{target}' to one of the following: {choices}."
        " Find the desired relationship in the 'details' key.",
    )


def _matches(one: Relationship, origin: Key, target: str, hint: str | None) -> bool:
    if one.target[0] != origin[0]:
        return False
    if one.function is not None:
        return one.name == target and hint is None
    single = one.pairs[0] if len(one.pairs) == 1 else ("", "")
    if hint is None:
        by_key = one.junction is None and one.name == target
        return one.target[1] == target or by_key or (one.to_one and single[0] == target)
    if target not in (one.target[1], one.name):
        return False
    if one.junction is not None:
        return hint in (one.junction.table[1], *one.junction.names)
    # To itself, the column's name alone means the embed's target is the way up, and as a hint down.
    return hint == one.name or (hint in single and not (one.to_one and one.target == origin))


def _hint_of(one: Relationship) -> str:
    return one.junction.table[1] if one.junction else one.name


def _candidate(one: Relationship, origin: Key) -> dict[str, str]:
    def side(columns: Iterable[str]) -> str:
        return f"({', '.join(columns)})"

    if one.junction is not None:
        names, near = one.junction.names, side(column for column, _ in one.junction.near)
        far = side(column for column, _ in one.junction.far)
        how = f"{one.junction.table[1]} using {names[0]}{near} and {names[1]}{far}"
    else:
        ours, theirs = side(pair[0] for pair in one.pairs), side(pair[1] for pair in one.pairs)
        how = f"{one.name} using {origin[1]}{ours} and {one.target[1]}{theirs}"
    return {
        "cardinality": one.cardinality,
        "embedding": f"{origin[1]} with {one.target[1]}",
        "relationship": how,
    }


def derive(
    names: Mapping[int, Key],
    positions: Mapping[tuple[int, int], str],
    keys: Iterable[Mapping[str, Any]],
    faces: "Mapping[int, list[Face]]",
) -> dict[Key, list[Relationship]]:
    """Return each relation's relationships. `names` and `positions` are the relations' own."""
    keys = list(keys)
    unique: dict[int, list[frozenset[int]]] = {}
    primary: dict[int, frozenset[int]] = {}
    for key in keys:
        if key["kind"] in "pu":
            unique.setdefault(key["relation"], []).append(frozenset(key["columns"]))
        if key["kind"] == "p":
            primary[key["relation"]] = frozenset(key["columns"])
    foreign = [
        _ForeignKey(
            key["name"],
            key["relation"],
            key["target"],
            tuple(key["columns"]),
            tuple(key["target_columns"]),
            any(one <= set(key["columns"]) for one in unique.get(key["relation"], ())),
        )
        for key in keys
        if key["kind"] == "f" and key["relation"] in names and key["target"] in names
    ]
    found: dict[Key, list[Relationship]] = {}
    by_child: dict[int, list[_ForeignKey]] = {}
    for one in foreign:
        _add_direct(found, one, faces)
        by_child.setdefault(one.child, []).append(one)
    for table, ends in by_child.items():
        for near in ends:
            for far in ends:
                held = primary.get(table, frozenset())
                if near is not far and {*near.columns, *far.columns} <= held:
                    _add_junction(found, names[table], near, far, faces, positions)
    return found


# A relation as seen under a name: which of a table's columns it shows, and as what.
Face: TypeAlias = tuple[Key, Mapping[int, str]]


def _add_direct(
    found: dict[Key, list[Relationship]], key: _ForeignKey, faces: Mapping[int, list[Face]]
) -> None:
    for child, ours in faces[key.child]:
        for parent, theirs in faces[key.parent]:
            if not set(key.columns) <= ours.keys() or not set(key.target_columns) <= theirs.keys():
                continue
            pairs = tuple(
                (ours[a], theirs[b]) for a, b in zip(key.columns, key.target_columns, strict=True)
            )
            back = tuple((b, a) for a, b in pairs)
            found.setdefault(child, []).append(
                Relationship(key.name, parent, True, pairs, key.unique, holds_key=True)
            )
            found.setdefault(parent, []).append(
                Relationship(key.name, child, key.unique, back, key.unique)
            )


def _add_junction(
    found: dict[Key, list[Relationship]],
    table: Key,
    near: _ForeignKey,
    far: _ForeignKey,
    faces: Mapping[int, list[Face]],
    positions: Mapping[tuple[int, int], str],
) -> None:
    for here, ours in faces[near.parent]:
        for there, theirs in faces[far.parent]:
            if not set(near.target_columns) <= ours.keys():
                continue
            if not set(far.target_columns) <= theirs.keys():
                continue
            junction = Junction(
                table,
                (near.name, far.name),
                tuple(
                    (positions[near.child, a], ours[b])
                    for a, b in zip(near.columns, near.target_columns, strict=True)
                ),
                tuple(
                    (positions[far.child, a], theirs[b])
                    for a, b in zip(far.columns, far.target_columns, strict=True)
                ),
            )
            found.setdefault(here, []).append(
                Relationship(near.name, there, False, (), junction=junction)
            )


def primary_keys(
    keys: Iterable[Mapping[str, Any]], faces: Mapping[int, list[Face]]
) -> dict[Key, tuple[str, ...]]:
    """Return the primary key of each relation, a view's being that of the one it shows whole."""
    found: dict[Key, list[tuple[str, ...]]] = {}
    for key in keys:
        if key["kind"] != "p":
            continue
        for name, shown in faces.get(key["relation"], ()):
            if set(key["columns"]) <= shown.keys():
                found.setdefault(name, []).append(tuple(shown[one] for one in key["columns"]))
    return {name: several[0] for name, several in found.items() if len(several) == 1}


def faces_of(
    names: Mapping[int, Key],
    positions: Mapping[tuple[int, int], str],
    views: Iterable[View],
) -> dict[int, list[Face]]:
    """Return for each table the names it is seen under: its own and those of views on it."""
    own: dict[int, dict[int, str]] = {oid: {} for oid in names}
    for (oid, number), name in positions.items():
        own[oid][number] = name
    faces: dict[int, list[Face]] = {oid: [(names[oid], own[oid])] for oid in names}
    origins = {view.oid: column_origins(view.tree) for view in views}
    for view, columns in origins.items():
        shown: dict[int, dict[int, str]] = {}
        for number, origin in columns.items():
            table, column = _follow(origin, origins)
            shown.setdefault(table, {}).setdefault(column, positions.get((view, number), ""))
        for table, seen in shown.items():
            if table in faces and view in names:
                faces[table].append((names[view], seen))
    return faces


def _follow(
    origin: tuple[int, int], origins: Mapping[int, Mapping[int, tuple[int, int]]]
) -> tuple[int, int]:
    for _ in range(VIEW_DEPTH_MAX):
        if origin[0] not in origins or origin[1] not in origins[origin[0]]:
            break
        origin = origins[origin[0]][origin[1]]
    return origin


_TOKEN = re.compile(r"\\.|[{}()]|:targetList|:(resno|resorigtbl|resorigcol) (\d+)", re.S)


def column_origins(tree: str) -> dict[int, tuple[int, int]]:
    """Return the (relation, column) behind each column of a view, where one column is.

    `tree` is pg_rewrite.ev_action. Postgres notes the origin of every output of a query there
    (`resorigtbl`, `resorigcol`); those of the outermost target list are the view's.
    """
    found: dict[int, tuple[int, int]] = {}
    depth, listed = 0, False
    entry: dict[str, int] = {}
    for token in _TOKEN.finditer(tree):
        text = token[0]
        if text in "{(":
            depth += 1
        elif text in "})":
            depth -= 1
            if listed and depth == 2:
                break
        elif text == ":targetList":
            listed = listed or depth == 2
        elif token[1] and listed and depth == 4:
            entry[token[1]] = int(token[2])
            if token[1] == "resorigcol" and entry["resorigtbl"] and entry["resorigcol"]:
                found[entry["resno"]] = (entry["resorigtbl"], entry["resorigcol"])
    return found
