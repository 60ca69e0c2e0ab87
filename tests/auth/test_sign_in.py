"""One address is one user; a password is kept well, and guessing it is slow."""

import asyncio
from typing import Any
from uuid import uuid4

import bcrypt
import pytest
from argon2 import PasswordHasher
from outside_issuer import Clock
from sign_in_site import PASSWORD, Admin, Site, code_of, opened

from tintype.auth import KeySet, Settings
from tintype.database import Pool

ADA = "ada@example.com"
WRONG = (400, "invalid_credentials")
LIMITED = (429, "over_request_rate_limit")


async def imported(site: Site, password_hash: str, email: str = ADA) -> None:
    body = {"email": email, "password_hash": password_hash, "email_confirm": True}
    answer = await site.as_operator("POST", "/admin/users", body)
    assert answer.status_code == 200, answer.text


async def test_two_sign_ups_at_once_make_one_user(site: Site, admin: "Admin[Any]") -> None:
    bodies = [
        {"email": email, "password": PASSWORD}
        for email in (ADA, "ADA@example.com", ADA, "Ada@Example.com")
    ]
    answers = await asyncio.gather(*(site.ask("POST", "/signup", body) for body in bodies))
    assert sorted(answer.status_code for answer in answers) == [200, 422, 422, 422]
    for answer in answers:
        if answer.status_code == 422:
            assert code_of(answer) == (422, "user_already_exists")
    assert await admin.fetchval("select count(*) from auth.users") == 1
    assert await admin.fetchval("select count(*) from auth.sessions") == 1
    assert await admin.fetchval("select count(*) from auth.identities") == 1


async def test_two_users_who_want_one_address_at_once_do_not_both_get_it(site: Site) -> None:
    guests = [(await site.ask("POST", "/signup", {})).json() for _ in range(4)]
    answers = await asyncio.gather(
        *(site.ask("PUT", "/user", {"email": ADA}, token=guest["access_token"]) for guest in guests)
    )
    assert sorted(answer.status_code for answer in answers) == [200, 422, 422, 422]


async def test_metadata_changed_at_once_is_all_kept(site: Site) -> None:
    token = (await site.sign_up())["access_token"]
    await asyncio.gather(
        *(
            site.ask("PUT", "/user", {"data": {f"key{number}": number}}, token=token)
            for number in range(6)
        )
    )
    user = (await site.ask("GET", "/user", token=token)).json()
    assert {f"key{number}" for number in range(6)} <= set(user["user_metadata"])


async def test_a_password_is_kept_as_argon2id_and_never_shown(
    site: Site, admin: "Admin[Any]"
) -> None:
    made = await site.ask("POST", "/signup", {"email": ADA, "password": PASSWORD})
    known = await admin.fetchval("select encrypted_password from auth.users")
    assert known.startswith("$argon2id$v=19$m=19456,t=2,p=1$")
    listed = await site.as_operator("GET", "/admin/users")
    for answer in (made, await site.sign_in(), listed):
        assert known not in answer.text and "encrypted" not in answer.text
    assert made.headers["cache-control"] == "no-store"


@pytest.mark.parametrize("prefix", ["$2a$", "$2b$", "$2y$"])
async def test_an_imported_bcrypt_hash_is_accepted_and_replaced(
    site: Site, admin: "Admin[Any]", prefix: str
) -> None:
    made = bcrypt.hashpw(PASSWORD.encode(), bcrypt.gensalt(4)).decode()
    await imported(site, prefix + made[4:])
    assert code_of(await site.sign_in(password="wrong one")) == WRONG
    answers = await asyncio.gather(*(site.sign_in() for _ in range(3)))
    assert [answer.status_code for answer in answers] == [200, 200, 200]
    known = await admin.fetchval("select encrypted_password from auth.users")
    assert known.startswith("$argon2id$v=19$m=19456,")
    assert (await site.sign_in()).status_code == 200
    assert await admin.fetchval("select encrypted_password from auth.users") == known


async def test_a_bcrypt_hash_looks_at_72_bytes_and_an_own_one_at_all(site: Site) -> None:
    long = "ä" * 40
    await imported(site, bcrypt.hashpw(long.encode()[:72], bcrypt.gensalt(4)).decode())
    assert (await site.sign_in(password=long)).status_code == 200
    assert code_of(await site.sign_in(password=long + "x")) == WRONG
    assert (await site.sign_in(password=long)).status_code == 200


async def test_an_argon2_hash_of_another_cost_is_accepted_and_replaced(
    site: Site, admin: "Admin[Any]"
) -> None:
    await imported(
        site, PasswordHasher(time_cost=1, memory_cost=1024, parallelism=2).hash("secret")
    )
    assert (await site.sign_in(password="secret")).status_code == 200
    known = await admin.fetchval("select encrypted_password from auth.users")
    assert known.startswith("$argon2id$v=19$m=19456,t=2,p=1$")


@pytest.mark.parametrize(
    "password_hash",
    [
        "$2b$31$" + "a" * 53,
        "$2x$10$" + "a" * 53,
        "$2b$10$short",
        "$argon2id$v=19$m=4194304,t=3,p=4$c2FsdHNhbHQ$aGFzaA",
        "$argon2id$v=19$m=65536,t=3000,p=4$c2FsdHNhbHQ$aGFzaA",
        "$argon2id$nonsense",
        "$fbscrypt$v=1,n=14,r=8,p=1$x$y",
        "plain",
    ],
)
async def test_a_hash_that_is_no_hash_or_too_costly_is_not_imported(
    site: Site, admin: "Admin[Any]", password_hash: str
) -> None:
    body = {"email": ADA, "password_hash": password_hash}
    answer = await site.as_operator("POST", "/admin/users", body)
    assert code_of(answer) == (400, "validation_failed")
    await admin.execute(
        "insert into auth.users (id, email, encrypted_password, email_confirmed_at)"
        " values ($1, $2, $3, now())",
        uuid4(),
        ADA,
        password_hash,
    )
    assert code_of(await site.sign_in()) == WRONG


async def test_a_user_without_a_password_cannot_sign_in_with_any(site: Site) -> None:
    await site.as_operator("POST", "/admin/users", {"email": ADA, "email_confirm": True})
    for password in ("x", "None", "null"):
        assert code_of(await site.sign_in(password=password)) == WRONG


async def test_an_unconfirmed_and_a_banned_user_are_told_so_only_with_the_password(
    site: Site,
) -> None:
    body = {"email": ADA, "password": PASSWORD}
    made = (await site.as_operator("POST", "/admin/users", body)).json()
    path = f"/admin/users/{made['id']}"
    assert "email_confirmed_at" not in made
    assert code_of(await site.sign_in()) == (400, "email_not_confirmed")
    assert code_of(await site.sign_in(password="wrong")) == WRONG
    await site.as_operator("PUT", path, {"email_confirm": True, "ban_duration": "1h30m"})
    assert code_of(await site.sign_in()) == (400, "user_banned")
    assert code_of(await site.sign_in(password="wrong")) == WRONG
    lifted = (await site.as_operator("PUT", path, {"ban_duration": "none"})).json()
    assert "banned_until" not in lifted
    signed_in = await site.sign_in()
    assert signed_in.status_code == 200
    await site.as_operator("PUT", path, {"ban_duration": "24h"})
    answer = await site.ask("GET", "/user", token=signed_in.json()["access_token"])
    assert code_of(answer) == (403, "user_banned")


async def test_a_password_that_is_too_weak_by_now_signs_in_with_a_note(
    site: Site, keys: KeySet, pool: Pool
) -> None:
    await site.sign_up()
    async with opened(keys, pool, Settings(password_characters_min=20)) as stricter:
        answer = await stricter.sign_in()
    assert answer.json()["weak_password"] == {"reasons": ["length"]}
    assert "weak_password" not in (await site.sign_in()).json()


async def test_guesses_at_one_account_are_limited_and_its_password_gets_no_one_in(
    keys: KeySet, pool: Pool, moved: Clock
) -> None:
    async with opened(keys, pool, Settings(account_failures_per_5_minutes=3)) as site:
        await site.sign_up()
        for _ in range(8):
            assert (await site.sign_in()).status_code == 200
        guesses = await asyncio.gather(*(site.sign_in(password=f"guess {n}") for n in range(9)))
        codes = sorted(code_of(guess) for guess in guesses)
        assert codes == [WRONG] * 3 + [LIMITED] * 6
        limited = await site.sign_in("ADA@example.com")
        assert code_of(limited) == LIMITED
        assert int(limited.headers["retry-after"]) > 0
        assert code_of(await site.sign_in("bob@example.com")) == WRONG
        moved.ahead_seconds += int(limited.headers["retry-after"])
        assert (await site.sign_in()).status_code == 200


async def test_guesses_from_one_address_are_limited_over_all_accounts(
    keys: KeySet, pool: Pool
) -> None:
    settings = Settings(sign_in_failures_per_5_minutes=3)
    async with opened(keys, pool, settings) as site:
        found = [code_of(await site.sign_in(f"{number}@b.c")) for number in range(5)]
    assert found == [WRONG] * 3 + [LIMITED] * 2


async def test_sign_ups_guests_refreshes_and_changes_are_limited(keys: KeySet, pool: Pool) -> None:
    settings = Settings(
        sign_ups_per_5_minutes=1,
        anonymous_per_hour=1,
        refreshes_per_5_minutes=1,
        updates_per_5_minutes=1,
    )
    async with opened(keys, pool, settings) as site:
        session = await site.sign_up()
        again = await site.ask("POST", "/signup", {"email": "b@b.c", "password": PASSWORD})
        assert code_of(again) == LIMITED
        guests = [await site.ask("POST", "/signup", {}) for _ in range(2)]
        assert guests[0].status_code == 200 and code_of(guests[1]) == LIMITED
        refreshes = [await site.refresh(session["refresh_token"]) for _ in range(2)]
        assert refreshes[0].status_code == 200 and code_of(refreshes[1]) == LIMITED
        changes = [
            await site.ask("PUT", "/user", {"data": {"a": 1}}, token=session["access_token"])
            for _ in range(2)
        ]
        assert changes[0].status_code == 200 and code_of(changes[1]) == LIMITED
