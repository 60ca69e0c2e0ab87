"""A caller who asks too often is told when to come back."""

import pytest

from tintype.errors import TooManyRequests
from tintype.functions.rate import Rate, RateLimit, address_of

NUDGE = RateLimit("nudge", per_second=0.5, burst=3)
OTHER = RateLimit("other", per_second=1, burst=1)


class Clock:
    """A clock that moves when it is told to."""

    seconds = 0.0

    def __call__(self) -> float:
        return self.seconds


def allowed(rate: Rate, key: str, name: str = "nudge") -> bool:
    try:
        rate.take(name, key)
    except TooManyRequests:
        return False
    return True


def test_a_burst_passes_and_the_next_is_told_how_long_to_wait() -> None:
    rate = Rate([NUDGE], now=Clock())
    assert [allowed(rate, "a") for _ in range(4)] == [True, True, True, False]
    with pytest.raises(TooManyRequests) as caught:
        rate.take("nudge", "a")
    assert (caught.value.code, caught.value.retry_after_seconds) == ("rate_limited", 2)


def test_who_waits_as_told_is_let_through() -> None:
    clock = Clock()
    rate = Rate([NUDGE], now=clock)
    for _ in range(10):
        allowed(rate, "a")
    clock.seconds += 2
    assert [allowed(rate, "a"), allowed(rate, "a")] == [True, False]


def test_rest_does_not_save_up_more_than_the_burst() -> None:
    clock = Clock()
    rate = Rate([NUDGE], now=clock)
    allowed(rate, "a")
    clock.seconds += 1_000_000
    assert [allowed(rate, "a") for _ in range(4)] == [True, True, True, False]


def test_callers_and_limits_do_not_touch_one_another() -> None:
    rate = Rate([NUDGE, OTHER], now=Clock())
    assert [allowed(rate, "a", "other"), allowed(rate, "a", "other")] == [True, False]
    assert allowed(rate, "b", "other") and allowed(rate, "a", "nudge")


def test_the_keys_are_bounded_and_the_one_unused_longest_is_forgotten() -> None:
    rate = Rate([OTHER], keys_max=3, now=Clock())
    for key in ("a", "b", "c", "a", "d"):
        allowed(rate, key, "other")
    assert len(rate) == 3
    assert not allowed(rate, "a", "other")
    assert allowed(rate, "b", "other")


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
