"""Every refusal has its code, its status and both shapes."""

import asyncio
import base64
import json
from typing import Any
from uuid import uuid4

import asyncpg
import httpx2
import pytest
from sign_in_site import NEW, PASSWORD, Admin, Site, code_of, opened

from tintype import events
from tintype.auth import KeySet, Settings
from tintype.auth.door import bodies
from tintype.database import Pool

GRANT = "/token?grant_type=password"
ADA = "ada@example.com"
MEDIA = "application/json"


def part(value: dict[str, Any]) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).decode().rstrip("=")


UNSIGNED = f"{part({'alg': 'none'})}.{part({'sub': str(uuid4()), 'role': 'service_role'})}."

# Method, path, body, whose token, status, code.
REFUSALS: list[tuple[str, str, Any, str | None, int, str]] = [
    ("POST", GRANT, {"email": ADA, "password": "wrong"}, None, 400, "invalid_credentials"),
    ("POST", GRANT, {"email": "no@b.c", "password": "wrong"}, None, 400, "invalid_credentials"),
    ("POST", GRANT, {"email": "' or 1=1", "password": "x"}, None, 400, "invalid_credentials"),
    ("POST", GRANT, {"email": ADA}, None, 400, "validation_failed"),
    ("POST", GRANT, {"email": ADA, "password": 7}, None, 400, "validation_failed"),
    ("POST", "/token", {}, None, 400, "invalid_credentials"),
    ("POST", "/token?grant_type=magic", {}, None, 400, "invalid_credentials"),
    ("POST", "/token?grant_type=web3", {}, None, 422, "web3_provider_disabled"),
    ("POST", "/token?grant_type=refresh_token", {}, None, 400, "validation_failed"),
    ("POST", "/signup", {"email": "ada", "password": PASSWORD}, None, 400, "validation_failed"),
    ("POST", "/signup", {"email": ADA}, None, 400, "validation_failed"),
    ("POST", "/signup", {"email": ADA, "password": PASSWORD}, None, 422, "user_already_exists"),
    ("POST", "/signup", {"email": "b@b.c", "password": "five5"}, None, 422, "weak_password"),
    ("POST", "/signup", {"email": "b@b.c", "password": "x" * 1025}, None, 400, "validation_failed"),
    ("POST", "/signup", {"data": "no object"}, None, 400, "validation_failed"),
    ("POST", "/signup", {"data": {"a": "\0"}}, None, 400, "validation_failed"),
    ("POST", "/signup", {"data": {"a\0": 1}}, None, 400, "validation_failed"),
    ("POST", "/signup", {"data": {"a": "x" * 11_000}}, None, 400, "validation_failed"),
    (
        "POST",
        "/signup",
        {"phone": "+1", "password": PASSWORD},
        None,
        422,
        "phone_provider_disabled",
    ),
    ("GET", "/user", None, None, 401, "no_authorization"),
    ("GET", "/user", None, "nonsense", 403, "bad_jwt"),
    ("GET", "/user", None, UNSIGNED, 403, "bad_jwt"),
    ("GET", "/user", None, "anon", 403, "bad_jwt"),
    ("GET", "/user", None, "service", 403, "bad_jwt"),
    ("GET", "/user", None, "gone", 403, "session_not_found"),
    ("GET", "/user", None, "stranger", 403, "user_not_found"),
    ("GET", "/user", None, "other session", 403, "session_not_found"),
    ("PUT", "/user", {"email": "ada"}, "ada", 400, "validation_failed"),
    ("PUT", "/user", {"password": PASSWORD}, "ada", 422, "same_password"),
    ("PUT", "/user", {"password": ""}, "ada", 422, "weak_password"),
    ("PUT", "/user", {"email": "bob@example.com"}, "ada", 422, "email_exists"),
    ("PUT", "/user", {"data": {"a": "x" * 11_000}}, "ada", 400, "validation_failed"),
    ("PUT", "/user", {"data": {"a": 1}}, "gone", 403, "session_not_found"),
    ("POST", "/logout", None, None, 401, "no_authorization"),
    ("POST", "/logout", None, "gone", 403, "session_not_found"),
    ("POST", "/logout?scope=everything", None, "ada", 400, "validation_failed"),
    ("GET", "/admin/users", None, None, 403, "not_admin"),
    ("GET", "/admin/users", None, "anon", 403, "not_admin"),
    ("GET", "/admin/users", None, "ada", 403, "not_admin"),
    ("GET", "/admin/users", None, "nonsense", 403, "bad_jwt"),
    ("GET", "/admin/users?page=x", None, "service", 400, "validation_failed"),
    ("GET", "/admin/users?page=0", None, "service", 400, "validation_failed"),
    ("GET", "/admin/users?per_page=99999999999999", None, "service", 400, "validation_failed"),
    ("GET", "/admin/users/ada", None, "service", 404, "validation_failed"),
    ("GET", f"/admin/users/{uuid4()}", None, "service", 404, "user_not_found"),
    ("PUT", f"/admin/users/{uuid4()}", {"role": ""}, "service", 404, "user_not_found"),
    ("DELETE", f"/admin/users/{uuid4()}", None, "service", 404, "user_not_found"),
    ("DELETE", f"/admin/users/{uuid4()}", None, "ada", 403, "not_admin"),
    ("POST", "/admin/users", {"email": ADA}, "service", 422, "email_exists"),
    ("POST", "/admin/users", {}, "service", 400, "validation_failed"),
    ("POST", "/admin/users", {"email": "b@b.c", "id": "7"}, "service", 400, "validation_failed"),
    (
        "POST",
        "/admin/users",
        {"email": "b@b.c", "role": "root"},
        "service",
        400,
        "validation_failed",
    ),
    ("POST", "/admin/users", {"phone": "+1"}, "service", 422, "phone_provider_disabled"),
    ("POST", "/admin/users", {"email": "b@b.c"}, "ada", 403, "not_admin"),
    (
        "POST",
        "/admin/users",
        {"email": "b@b.c", "ban_duration": "soon"},
        "service",
        400,
        "validation_failed",
    ),
    (
        "POST",
        "/admin/users",
        {"email": "b@b.c", "password_hash": "$1$md5"},
        "service",
        400,
        "validation_failed",
    ),
    (
        "POST",
        "/admin/users",
        {"email": "b@b.c", "password_hash": "x", "password": PASSWORD},
        "service",
        400,
        "validation_failed",
    ),
    ("POST", "/invite", {"email": "b@b.c"}, "ada", 403, "not_admin"),
    ("POST", "/factors", {}, "ada", 422, "mfa_totp_enroll_not_enabled"),
    ("POST", "/factors", {"factor_type": "phone"}, "ada", 422, "mfa_phone_enroll_not_enabled"),
    (
        "POST",
        "/factors",
        {"factor_type": "webauthn"},
        "ada",
        422,
        "mfa_webauthn_enroll_not_enabled",
    ),
    ("POST", "/factors", {"factor_type": "sorcery"}, "ada", 422, "mfa_totp_enroll_not_enabled"),
    ("POST", "/verify", {"type": "email", "token": "1"}, None, 403, "otp_expired"),
    ("GET", "/verify?token=x&type=signup", None, None, 403, "otp_expired"),
    ("GET", "/nothing/here", None, None, 404, "not_found"),
    ("PATCH", "/user", {}, "ada", 404, "not_found"),
]


async def tokens(site: Site) -> dict[str, str]:
    ada, gone = await site.sign_up(), (await site.sign_in()).json()
    bob = await site.sign_up("bob@example.com")
    await site.ask("POST", "/logout?scope=local", token=gone["access_token"])
    bobs = site.keys.verify(bob["access_token"]).claims["session_id"]
    return {
        "ada": ada["access_token"],
        "gone": gone["access_token"],
        "stranger": site.keys.mint(uuid4(), session_id=uuid4()),
        "other session": site.keys.mint(ada["user"]["id"], session_id=bobs),
        "anon": site.keys.anon_key,
        "service": site.keys.service_role_key,
    }


async def test_every_refusal_has_its_status_and_code_in_both_shapes(site: Site) -> None:
    known = await tokens(site)
    for method, path, body, who, status, code in REFUSALS:
        token = known.get(who, who) if who else None
        told = f"{method} {path} {str(body)[:80]} as {who}"
        new = await site.ask(method, path, body, token=token)
        assert (*code_of(new), told) == (status, code, told)
        old = await site.ask(
            method, path, body, token=token, headers={"X-Supabase-Api-Version": ""}
        )
        found = old.json()
        assert (old.status_code, found["code"], found["error_code"]) == (status, status, code), told
        assert found["msg"] == new.json()["message"]
        assert old.headers["x-sb-error-code"] == code
        assert "x-supabase-api-version" not in old.headers
        for answer in (new, old):
            assert answer.headers["content-type"] == MEDIA
            if code == "weak_password":
                assert answer.json()["weak_password"] == {"reasons": ["length"]}


@pytest.mark.parametrize("version", ["2023-12-31", "yesterday", "2024-13-01", "20240101"])
async def test_an_older_or_unreadable_version_gets_the_older_shape(
    site: Site, version: str
) -> None:
    answer = await site.ask("GET", "/user", headers={"X-Supabase-Api-Version": version})
    assert answer.json()["error_code"] == "no_authorization"


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"\xff\xfe",
        b'{"email": "\\ud800"}',
        b'{"data":{"a":' + b"[" * 60_000,
        b'{"a": 1}{',
        b"nul",
    ],
)
async def test_what_is_no_json_is_bad_json(site: Site, content: bytes) -> None:
    headers = {"apikey": site.keys.anon_key, **NEW}
    answer = await site.http.post("/signup", content=content, headers=headers)
    assert code_of(answer) == (400, "bad_json")


@pytest.mark.parametrize(
    "content",
    [
        b"[]",
        b"7",
        b'{"data": ' + b'{"a":' * 40 + b"1" + b"}" * 41,
        b'{"data": {"a": ' + b"9" * 4000 + b"}}",
        b'{"data": {"a": 1e999}}',
        b'{"email": {}}',
    ],
)
async def test_what_no_user_can_hold_is_refused(site: Site, content: bytes) -> None:
    headers = {"apikey": site.keys.anon_key, **NEW}
    answer = await site.http.post("/signup", content=content, headers=headers)
    assert code_of(answer) == (400, "validation_failed")


async def test_a_body_over_the_limit_is_refused_announced_or_not(site: Site) -> None:
    async def pieces() -> Any:
        for _ in range(100):
            yield b" " * 10_000

    headers = {"apikey": site.keys.anon_key, **NEW}
    for content in (b" " * (bodies.BODY_BYTES_MAX + 1), pieces()):
        answer = await site.http.post("/signup", content=content, headers=headers)
        assert code_of(answer) == (413, "body_too_large")


async def test_a_body_that_never_ends_is_not_waited_for(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bodies, "BODY_SECONDS_MAX", 0.05)
    host, port = site.url.removeprefix("http://").split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    writer.write(
        f"POST /auth/v1/signup HTTP/1.1\r\nHost: x\r\napikey: {site.keys.anon_key}\r\n"
        "Content-Length: 100\r\n\r\n{".encode()
    )
    assert b" 400 " in await reader.readline()
    assert b"request_timeout" in await reader.readuntil(b"}")
    writer.close()


async def test_unknown_fields_are_ignored_and_cannot_raise_a_user(site: Site) -> None:
    wishes = {
        "role": "service_role",
        "app_metadata": {"plan": "pro"},
        "email_confirm": True,
        "is_super_admin": True,
        "id": str(uuid4()),
        "aud": "x",
        "code_challenge": None,
        "gotrue_meta_security": {"captcha_token": "x"},
    }
    body = {"email": ADA, "password": PASSWORD, **wishes}
    made = (await site.ask("POST", "/signup", body)).json()
    changed = await site.ask("PUT", "/user", wishes, token=made["access_token"])
    for user in (made["user"], changed.json()):
        assert user["role"] == user["aud"] == "authenticated"
        assert user["id"] != wishes["id"]
        assert user["app_metadata"] == {"provider": "email", "providers": ["email"]}


async def test_the_door_asks_for_a_key_of_this_project(site: Site, keys: KeySet) -> None:
    user = keys.mint(uuid4())
    for key, message in (
        ("", "No API key found in request"),
        ("nonsense", "Invalid API key"),
        ("sb_secret_guess", "Invalid API key"),
        (user, "Invalid API key"),
    ):
        for method, path in (("POST", "/signup"), ("GET", "/user"), ("GET", "/settings")):
            answer = await site.ask(method, path, {}, token=user, headers={"apikey": key})
            assert (answer.status_code, answer.json()["message"]) == (401, message)
    by_query = await site.http.get("/settings", params={"apikey": keys.anon_key})
    assert by_query.status_code == 200
    for path in ("/health", "/.well-known/jwks.json"):
        assert (await site.http.get(path)).status_code == 200


async def test_a_service_key_with_a_users_token_is_that_user(site: Site, keys: KeySet) -> None:
    token = (await site.sign_up())["access_token"]
    headers = {"apikey": keys.service_role_key}
    answer = await site.ask("GET", "/admin/users", token=token, headers=headers)
    assert code_of(answer) == (403, "not_admin")
    assert (await site.ask("GET", "/admin/users", headers=headers)).status_code == 200


async def test_what_the_operator_switched_off_is_refused(keys: KeySet, pool: Pool) -> None:
    body = {"email": ADA, "password": PASSWORD}
    cases: list[tuple[Settings, str, Any, str]] = [
        (Settings(sign_up_enabled=False), "/signup", body, "signup_disabled"),
        (Settings(anonymous_enabled=False), "/signup", {}, "anonymous_provider_disabled"),
        (Settings(email_enabled=False), "/signup", body, "email_provider_disabled"),
        (Settings(email_enabled=False), GRANT, body, "email_provider_disabled"),
        (
            Settings(password_required_characters=("abc", "0123456789")),
            "/signup",
            body,
            "weak_password",
        ),
    ]
    for settings, path, sent, code in cases:
        async with opened(keys, pool, settings) as site:
            answer = await site.ask("POST", path, sent)
            assert code_of(answer) == (422, code)
            told = (await site.ask("GET", "/settings")).json()
            assert told["disable_signup"] is not settings.sign_up_enabled
            assert told["external"]["email"] is settings.email_enabled
            assert told["external"]["anonymous_users"] is settings.anonymous_enabled
            assert told["mailer_autoconfirm"] is True and told["external"]["google"] is False


async def test_a_database_that_is_away_may_be_asked_again(site: Site, pool: Pool) -> None:
    await pool.close()
    answer = await site.sign_in()
    assert code_of(answer) == (503, "unexpected_failure")
    assert answer.headers["retry-after"] == "1"


async def test_what_the_server_got_wrong_is_told_to_its_operator_alone(
    site: Site, admin: "Admin[Any]"
) -> None:
    token = (await site.sign_up())["access_token"]
    await admin.execute("alter table auth.users rename to people")
    heard: list[tuple[str, dict[str, Any]]] = []
    remove = events.subscribe(lambda name, fields: heard.append((name, fields)))
    try:
        answer: httpx2.Response = await site.ask("GET", "/user", token=token)
    finally:
        remove()
    assert code_of(answer) == (500, "unexpected_failure")
    assert "auth.users" not in answer.text
    [(name, fields)] = heard
    assert name == "FunctionFailed" and asyncpg.UndefinedTableError.__name__ in fields["error"]
