"""The operator sees users in pages, and what is removed is gone."""

from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from sign_in_site import PASSWORD, Admin, Site, code_of

from tintype import clock
from tintype.auth.door.durations import banned_until
from tintype.errors import InvalidRequest


def pages_as_js_reads_them(link: str) -> dict[str, int]:
    """Read a `Link` header the way supabase-js does, one character per page included."""
    found = {}
    for entry in link.split(","):
        page = int(entry.split(";")[0].split("=")[1][0])
        found[entry.split(";")[1].split("=")[1].strip('"')] = page
    return found


async def test_users_come_in_pages_newest_first(site: Site, admin: "Admin[Any]") -> None:
    for number in range(5):
        await site.as_operator("POST", "/admin/users", {"email": f"{number}@b.c"})
    expected = {1: {"next": 2, "last": 3}, 2: {"next": 3, "last": 3}, 3: {"last": 3}}
    seen = []
    for page, links in expected.items():
        answer = await site.as_operator("GET", f"/admin/users?page={page}&per_page=2")
        assert answer.headers["x-total-count"] == "5"
        assert pages_as_js_reads_them(answer.headers["link"]) == links
        assert answer.json()["aud"] == "authenticated"
        seen += [user["email"] for user in answer.json()["users"]]
    assert seen == ["4@b.c", "3@b.c", "2@b.c", "1@b.c", "0@b.c"]
    beyond = await site.as_operator("GET", "/admin/users?page=999999999&per_page=1000")
    assert (beyond.status_code, beyond.json()["users"]) == (200, [])
    assert pages_as_js_reads_them(beyond.headers["link"]) == {"last": 1}


async def test_empty_paging_parameters_mean_the_first_fifty(site: Site) -> None:
    answer = await site.as_operator("GET", "/admin/users?page=&per_page=")
    assert answer.json() == {"users": [], "aud": "authenticated"}
    assert answer.headers["x-total-count"] == "0"
    assert answer.headers["link"] == '</admin/users?page=1&per_page=50>; rel="last"'


async def test_a_removed_user_leaves_no_row_in_auth_and_frees_the_address(
    site: Site, admin: "Admin[Any]"
) -> None:
    session = await site.sign_up()
    user = UUID(session["user"]["id"])
    await admin.execute(
        "insert into public.credit_accounts (user_id, balance) values ($1, 5)", user
    )
    answer = await site.as_operator("DELETE", f"/admin/users/{user}")
    assert (answer.status_code, answer.json()) == (200, {})
    for table in ("users", "identities", "sessions", "refresh_tokens", "mfa_amr_claims"):
        assert await admin.fetchval(f"select count(*) from auth.{table}") == 0, table
    answer = await site.ask("GET", "/user", token=session["access_token"])
    assert code_of(answer) == (403, "user_not_found")
    assert await admin.fetchval("select balance from public.credit_accounts") == 5
    assert (await site.sign_up())["user"]["id"] != str(user)


async def test_a_soft_deleted_user_keeps_an_id_and_nothing_else(
    site: Site, admin: "Admin[Any]"
) -> None:
    session = await site.sign_up()
    path = f"/admin/users/{session['user']['id']}"
    await site.as_operator("DELETE", path, {"should_soft_delete": True})
    assert code_of(await site.as_operator("GET", path)) == (404, "user_not_found")
    assert code_of(await site.as_operator("DELETE", path)) == (404, "user_not_found")
    row = await admin.fetchrow("select * from auth.users")
    assert row is not None and row["deleted_at"] is not None
    assert not row["email"] and not row["encrypted_password"]
    assert row["raw_user_meta_data"] == "{}"
    assert await admin.fetchval("select count(*) from auth.identities") == 0
    assert code_of(await site.sign_in()) == (400, "invalid_credentials")
    assert (await site.as_operator("GET", "/admin/users")).json()["users"] == []
    again = await site.as_operator(
        "POST", "/admin/users", {"id": session["user"]["id"], "email": "b@b.c"}
    )
    assert code_of(again) == (422, "email_exists")
    await site.sign_up()


async def test_a_user_whom_the_apps_tables_need_is_not_removed(
    site: Site, admin: "Admin[Any]"
) -> None:
    user = (await site.sign_up())["user"]["id"]
    await admin.execute("create table public.profiles (id uuid references auth.users (id))")
    await admin.execute("insert into public.profiles values ($1)", UUID(user))
    answer = await site.as_operator("DELETE", f"/admin/users/{user}")
    assert code_of(answer) == (409, "conflict")
    assert (await site.as_operator("GET", f"/admin/users/{user}")).status_code == 200


async def test_the_operator_changes_address_password_role_and_sessions_end(site: Site) -> None:
    session = await site.sign_up()
    path = f"/admin/users/{session['user']['id']}"
    changed = await site.as_operator(
        "PUT", path, {"email": "Bob@Example.com", "password": "another one"}
    )
    user = changed.json()
    assert user["email"] == user["identities"][0]["email"] == "bob@example.com"
    answer = await site.ask("GET", "/user", token=session["access_token"])
    assert code_of(answer) == (403, "session_not_found")
    assert (await site.sign_in("bob@example.com", "another one")).status_code == 200
    raised = await site.as_operator("PUT", path, {"role": "service_role"})
    assert raised.json()["role"] == "service_role"
    token = (await site.sign_in("bob@example.com", "another one")).json()["access_token"]
    assert (await site.ask("GET", "/admin/users", token=token)).status_code == 200
    assert (await site.ask("GET", "/user", token=token)).json()["id"] == user["id"]


async def test_an_address_is_not_taken_from_another_by_the_operator_either(site: Site) -> None:
    ada, _ = await site.sign_up(), await site.sign_up("bob@example.com")
    path = f"/admin/users/{ada['user']['id']}"
    answer = await site.as_operator("PUT", path, {"email": "BOB@example.com", "role": ""})
    assert code_of(answer) == (422, "email_exists")
    assert (await site.as_operator("GET", path)).json()["email"] == "ada@example.com"


async def test_times_are_as_gotrue_writes_them_and_unset_ones_are_left_out(site: Site) -> None:
    body = {"email": "a@b.c", "password": PASSWORD, "ban_duration": "24h"}
    user = (await site.as_operator("POST", "/admin/users", body)).json()
    for name in ("created_at", "updated_at", "banned_until"):
        assert user[name].endswith("Z") and len(user[name]) == len("2026-11-20T08:36:51.883541Z")
    assert not {"confirmed_at", "email_confirmed_at", "last_sign_in_at"} & set(user)
    assert None not in user.values()
    assert (user["phone"], user["is_anonymous"]) == ("", False)


@pytest.mark.parametrize(
    ("text", "length"),
    [
        ("24h", timedelta(hours=24)),
        ("1h30m", timedelta(minutes=90)),
        ("1.5h", timedelta(minutes=90)),
        ("90s500ms", timedelta(seconds=90.5)),
    ],
)
def test_a_ban_lasts_as_long_as_go_says(text: str, length: timedelta) -> None:
    until = banned_until(text)
    assert until is not None
    assert abs(until - clock.now() - length) < timedelta(minutes=1)


@pytest.mark.parametrize("text", ["", "soon", "1", "h", "-1h", "1d", "0s", "9" * 12 + "h", "1h "])
def test_what_go_does_not_read_is_no_duration(text: str) -> None:
    with pytest.raises(InvalidRequest):
        banned_until(text)


async def test_a_chosen_id_is_kept_and_no_nil(site: Site) -> None:
    chosen = str(uuid4())
    made = await site.as_operator("POST", "/admin/users", {"email": "a@b.c", "id": chosen})
    assert made.json()["id"] == chosen
    nil = {"email": "b@b.c", "id": str(UUID(int=0))}
    assert code_of(await site.as_operator("POST", "/admin/users", nil)) == (
        400,
        "validation_failed",
    )
