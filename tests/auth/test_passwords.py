"""Hashing is bounded: in memory, in number, and in who may wait for it."""

import asyncio
import threading
from typing import Any

import pytest
from outside_issuer import Clock

from tintype.auth.attempts import Attempts
from tintype.auth.passwords import HASHES_AT_ONCE_MAX, Passwords
from tintype.errors import TooManyRequests
from tintype.rate import Limit


class Slow:
    """Stands in for the hasher, and holds every call until it is let go."""

    def __init__(self) -> None:
        self.gate, self.lock = threading.Event(), threading.Lock()
        self.at_once = self.most = 0

    def hash(self, password: str) -> str:
        with self.lock:
            self.at_once += 1
            self.most = max(self.most, self.at_once)
        self.gate.wait(30)
        with self.lock:
            self.at_once -= 1
        return password


async def test_few_hash_at_once_and_few_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    slow: Any = Slow()
    passwords = Passwords(waiting_max=3)
    monkeypatch.setattr(passwords, "_argon2", slow)
    tasks = [
        asyncio.create_task(passwords.hash(str(number))) for number in range(HASHES_AT_ONCE_MAX + 3)
    ]
    await asyncio.sleep(0)
    with pytest.raises(TooManyRequests) as caught:
        await passwords.hash("one too many")
    assert caught.value.code == "over_request_rate_limit"
    slow.gate.set()
    assert await asyncio.gather(*tasks) == [str(number) for number in range(len(tasks))]
    assert slow.most <= HASHES_AT_ONCE_MAX
    assert await passwords.hash("again") == "again"


async def test_an_unknown_user_costs_one_hash(monkeypatch: pytest.MonkeyPatch) -> None:
    slow: Any = Slow()
    slow.gate.set()
    passwords = Passwords()
    monkeypatch.setattr(passwords, "_argon2", slow)
    assert not (await passwords.verify("x", None)).fits
    assert slow.most == 1


def test_tries_are_counted_by_key_and_come_back_with_time(moved: Clock) -> None:
    attempts = Attempts(Limit(2, 60))
    attempts.take("a")
    attempts.take("a")
    attempts.take("b")
    with pytest.raises(TooManyRequests) as caught:
        attempts.take("a")
    assert caught.value.retry_after_seconds == 30
    moved.ahead_seconds += caught.value.retry_after_seconds
    attempts.take("a")
    attempts.give_back("a")
    attempts.take("a")
    with pytest.raises(TooManyRequests):
        attempts.take("a")


def test_a_try_given_back_never_makes_more_than_there_were() -> None:
    attempts = Attempts(Limit(1, 60))
    attempts.give_back("a")
    attempts.give_back("a")
    attempts.take("a")
    with pytest.raises(TooManyRequests):
        attempts.take("a")


def test_remembered_keys_are_bounded_and_the_oldest_goes() -> None:
    attempts = Attempts(Limit(1, 3600), keys_max=2)
    for key in "abcdefgh":
        attempts.take(key)
    assert len(attempts) == 2
    with pytest.raises(TooManyRequests):
        attempts.take("h")
    attempts.take("a")
