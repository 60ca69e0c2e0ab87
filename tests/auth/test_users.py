"""Users are rows that sign-in and the command line share."""

from uuid import uuid4

import asyncpg
import pytest

from tintype.auth import create_user, find_user, list_users
from tintype.database import Pool, transaction
from tintype.errors import Conflict, InvalidRequest


async def test_a_user_is_found_by_address_in_any_case_and_by_id(pool: Pool) -> None:
    async with transaction(pool) as connection:
        user_id = await create_user(connection, "Ada@Example.com")
    async with transaction(pool) as connection:
        by_email = await find_user(connection, "ADA@example.COM")
        assert by_email is not None
        assert (by_email.id, by_email.email) == (user_id, "ada@example.com")
        assert not by_email.is_anonymous and by_email.last_sign_in_at is None
        assert await find_user(connection, user_id) == by_email
        assert await find_user(connection, uuid4()) is None
        assert await find_user(connection, "nobody@example.com") is None


async def test_a_row_is_as_gotrue_would_have_made_it(
    pool: Pool, admin: "asyncpg.Connection[asyncpg.Record]"
) -> None:
    chosen = uuid4()
    async with transaction(pool) as connection:
        assert await create_user(connection, "a@b.c", user_id=chosen) == chosen
    row = await admin.fetchrow(
        "select aud, role, email_confirmed_at = created_at as confirmed,"
        " raw_app_meta_data ->> 'provider' as provider from auth.users where id = $1",
        chosen,
    )
    assert dict(row) == {
        "aud": "authenticated",
        "role": "authenticated",
        "confirmed": True,
        "provider": "email",
    }


async def test_an_address_or_id_is_given_once_and_the_transaction_goes_on(pool: Pool) -> None:
    async with transaction(pool) as connection:
        first = await create_user(connection, "a@b.c")
        for email, user_id in (("A@B.C", None), ("other@b.c", first)):
            with pytest.raises(Conflict):
                await create_user(connection, email, user_id=user_id)
        assert [user.id for user in await list_users(connection)] == [first]


@pytest.mark.parametrize(
    "email", ["", "a", "a@", "@b", "a b@c.d", "a@b@c", "a@b\n", "a\0@b.c", "x" * 251 + "@b.c"]
)
async def test_what_is_no_address_is_refused(pool: Pool, email: str) -> None:
    async with transaction(pool) as connection:
        with pytest.raises(InvalidRequest):
            await create_user(connection, email)


async def test_users_are_listed_newest_first_in_pages(pool: Pool) -> None:
    for number in range(3):
        async with transaction(pool) as connection:
            await create_user(connection, f"{number}@b.c")
    async with transaction(pool) as connection:
        listed = [user.email for user in await list_users(connection)]
        assert listed == ["2@b.c", "1@b.c", "0@b.c"]
        assert [user.email for user in await list_users(connection, limit=1, offset=1)] == ["1@b.c"]
        for limit, offset in ((0, 0), (1001, 0), (1, -1)):
            with pytest.raises(InvalidRequest):
                await list_users(connection, limit=limit, offset=offset)


async def test_a_deleted_user_is_gone_and_frees_the_address(
    pool: Pool, admin: "asyncpg.Connection[asyncpg.Record]"
) -> None:
    async with transaction(pool) as connection:
        first = await create_user(connection, "a@b.c")
    await admin.execute("update auth.users set deleted_at = now() where id = $1", first)
    async with transaction(pool) as connection:
        assert await find_user(connection, "a@b.c") is None
        assert await find_user(connection, first) is None
        assert await list_users(connection) == []
        assert await create_user(connection, "a@b.c") != first
