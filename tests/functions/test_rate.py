"""A caller who asks too often is told when to come back."""

import pytest

from tintype import clock
from tintype.errors import TooManyRequests
from tintype.functions.rate import Rate, RateLimit
from tintype.rate import Bucket, Buckets, Limit, address_of

NUDGE = Limit(3, seconds=6)


class Clock:
    """A clock that moves when it is told to."""

    seconds = 1_000.0

    def __call__(self) -> float:
        return self.seconds


@pytest.fixture(autouse=True)
def moved(monkeypatch: pytest.MonkeyPatch) -> Clock:
    moved = Clock()
    monkeypatch.setattr(clock, "monotonic_seconds", moved)
    return moved


def test_a_burst_passes_and_the_next_is_told_how_long_to_wait() -> None:
    bucket = Bucket(NUDGE)
    assert [bucket.take() for _ in range(5)] == [0, 0, 0, 2, 2]


def test_who_waits_as_told_is_let_through(moved: Clock) -> None:
    bucket = Bucket(NUDGE)
    waits = [bucket.take() for _ in range(10)]
    moved.seconds += waits[-1]
    assert [bucket.take(), bucket.take()] == [0, 2]


def test_rest_does_not_save_up_more_than_the_burst(moved: Clock) -> None:
    bucket = Bucket(NUDGE)
    bucket.take()
    moved.seconds += 1_000_000
    assert [bucket.take() for _ in range(4)] == [0, 0, 0, 2]


def test_what_is_given_back_never_makes_more_than_there_were() -> None:
    bucket = Bucket(NUDGE)
    bucket.give_back()
    assert [bucket.take() for _ in range(4)] == [0, 0, 0, 2]
    bucket.give_back()
    assert [bucket.take(), bucket.take()] == [0, 2]


def test_giving_back_for_a_caller_that_is_not_known_remembers_nobody() -> None:
    buckets = Buckets(NUDGE)
    buckets.give_back("a")
    assert len(buckets) == 0


def test_callers_do_not_touch_one_another() -> None:
    buckets = Buckets(Limit(1, seconds=1))
    assert [buckets.take("a"), buckets.take("a"), buckets.take("b")] == [0, 1, 0]


def test_a_flood_of_new_callers_pushes_out_its_own_and_not_one_who_is_held_back() -> None:
    buckets = Buckets(NUDGE, keys_max=16)
    for _ in range(3):
        buckets.take("held back")
    for number in range(1_000):
        assert buckets.take(f"new {number}") == 0
        assert len(buckets) <= 16
    assert buckets.take("held back") == 2


def test_who_has_rested_is_forgotten_before_who_has_not(moved: Clock) -> None:
    buckets = Buckets(Limit(1, seconds=10), keys_max=2)
    buckets.take("rested")
    moved.seconds += 10
    buckets.take("busy")
    buckets.take("new")
    assert (len(buckets), buckets.take("busy")) == (2, 10)


def test_a_new_caller_is_counted_from_the_first_time_however_busy_the_others_are() -> None:
    buckets = Buckets(NUDGE, keys_max=8)
    for number in range(8):
        for _ in range(3):
            buckets.take(f"busy {number}")
    assert [buckets.take("new") for _ in range(4)] == [0, 0, 0, 2]


def test_a_function_refuses_in_words_and_each_limit_counts_for_itself() -> None:
    rate = Rate([RateLimit("nudge", NUDGE), RateLimit("other", Limit(1, seconds=1))])
    rate.take("other", "a")
    for _ in range(3):
        rate.take("nudge", "a")
    with pytest.raises(TooManyRequests) as caught:
        rate.take("nudge", "a")
    assert (caught.value.code, caught.value.retry_after_seconds) == ("rate_limited", 2)


@pytest.mark.parametrize(
    ("client", "key"),
    [
        (("203.0.113.9", 80), "203.0.113.9"),
        (("2001:db8:1:2:3:4:5:6", 80), "2001:db8:1:2::/64"),
        (("2001:db8:1:2::9%eth0", 80), "2001:db8:1:2::/64"),
        (("::ffff:203.0.113.9", 80), "203.0.113.9"),
        (("unix:socket", 0), "unix:socket"),
        (None, ""),
    ],
)
def test_an_address_is_a_key(client: tuple[str, int] | None, key: str) -> None:
    assert address_of({"type": "http", "client": client}) == key
