"""The real, unmodified client signs up, in, around and out."""

import asyncio
from typing import Any
from uuid import uuid4

import httpx
import pytest
from sign_in_site import PASSWORD, Site
from supabase_auth.errors import AuthApiError, AuthError, AuthWeakPasswordError

from tintype.auth import KeySet

ADA = "ada@example.com"


async def signed_up(site: Site, email: str = ADA) -> Any:
    client = await site.client()
    await client.auth.sign_up({"email": email, "password": PASSWORD})
    return client


async def test_signing_up_gives_a_confirmed_user_and_a_session(site: Site) -> None:
    client = await site.client()
    options = {"data": {"name": "Ada"}, "email_redirect_to": "https://app.example"}
    made = await client.auth.sign_up(
        {"email": "Ada@Example.com", "password": PASSWORD, "options": options}
    )
    user, session = made.user, made.session
    assert user.email == ADA and user.role == user.aud == "authenticated"
    assert user.email_confirmed_at and user.confirmed_at and user.last_sign_in_at
    assert user.app_metadata == {"provider": "email", "providers": ["email"]}
    assert user.user_metadata["name"] == "Ada"
    assert user.user_metadata["sub"] == user.id and user.user_metadata["email_verified"]
    [identity] = user.identities
    assert (identity.provider, identity.id, identity.user_id) == ("email", user.id, user.id)
    assert session.token_type == "bearer" and session.expires_in == 3600
    claims = site.keys.verify(session.access_token).claims
    assert (claims["sub"], claims["email"], claims["aal"]) == (user.id, ADA, "aal1")
    assert claims["amr"][0]["method"] == "password"
    assert claims["user_metadata"] == user.user_metadata


async def test_an_anonymous_user_signs_in_and_becomes_permanent(site: Site) -> None:
    client = await site.client()
    guest = (await client.auth.sign_in_anonymously({"options": {"data": {"theme": "dark"}}})).user
    assert guest.is_anonymous and not guest.email and guest.identities == []
    assert (guest.app_metadata, guest.user_metadata) == ({}, {"theme": "dark"})
    changed = (await client.auth.update_user({"email": ADA, "password": PASSWORD})).user
    assert changed.id == guest.id and changed.email == ADA and not changed.is_anonymous
    assert changed.app_metadata == {"provider": "email", "providers": ["email"]}
    assert [identity.provider for identity in changed.identities] == ["email"]
    refreshed = await client.auth.refresh_session()
    claims = site.keys.verify(refreshed.session.access_token).claims
    assert claims["is_anonymous"] is False and claims["amr"][0]["method"] == "anonymous"
    again = await (await site.client()).auth.sign_in_with_password(
        {"email": ADA, "password": PASSWORD}
    )
    assert again.user.id == guest.id


async def test_an_anonymous_user_cannot_take_a_password_alone(site: Site) -> None:
    client = await site.client()
    await client.auth.sign_in_anonymously()
    with pytest.raises(AuthApiError) as caught:
        await client.auth.update_user({"password": PASSWORD})
    assert (caught.value.status, caught.value.code) == (422, "validation_failed")


async def test_a_session_is_read_refreshed_and_carried_over(site: Site) -> None:
    client = await signed_up(site)
    first = await client.auth.get_session()
    assert (await client.auth.get_user()).user.email == ADA
    second = (await client.auth.refresh_session()).session
    assert second.refresh_token != first.refresh_token
    before, after = (site.keys.verify(session.access_token).claims for session in (first, second))
    assert before["session_id"] == after["session_id"] and before["amr"] == after["amr"]
    other = await site.client()
    carried = await other.auth.set_session(second.access_token, second.refresh_token)
    assert carried.user.email == ADA
    verified = await other.auth.get_claims()
    assert verified["claims"]["sub"] == carried.user.id
    assert verified["headers"]["alg"] == "ES256"


async def test_an_expired_session_is_refreshed_when_it_is_set(site: Site) -> None:
    session = await site.sign_up()
    expired = site.keys.mint(uuid4(), seconds=-3600)
    client = await site.client()
    carried = await client.auth.set_session(expired, session["refresh_token"])
    assert carried.user.id == session["user"]["id"]


async def test_users_change_their_own_metadata_email_and_password(site: Site) -> None:
    client = await signed_up(site)
    await client.auth.update_user({"data": {"a": 1, "b": {"c": [None, "ü"]}}})
    changed = (await client.auth.update_user({"data": {"a": None, "d": 2}})).user
    assert changed.user_metadata.get("b") == {"c": [None, "ü"]}
    assert changed.user_metadata["d"] == 2 and "a" not in changed.user_metadata
    moved = (await client.auth.update_user({"email": "Lovelace@example.com"})).user
    assert moved.email == moved.identities[0].identity_data["email"] == "lovelace@example.com"
    await client.auth.update_user({"password": "another one"})
    with pytest.raises(AuthApiError) as caught:
        await client.auth.sign_in_with_password({"email": ADA, "password": PASSWORD})
    assert caught.value.code == "invalid_credentials"
    await client.auth.sign_in_with_password(
        {"email": "lovelace@example.com", "password": "another one"}
    )


async def test_a_taken_address_is_refused_to_another_user(site: Site) -> None:
    client = await signed_up(site)
    await signed_up(site, "bob@example.com")
    for refused, code in (
        (client.auth.update_user({"email": "BOB@example.com"}), "email_exists"),
        (client.auth.sign_up({"email": "BOB@example.com", "password": "x" * 9}), None),
    ):
        with pytest.raises(AuthApiError) as caught:
            await refused
        assert (caught.value.status, caught.value.code) == (422, code or "user_already_exists")


async def test_a_weak_and_an_unchanged_password_are_refused(site: Site) -> None:
    client = await signed_up(site)
    for refused in (
        client.auth.update_user({"password": "short"}),
        client.auth.sign_up({"email": "b@c.d", "password": "short"}),
    ):
        with pytest.raises(AuthWeakPasswordError) as caught:
            await refused
        assert caught.value.reasons == ["length"]
    with pytest.raises(AuthApiError) as same:
        await client.auth.update_user({"password": PASSWORD})
    assert (same.value.status, same.value.code) == (422, "same_password")


@pytest.mark.parametrize(
    ("scope", "ended"),
    [("global", {"this", "other"}), ("local", {"this"}), ("others", {"other"})],
)
async def test_signing_out_ends_the_sessions_of_its_scope(
    site: Site, scope: Any, ended: set[str]
) -> None:
    sessions = {"this": await signed_up(site), "other": await site.client()}
    await sessions["other"].auth.sign_in_with_password({"email": ADA, "password": PASSWORD})
    tokens = {name: (await c.auth.get_session()).access_token for name, c in sessions.items()}
    await sessions["this"].auth.sign_out({"scope": scope})
    reader = await site.client()
    for name, token in tokens.items():
        if name in ended:
            with pytest.raises(AuthError) as caught:
                await reader.auth.get_user(token)
            assert caught.value.code == "session_not_found"
        else:
            assert (await reader.auth.get_user(token)).user.email == ADA


async def test_a_new_password_signs_the_other_sessions_out(site: Site) -> None:
    first = await signed_up(site)
    second = await site.client()
    await second.auth.sign_in_with_password({"email": ADA, "password": PASSWORD})
    await first.auth.update_user({"password": "another one"})
    assert (await first.auth.get_user()).user.email == ADA
    assert (await first.auth.refresh_session()).user.email == ADA
    with pytest.raises(AuthApiError) as caught:
        await second.auth.refresh_session()
    assert caught.value.code == "refresh_token_not_found"


async def test_the_operator_makes_lists_changes_and_removes_users(site: Site) -> None:
    operator = await site.operator()
    chosen = str(uuid4())
    made = await operator.create_user(
        {
            "id": chosen,
            "email": "Ada@example.com",
            "password": PASSWORD,
            "email_confirm": True,
            "user_metadata": {"name": "Ada"},
            "app_metadata": {"plan": "pro"},
        }
    )
    assert (made.user.id, made.user.email) == (chosen, ADA)
    assert made.user.app_metadata == {
        "provider": "email",
        "providers": ["email"],
        "plan": "pro",
    }
    assert made.user.user_metadata == {"name": "Ada", "email_verified": True}
    changed = await operator.update_user_by_id(
        chosen, {"app_metadata": {"plan": None, "seats": 3}, "user_metadata": {"age": 36}}
    )
    assert changed.user.app_metadata["seats"] == 3 and "plan" not in changed.user.app_metadata
    assert changed.user.user_metadata == {"name": "Ada", "email_verified": True, "age": 36}
    assert (await operator.get_user_by_id(chosen)).user == changed.user
    assert [user.id for user in await operator.list_users()] == [chosen]
    assert (await operator.mfa.list_factors({"user_id": chosen})) == []
    await operator.delete_user(chosen)
    assert await operator.list_users() == []
    with pytest.raises(AuthApiError) as caught:
        await operator.get_user_by_id(chosen)
    assert (caught.value.status, caught.value.code) == (404, "user_not_found")


async def test_the_operator_signs_a_user_out_by_the_users_token(site: Site) -> None:
    token = (await site.sign_up())["access_token"]
    await (await site.operator()).sign_out(token, "global")
    assert (await site.ask("GET", "/user", token=token)).status_code == 403


async def test_only_the_service_role_lists_users(site: Site) -> None:
    for client in (await site.client(), await signed_up(site)):
        with pytest.raises(AuthApiError) as caught:
            await client.auth.admin.list_users()
        assert (caught.value.status, caught.value.code) == (403, "not_admin")


@pytest.mark.parametrize("key", ["publishable_key", "anon_key"])
async def test_either_kind_of_project_key_opens_the_door(
    site: Site, keys: KeySet, key: str
) -> None:
    client = await site.client(getattr(keys, key))
    made = await client.auth.sign_up({"email": ADA, "password": PASSWORD})
    assert (await client.auth.get_user()).user == made.user
    operator = await site.client(keys.secret_key)
    assert len(await operator.auth.admin.list_users()) == 1


async def test_what_is_not_enabled_says_so(site: Site) -> None:
    client = await signed_up(site)
    auth, operator = client.auth, await site.operator()
    user = str((await auth.get_user()).user.id)
    offered = [
        (auth.sign_in_with_otp({"email": ADA}), 422, "otp_disabled"),
        (auth.sign_in_with_otp({"phone": "+1"}), 422, "otp_disabled"),
        (auth.verify_otp({"type": "email", "token": "1", "email": ADA}), 403, "otp_expired"),
        (auth.reset_password_for_email(ADA), 422, "email_provider_disabled"),
        (auth.resend({"type": "signup", "email": ADA}), 422, "email_provider_disabled"),
        (auth.reauthenticate(), 422, "email_provider_disabled"),
        (auth.sign_in_with_sso({"domain": "a.b"}), 404, "saml_provider_disabled"),
        (
            auth.sign_in_with_id_token({"provider": "google", "token": "x"}),
            400,
            "provider_disabled",
        ),
        (
            auth.exchange_code_for_session({"auth_code": "x", "code_verifier": "y"}),
            404,
            "flow_state_not_found",
        ),
        (auth.sign_up({"phone": "+1", "password": PASSWORD}), 422, "phone_provider_disabled"),
        (
            auth.sign_in_with_password({"phone": "+1", "password": PASSWORD}),
            422,
            "phone_provider_disabled",
        ),
        (auth.update_user({"phone": "+1"}), 422, "phone_provider_disabled"),
        (auth.link_identity({"provider": "google"}), 404, "manual_linking_disabled"),
        (
            auth.unlink_identity((await auth.get_user_identities()).identities[0]),
            404,
            "manual_linking_disabled",
        ),
        (auth.mfa.enroll({"factor_type": "totp"}), 422, "mfa_totp_enroll_not_enabled"),
        (auth.mfa.challenge({"factor_id": "x"}), 404, "mfa_factor_not_found"),
        (auth.mfa.unenroll({"factor_id": "x"}), 404, "mfa_factor_not_found"),
        (operator.invite_user_by_email(ADA), 422, "email_provider_disabled"),
        (operator.generate_link({"type": "magiclink", "email": ADA}), 422, None),
        (
            operator.mfa.delete_factor({"user_id": user, "id": str(uuid4())}),
            404,
            "mfa_factor_not_found",
        ),
        (operator.oauth.list_clients(), 404, "feature_disabled"),
    ]
    for offer, status, code in offered:
        with pytest.raises(AuthApiError) as caught:
            await offer
        assert (caught.value.status, caught.value.code) == (
            status,
            code or "email_provider_disabled",
        )


async def test_a_second_factor_is_neither_there_nor_asked_for(site: Site) -> None:
    client = await signed_up(site)
    assert (await client.auth.mfa.list_factors()).all == []
    level = await client.auth.mfa.get_authenticator_assurance_level()
    assert (level.current_level, level.next_level) == ("aal1", "aal1")


async def test_an_oauth_link_leads_to_a_clear_refusal(site: Site) -> None:
    client = await site.client()
    link = await client.auth.sign_in_with_oauth({"provider": "github"})
    async with httpx.AsyncClient() as browser:
        answer = await browser.get(link.url)
    assert answer.status_code == 400
    assert answer.json()["msg"] == "Unsupported provider: provider is not enabled"


async def test_listeners_hear_of_sign_in_refresh_and_sign_out(site: Site) -> None:
    client = await site.client()
    heard: list[str] = []
    client.auth.on_auth_state_change(lambda event, _: heard.append(event))
    await client.auth.sign_up({"email": ADA, "password": PASSWORD})
    await client.auth.refresh_session()
    await client.auth.update_user({"data": {"a": 1}})
    await client.auth.sign_out()
    assert heard == ["SIGNED_IN", "TOKEN_REFRESHED", "USER_UPDATED", "SIGNED_OUT"]
    assert await client.auth.get_session() is None


async def test_many_clients_sign_up_at_once(site: Site) -> None:
    clients = [await site.client() for _ in range(8)]
    made = await asyncio.gather(
        *(
            client.auth.sign_up({"email": f"{number}@b.c", "password": PASSWORD})
            for number, client in enumerate(clients)
        )
    )
    assert len({answer.user.id for answer in made}) == 8
