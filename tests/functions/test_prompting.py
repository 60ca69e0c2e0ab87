"""The negative prompt keeps to its rules, and to what CLIP reads."""

import re

from hypothesis import given
from hypothesis import strategies as st

from tintype.functions.prompting import TOKENS_MAX, groups, negative_prompt, tokens_at_most


def counted(text: str) -> int:
    """Return the tokens of a negative prompt by the table's own counts, commas and both marks."""
    terms = text.split(", ")
    return sum(tokens_at_most(term) for term in terms) + len(terms) - 1 + 2


def test_a_portrait_gets_anatomy_and_a_landscape_does_not() -> None:
    assert "bad hands" in negative_prompt("a portrait of a woman")
    assert "bad hands" not in negative_prompt("mountains at dawn")


def test_a_photograph_is_kept_from_looking_drawn() -> None:
    assert "cartoon" in negative_prompt("a realistic photo of a house")
    assert "cartoon" not in negative_prompt("a house")


def test_what_is_asked_for_is_not_forbidden() -> None:
    assert "sketch" not in negative_prompt("a realistic sketch of a house")
    assert "text" not in negative_prompt("a sign with the text HELLO").split(", ")


def test_safety_is_never_left_out() -> None:
    safety = next(group for group in groups() if group.name == "safety")
    for prompt in ("gore and violence", "x " * 3000, ""):
        assert set(safety.terms) <= set(negative_prompt(prompt).split(", "))


def test_what_the_caller_wants_to_avoid_comes_right_after_safety() -> None:
    terms = negative_prompt("a house", wanted="Trees, cars").split(", ")
    assert terms[4:6] == ["trees", "cars"]


def test_a_wish_that_is_too_long_is_left_out_and_the_rest_stays() -> None:
    terms = negative_prompt("a house", wanted=f"{'z' * 200}, cars").split(", ")
    assert "cars" in terms
    assert not any(term.startswith("zz") for term in terms)


def test_the_counts_of_the_table_can_be_right() -> None:
    for group in groups():
        for term, tokens in group.terms.items():
            words = len(re.findall(r"[a-z]+|\d", term))
            assert words <= tokens <= len(term.replace(" ", "")), term


@given(st.text(max_size=300), st.text(max_size=300) | st.none())
def test_it_never_passes_what_clip_reads(prompt: str, wanted: str | None) -> None:
    chosen = negative_prompt(prompt, wanted=wanted)
    assert counted(chosen) <= TOKENS_MAX
    assert chosen == negative_prompt(prompt, wanted=wanted)
