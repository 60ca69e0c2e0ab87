"""Is this the password, and may it be one?

New hashes are Argon2id with the parameters that OWASP names. bcrypt hashes, as Supabase's Auth
makes them, are accepted and replaced at the next sign-in. Hashing runs in threads, few at once:
each takes `MEMORY_KIB`.
https://cheatsheetseries.owasp.org/cheatsheets/Password_Storage_Cheat_Sheet.html
"""

import asyncio
import re
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import TypeVar

import argon2
import msgspec
from pwdlib.hashers.argon2 import Argon2Hasher
from pwdlib.hashers.bcrypt import BcryptHasher

from tintype.auth.settings import Settings
from tintype.errors import InvalidRequest, TooManyRequests, Unprocessable

MEMORY_KIB = 19 * 1024
PASSES = 2
HASHES_AT_ONCE_MAX = 2
HASHES_WAITING_MAX = 128
RETRY_SECONDS = 5
PASSWORD_BYTES_MAX = 1024
# bcrypt never looked further.
BCRYPT_BYTES_MAX = 72
# What a hash made elsewhere may cost to check.
BCRYPT_COST_MAX = 14
FOREIGN_MEMORY_KIB_MAX = 64 * 1024
FOREIGN_PASSES_MAX = 10
FOREIGN_LANES_MAX = 4
_BCRYPT = re.compile(r"\$2[aby]\$(\d\d)\$[./A-Za-z0-9]{53}")
T = TypeVar("T")


class Verdict(msgspec.Struct, frozen=True):
    """Whether a password fits; `is_outdated`: its hash should be replaced by a new one."""

    fits: bool
    is_outdated: bool = False


class Passwords:
    """Hashes and checks. Used from one event loop."""

    def __init__(
        self, *, at_once_max: int = HASHES_AT_ONCE_MAX, waiting_max: int = HASHES_WAITING_MAX
    ) -> None:
        self._argon2 = Argon2Hasher(time_cost=PASSES, memory_cost=MEMORY_KIB, parallelism=1)
        self._bcrypt = BcryptHasher()
        self._turns = asyncio.Semaphore(at_once_max)
        self._under_way_max = at_once_max + waiting_max
        self._under_way = 0

    async def hash(self, password: str) -> str:
        """Return a new hash. Raises `TooManyRequests` when too many wait for one already."""
        return await self._work(lambda: self._argon2.hash(password))

    async def verify(self, password: str, known: str | None) -> Verdict:
        """Return whether `password` made the hash `known`; None and what is no hash never fit.

        The time tells nothing of a user who is not there: None costs as much as a hash of ours.
        Raises `TooManyRequests` when too many wait already.
        """
        if len(password.encode()) > PASSWORD_BYTES_MAX:
            return Verdict(False)
        return await self._work(lambda: self._verify(password, known))

    def _verify(self, password: str, known: str | None) -> Verdict:
        if known is None or not is_hash(known):
            self._argon2.hash(password)
            return Verdict(False)
        if _BCRYPT.fullmatch(known):
            given = password.encode()[:BCRYPT_BYTES_MAX]
            return Verdict(self._bcrypt.verify(given, known), is_outdated=True)
        return Verdict(self._argon2.verify(password, known), self._argon2.check_needs_rehash(known))

    async def _work(self, act: Callable[[], T]) -> T:
        async with self._turn():
            return await asyncio.to_thread(act)

    @asynccontextmanager
    async def _turn(self) -> AsyncIterator[None]:
        if self._under_way >= self._under_way_max:
            raise TooManyRequests(
                "over_request_rate_limit",
                "Too many people are signing in at this moment.",
                retry_after_seconds=RETRY_SECONDS,
            )
        self._under_way += 1
        try:
            async with self._turns:
                yield
        finally:
            self._under_way -= 1


def is_hash(text: str) -> bool:
    """Return whether `text` is a hash that `Passwords.verify` checks, at a cost it can bear."""
    if bcrypt := _BCRYPT.fullmatch(text):
        return 4 <= int(bcrypt[1]) <= BCRYPT_COST_MAX
    if not text.startswith(("$argon2id$", "$argon2i$")):
        return False
    try:
        cost = argon2.extract_parameters(text)
    except (argon2.exceptions.InvalidHashError, ValueError):
        return False
    return (
        cost.memory_cost <= FOREIGN_MEMORY_KIB_MAX
        and cost.time_cost <= FOREIGN_PASSES_MAX
        and cost.parallelism <= FOREIGN_LANES_MAX
    )


def weaknesses(password: str, settings: Settings) -> list[str]:
    """Return why the password is too weak, in the words of `weak_password.reasons`."""
    reasons = []
    if len(password) < settings.password_characters_min:
        reasons.append("length")
    if any(not set(wanted) & set(password) for wanted in settings.password_required_characters):
        reasons.append("characters")
    return reasons


def require_strong(password: str, settings: Settings) -> None:
    """Raise `Unprocessable` `weak_password` with its reasons, or `InvalidRequest` if too long."""
    if len(password.encode()) > PASSWORD_BYTES_MAX:
        raise InvalidRequest(
            "validation_failed", f"Password cannot be longer than {PASSWORD_BYTES_MAX} bytes"
        )
    reasons = weaknesses(password, settings)
    if reasons:
        sentences = []
        if "length" in reasons:
            count = settings.password_characters_min
            sentences.append(f"Password should be at least {count} characters.")
        if "characters" in reasons:
            sets = ", ".join(settings.password_required_characters)
            sentences.append(f"Password should contain at least one character of each: {sets}.")
        raise Unprocessable(
            "weak_password", " ".join(sentences), details={"weak_password": {"reasons": reasons}}
        )
