"""What does `Prefer` ask for, and what was done of it?

Source: docs.postgrest.org/en/stable/references/api/preferences.html. The first setting of each
word counts; an unknown one is ignored unless `handling=strict`.
"""

from typing import Literal

import msgspec

from tintype.rest.trouble import RestError

AFFECTED_DIGITS_MAX = 18

Returning = Literal["minimal", "representation", "headers-only"]
KNOWN = {
    "return": ("minimal", "representation", "headers-only"),
    "count": ("exact", "planned", "estimated"),
    "resolution": ("merge-duplicates", "ignore-duplicates"),
    "missing": ("default", "null"),
    "handling": ("strict", "lenient"),
    # A caller cannot undo its own request: accepted, and not applied.
    "tx": ("commit", "rollback"),
}


class Preferences(msgspec.Struct, frozen=True):
    """The preferences of one request, as spelled on the wire."""

    returning: str | None = None
    count: str | None = None
    resolution: str | None = None
    missing: str | None = None
    handling: str | None = None
    affected_max: int | None = None

    def applied(self, *names: str) -> str:
        """Return `Preference-Applied` for those of `names` that were asked for."""
        given = {
            "resolution": self.resolution,
            "missing": self.missing,
            "return": self.returning,
            "count": self.count,
            "handling": self.handling,
            "max-affected": None if self.affected_max is None else str(self.affected_max),
        }
        return ", ".join(f"{name}={given[name]}" for name in given if name in names and given[name])


NONE = Preferences()


def parse_preferences(texts: list[str]) -> Preferences:
    """Return the preferences of all `Prefer` headers; raise PGRST122 for unknown ones if strict."""
    if not texts:
        return NONE
    chosen: dict[str, str] = {}
    unknown: list[str] = []
    for word in ",".join(texts).split(","):
        name, _, value = (part.strip() for part in word.partition("="))
        if value in KNOWN.get(name, ()) or (name == "max-affected" and _is_count(value)):
            chosen.setdefault(name, value)
        elif name:
            unknown.append(word.strip())
    strict = chosen.get("handling") == "strict"
    if strict and unknown:
        raise RestError(
            "PGRST122",
            "Invalid preferences given with handling=strict",
            f"Invalid preferences: {', '.join(unknown)}",
        )
    affected = chosen.get("max-affected") if strict else None
    return Preferences(
        chosen.get("return"),
        chosen.get("count"),
        chosen.get("resolution"),
        chosen.get("missing"),
        chosen.get("handling"),
        None if affected is None else int(affected),
    )


def _is_count(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) <= AFFECTED_DIGITS_MAX
