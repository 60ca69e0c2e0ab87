"""The right one of several credentials counts, and the open routes answer."""

from typing import Any
from uuid import uuid4

import httpx2
import pytest
from starlette.applications import Starlette
from starlette.datastructures import Headers

from tintype.auth import KeySet, authenticate, routes
from tintype.errors import Unauthenticated

USER = uuid4()


def filled(given: dict[str, str], keys: KeySet) -> dict[str, str]:
    named = {
        "ANON": keys.anon_key,
        "SERVICE": keys.service_role_key,
        "PUBLISHABLE": keys.publishable_key,
        "SECRET": keys.secret_key,
        "USER": keys.mint(USER),
        "EXPIRED": keys.mint(USER, seconds=-60),
    }
    return {
        name: " ".join(named.get(word, word) for word in value.split(" "))
        for name, value in given.items()
    }


@pytest.mark.parametrize(
    ("headers", "query", "role"),
    [
        ({}, {}, None),
        ({"Authorization": ""}, {}, None),
        ({"apikey": "ANON"}, {}, "anon"),
        ({"apikey": "SERVICE"}, {}, "service_role"),
        ({"apikey": "PUBLISHABLE"}, {}, "anon"),
        ({"apiKey": "SECRET"}, {}, "service_role"),
        ({}, {"apikey": "SECRET"}, "service_role"),
        ({"apikey": "PUBLISHABLE"}, {"apikey": "SECRET"}, "anon"),
        ({"Authorization": "Bearer USER"}, {}, "authenticated"),
        ({"authorization": "bearer  USER "}, {}, "authenticated"),
        ({"apikey": "ANON", "Authorization": "Bearer ANON"}, {}, "anon"),
        ({"apikey": "SERVICE", "Authorization": "Bearer USER"}, {}, "authenticated"),
        ({"apikey": "SECRET", "Authorization": "Bearer USER"}, {}, "authenticated"),
        ({"apikey": "ANON", "Authorization": "Bearer SERVICE"}, {}, "service_role"),
        ({"apikey": "SECRET", "Authorization": "Bearer SECRET"}, {}, "service_role"),
        ({"apikey": "PUBLISHABLE", "Authorization": "Bearer SECRET"}, {}, "anon"),
        ({"Authorization": "Bearer SECRET"}, {}, "service_role"),
        ({"Authorization": "Bearer PUBLISHABLE"}, {"apikey": "PUBLISHABLE"}, "anon"),
    ],
)
async def test_who_counts(
    keys: KeySet, headers: dict[str, str], query: dict[str, str], role: str | None
) -> None:
    principal = await authenticate(keys, Headers(filled(headers, keys)), filled(query, keys))
    assert (principal.role if principal else None) == role
    if role == "authenticated":
        assert principal is not None and principal.require_user() == USER


@pytest.mark.parametrize(
    ("headers", "code"),
    [
        ({"Authorization": "Bearer"}, "token_malformed"),
        ({"Authorization": "Bearer undefined"}, "token_malformed"),
        ({"Authorization": "USER"}, "authorization_scheme"),
        ({"Authorization": "Basic dXNlcjpwYXNz"}, "authorization_scheme"),
        ({"Authorization": "Bearer EXPIRED", "apikey": "SERVICE"}, "token_expired"),
        ({"Authorization": "Bearer nonsense", "apikey": "SERVICE"}, "token_malformed"),
        ({"Authorization": "Bearer sb_secret_guess"}, "api_key_unknown"),
        ({"Authorization": "Bearer SECRET", "apikey": "sb_secret_guess"}, "api_key_unknown"),
        ({"Authorization": "Bearer sb_secret_guess", "apikey": "ANON"}, "api_key_unknown"),
        ({"apikey": "guess"}, "token_malformed"),
        ({"apikey": "sb_publishable_guess"}, "api_key_unknown"),
    ],
)
async def test_a_bad_credential_is_never_taken_for_none(
    keys: KeySet, headers: dict[str, str], code: str
) -> None:
    with pytest.raises(Unauthenticated) as caught:
        await authenticate(keys, Headers(filled(headers, keys)), {})
    assert caught.value.code == code
    assert caught.value.status == 401


async def test_a_header_that_comes_twice_and_differs_is_refused(keys: KeySet) -> None:
    user, service = f"Bearer {keys.mint(USER)}", f"Bearer {keys.service_role_key}"
    for name, values in (
        ("authorization", (user, service)),
        ("authorization", (service, user)),
        ("apikey", (keys.anon_key, keys.service_role_key)),
        ("apikey", (keys.anon_key, "")),
    ):
        headers = Headers(raw=[(name.encode(), value.encode()) for value in values])
        with pytest.raises(Unauthenticated) as caught:
            await authenticate(keys, headers, {})
        assert caught.value.code == "credentials_ambiguous"
    same = Headers(raw=[(b"authorization", user.encode())] * 2)
    principal = await authenticate(keys, same, {})
    assert principal is not None and principal.user_id == USER


async def ask(keys: KeySet, path: str) -> Any:
    transport = httpx2.ASGITransport(app=Starlette(routes=list(routes(keys))))
    async with httpx2.AsyncClient(transport=transport, base_url="http://tintype") as client:
        return await client.get(path)


async def test_health_answers_as_gotrue_does(keys: KeySet) -> None:
    answer = await ask(keys, "/auth/v1/health")
    assert answer.status_code == 200
    assert set(answer.json()) == {"version", "name", "description"}
    assert answer.json()["name"] == "GoTrue"


async def test_the_key_set_is_open_and_cached_for_ten_minutes(keys: KeySet) -> None:
    answer = await ask(keys, "/auth/v1/.well-known/jwks.json")
    assert answer.json() == keys.jwks()
    assert answer.headers["cache-control"] == "public, max-age=600"
    assert answer.headers["content-type"] == "application/json"
    assert '"d"' not in answer.text
