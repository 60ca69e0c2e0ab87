"""A refresh token is used once, save for a lost answer's sake, and a thief ends the family."""

import asyncio
from typing import Any
from uuid import UUID

import asyncpg
import pytest
from outside_issuer import Clock
from sign_in_site import PASSWORD, Admin, Site, code_of, later, opened

from tintype.auth import KeySet, Settings, sessions
from tintype.database import Pool

USED, UNKNOWN = (400, "refresh_token_already_used"), (400, "refresh_token_not_found")


def session_of(site: Site, response: dict[str, Any]) -> str:
    return str(site.keys.verify(response["access_token"]).claims["session_id"])


async def refreshed(site: Site, token: str) -> dict[str, Any]:
    answer = await site.refresh(token)
    assert answer.status_code == 200, answer.text
    body: dict[str, Any] = answer.json()
    return body


async def test_each_refresh_gives_a_new_token_of_the_same_session(site: Site) -> None:
    responses = [await site.sign_up()]
    for _ in range(3):
        responses.append(await refreshed(site, responses[-1]["refresh_token"]))
    assert len({response["refresh_token"] for response in responses}) == 4
    assert len({session_of(site, response) for response in responses}) == 1
    assert set(responses[-1]) == set(responses[0])
    assert responses[-1]["user"]["id"] == responses[0]["user"]["id"]


async def test_a_used_token_gives_the_active_one_for_ten_seconds(
    site: Site, admin: "Admin[Any]"
) -> None:
    first = (await site.sign_up())["refresh_token"]
    second = (await refreshed(site, first))["refresh_token"]
    third = (await refreshed(site, second))["refresh_token"]
    await later(admin, sessions.REUSE_SECONDS - 5)
    assert (await refreshed(site, first))["refresh_token"] == third
    await later(admin, sessions.REUSE_SECONDS + 1)
    assert code_of(await site.refresh(first)) == USED


async def test_the_parent_of_the_active_token_gives_it_at_any_time(
    site: Site, admin: "Admin[Any]"
) -> None:
    first = (await site.sign_up())["refresh_token"]
    second = (await refreshed(site, first))["refresh_token"]
    await later(admin, 86_400)
    assert (await refreshed(site, first))["refresh_token"] == second
    assert (await refreshed(site, second))["refresh_token"] != second


async def test_using_an_older_token_again_revokes_the_whole_family(
    site: Site, admin: "Admin[Any]"
) -> None:
    first = (await site.sign_up())["refresh_token"]
    other = (await site.sign_in()).json()["refresh_token"]
    second = (await refreshed(site, first))["refresh_token"]
    third = (await refreshed(site, second))["refresh_token"]
    await later(admin, 11)
    for token in (first, second, third, third):
        assert code_of(await site.refresh(token)) == USED
    assert (await refreshed(site, other))["refresh_token"] != other


async def test_refreshes_at_once_make_one_child_and_all_get_it(
    site: Site, admin: "Admin[Any]"
) -> None:
    first = await site.sign_up()
    answers = await asyncio.gather(*(refreshed(site, first["refresh_token"]) for _ in range(12)))
    assert len({answer["refresh_token"] for answer in answers}) == 1
    rows = await admin.fetch("select revoked, parent from auth.refresh_tokens order by id")
    assert [row["revoked"] for row in rows] == [True, False]
    assert rows[0]["parent"] is None and rows[1]["parent"] is not None


async def test_a_refresh_and_a_sign_out_at_once_leave_no_token(
    site: Site, admin: "Admin[Any]"
) -> None:
    for _ in range(5):
        session = (await site.sign_in()).json() if _ else await site.sign_up()
        await asyncio.gather(
            site.refresh(session["refresh_token"]),
            site.ask("POST", "/logout", token=session["access_token"]),
        )
        assert await admin.fetchval("select count(*) from auth.sessions") == 0
        assert await admin.fetchval("select count(*) from auth.refresh_tokens") == 0


async def test_a_refresh_waits_for_one_under_way_and_gets_its_child(
    site: Site, admin: "Admin[Any]", database_url: str
) -> None:
    first = (await site.sign_up())["refresh_token"]
    other = await asyncpg.connect(database_url)
    transaction = other.transaction()
    await transaction.start()
    child = await other.fetchval(
        "select tintype.rotate_session($1, $2, 10, 100) ->> 'refresh_token'",
        first[: sessions.NAME_CHARACTERS],
        "n" * sessions.NAME_CHARACTERS,
    )
    waiting = asyncio.create_task(refreshed(site, first))
    blocked = "select count(*) from pg_stat_activity where wait_event_type = 'Lock'"
    while not await admin.fetchval(f"{blocked} and datname = current_database()"):
        await asyncio.sleep(0)
    await transaction.commit()
    await other.close()
    assert (await waiting)["refresh_token"].startswith(child)


async def test_a_token_that_was_never_given_is_not_found(site: Site, admin: "Admin[Any]") -> None:
    token = (await site.sign_up())["refresh_token"]
    name = await admin.fetchval("select token from auth.refresh_tokens")
    assert token.startswith(name) and token != name
    wrong = "A" if token[-1] != "A" else "B"
    for guess in (
        name,
        name + "A" * sessions.CODE_CHARACTERS,
        token[:-1] + wrong,
        token + "x",
        "x",
        "ü" * 12,
        "' or 1=1 --",
        "x" * 10_000,
    ):
        assert code_of(await site.refresh(guess)) == UNKNOWN, guess
    assert (await site.refresh(token)).status_code == 200


async def test_a_session_that_a_supabase_project_began_goes_on(
    site: Site, admin: "Admin[Any]"
) -> None:
    session = await site.sign_up()
    await admin.execute("update auth.refresh_tokens set token = 'v1a2b3c4d5e6'")
    again = [await refreshed(site, "v1a2b3c4d5e6") for _ in range(2)]
    assert again[0]["refresh_token"] == again[1]["refresh_token"] != "v1a2b3c4d5e6"
    assert session_of(site, again[0]) == session_of(site, session)


async def test_a_session_ends_at_its_time_however_often_it_was_refreshed(
    keys: KeySet, pool: Pool, admin: "Admin[Any]"
) -> None:
    async with opened(keys, pool, Settings(session_seconds_max=3600)) as site:
        token = (await refreshed(site, (await site.sign_up())["refresh_token"]))["refresh_token"]
        await later(admin, 3601)
        assert code_of(await site.refresh(token)) == (400, "session_expired")


async def test_a_banned_and_a_removed_user_refresh_no_more(site: Site) -> None:
    session = await site.sign_up()
    path = f"/admin/users/{session['user']['id']}"
    await site.as_operator("PUT", path, {"ban_duration": "1h"})
    assert code_of(await site.refresh(session["refresh_token"])) == (400, "user_banned")
    await site.as_operator("PUT", path, {"ban_duration": "none"})
    kept = await refreshed(site, session["refresh_token"])
    await site.as_operator("DELETE", path)
    assert code_of(await site.refresh(kept["refresh_token"])) == UNKNOWN


async def test_used_tokens_are_remembered_in_bounded_number(
    site: Site, admin: "Admin[Any]", monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sessions, "USED_TOKENS_KEPT_MAX", 3)
    tokens = [(await site.sign_up())["refresh_token"]]
    for _ in range(6):
        tokens.append((await refreshed(site, tokens[-1]))["refresh_token"])
    assert await admin.fetchval("select count(*) from auth.refresh_tokens") == 4
    await later(admin, 11)
    assert code_of(await site.refresh(tokens[0])) == UNKNOWN
    assert code_of(await site.refresh(tokens[3])) == USED


async def test_a_user_has_a_bounded_number_of_sessions(
    site: Site, admin: "Admin[Any]", monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sessions, "SESSIONS_PER_USER_MAX", 2)
    first = await site.sign_up()
    kept = [(await site.sign_in()).json() for _ in range(2)]
    rows = await admin.fetch("select id from auth.sessions")
    assert {row["id"] for row in rows} == {UUID(session_of(site, entry)) for entry in kept}
    answer = await site.ask("GET", "/user", token=first["access_token"])
    assert code_of(answer) == (403, "session_not_found")


async def test_an_access_token_expires_and_the_refresh_token_does_not(
    site: Site, moved: Clock
) -> None:
    session = await site.sign_up()
    moved.ahead_seconds = 3600 + 31
    answer = await site.ask("GET", "/user", token=session["access_token"])
    assert code_of(answer) == (403, "bad_jwt") and "expired" in answer.json()["message"]
    again = await refreshed(site, session["refresh_token"])
    assert (await site.ask("GET", "/user", token=again["access_token"])).status_code == 200


async def test_a_session_keeps_where_it_came_from(site: Site, admin: "Admin[Any]") -> None:
    body = {"email": "a@b.c", "password": PASSWORD}
    await site.ask("POST", "/signup", body, headers={"User-Agent": "Pictures/1 " + "x" * 9000})
    row = await admin.fetchrow("select user_agent, ip::text, aal::text from auth.sessions")
    assert row is not None
    assert row["user_agent"].startswith("Pictures/1") and len(row["user_agent"]) == 512
    assert (row["ip"], row["aal"]) == ("127.0.0.1/32", "aal1")
