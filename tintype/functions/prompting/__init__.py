"""What should SDXL not draw?

CLIP reads 77 tokens, two of which begin and end the text: what comes after them is cut off unseen.
So a negative prompt is chosen, not piled up, by five rules:

1. Its terms come from `negative.toml`, in groups: safety, quality, anatomy, artefacts, style.
2. Anatomy counts when the prompt is about somebody, style when it asks for a photograph.
3. What the prompt itself asks for is left out: "a cartoon cat" is not told "no cartoon". Safety is
   never left out.
4. What the caller wants to avoid comes first, after safety, as far as it fits.
5. A term that does not fit any more is skipped; a shorter one after it may still fit.

The same prompt always gets the same negative prompt.
"""

import re
import tomllib
from functools import cache
from pathlib import Path

import msgspec

TOKENS_MAX = 77
# The marks that begin and end the text.
MARKS = 2
SAFETY = "safety"
# CLIP's own split of a text into words, before byte-pair encoding.
WORDS = re.compile(r"'s|'t|'re|'ve|'m|'ll|'d|[^\W\d_]+|\d|[^\s\w]+|_+", re.IGNORECASE)


class Group(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Terms for one purpose, with their tokens. `only_for` empty: for every prompt."""

    name: str
    terms: dict[str, int]
    only_for: tuple[str, ...] = ()


@cache
def groups() -> tuple[Group, ...]:
    """Return the groups in order of weight."""
    table = tomllib.loads((Path(__file__).parent / "negative.toml").read_text("utf-8"))
    return msgspec.convert(table["group"], tuple[Group, ...])


def negative_prompt(prompt: str, *, wanted: str | None = None) -> str:
    """Return the negative prompt for `prompt`, of at most `TOKENS_MAX` tokens with both marks.

    `wanted` is what the caller wants to avoid, terms between commas.
    """
    words = {word.lower() for word in WORDS.findall(prompt)}
    chosen: dict[str, int] = {}
    budget = TOKENS_MAX - MARKS
    for term, tokens, is_safety in _candidates(words, wanted):
        asked_for = not is_safety and _words(term) <= words
        cost = tokens + (1 if chosen else 0)
        if term not in chosen and not asked_for and cost <= budget:
            chosen[term] = tokens
            budget -= cost
    return ", ".join(chosen)


def tokens_at_most(text: str) -> int:
    """Return a number of tokens that CLIP's encoding of `text` does not exceed.

    Terms of the table are known exactly. Any other text has at most a token for each byte that is
    no blank: byte-pair encoding starts from single bytes and only ever joins them.
    """
    known = _known().get(text)
    if known is not None:
        return known
    return sum(len(word.encode()) for word in WORDS.findall(text))


def _candidates(words: set[str], wanted: str | None) -> list[tuple[str, int, bool]]:
    found: list[tuple[str, int, bool]] = []
    for group in groups():
        if group.name != SAFETY and group.only_for and not words & set(group.only_for):
            continue
        found += [(term, tokens, group.name == SAFETY) for term, tokens in group.terms.items()]
    own = [term.strip().lower() for term in (wanted or "").split(",")]
    first = [one for one in found if one[2]]
    rest = [one for one in found if not one[2]]
    return [*first, *((term, tokens_at_most(term), True) for term in own if term), *rest]


@cache
def _known() -> dict[str, int]:
    return {term: tokens for group in groups() for term, tokens in group.terms.items()}


def _words(term: str) -> set[str]:
    return {word.lower() for word in WORDS.findall(term)}
