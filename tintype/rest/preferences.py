"""What does `Prefer` ask for, and what was done of it?

Source: docs.postgrest.org/en/stable/references/api/preferences.html. The first setting of each
word counts; an unknown one is ignored unless `handling=strict`.
"""

from typing import Literal

import msgspec

from tintype.rest.trouble import RestError

AFFECTED_DIGITS_MAX = 18
TIMEZONE_CHARACTERS_MAX = 64

Returning = Literal["minimal", "representation", "headers-only"]
KNOWN = {
    "return": ("minimal", "representation", "headers-only"),
    "count": ("exact", "planned", "estimated"),
    "resolution": ("merge-duplicates", "ignore-duplicates"),
    "missing": ("default", "null"),
    "handling": ("strict", "lenient"),
    # A request ends in a commit. Who asks for a rollback and is strict about it hears so.
    "tx": ("commit",),
}


class Preferences(msgspec.Struct, frozen=True):
    """The preferences of one request, as spelled on the wire."""

    returning: str | None = None
    count: str | None = None
    resolution: str | None = None
    missing: str | None = None
    handling: str | None = None
    affected_max: int | None = None
    timezone: str | None = None

    def applied(self, *names: str) -> str:
        """Return `Preference-Applied` for those of `names` that were asked for."""
        given = {
            "resolution": self.resolution,
            "missing": self.missing,
            "return": self.returning,
            "count": self.count,
            "handling": self.handling,
            "timezone": self.timezone,
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
        if value in KNOWN.get(name, ()) or _is_free(name, value):
            chosen.setdefault(name, value)
        elif name:
            unknown.append(word.strip())
    strict = chosen.get("handling") == "strict"
    if strict and unknown:
        raise unwelcome(", ".join(unknown))
    affected = chosen.get("max-affected") if strict else None
    return Preferences(
        chosen.get("return"),
        chosen.get("count"),
        chosen.get("resolution"),
        chosen.get("missing"),
        chosen.get("handling"),
        None if affected is None else int(affected),
        chosen.get("timezone"),
    )


def unwelcome(preferences: str) -> RestError:
    """Return PGRST122 for `preferences` that cannot be honoured."""
    return RestError(
        "PGRST122",
        "Invalid preferences given with handling=strict",
        f"Invalid preferences: {preferences}",
    )


def _is_free(name: str, value: str) -> bool:
    """Whether a preference that takes any number, or any zone's name, has one."""
    if name == "max-affected":
        return value.isascii() and value.isdigit() and len(value) <= AFFECTED_DIGITS_MAX
    return name == "timezone" and 0 < len(value) <= TIMEZONE_CHARACTERS_MAX and value.isascii()
