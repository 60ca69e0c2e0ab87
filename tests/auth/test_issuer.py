"""Another issuer's tokens are taken by its published keys, and by nothing else."""

import asyncio
import json
import time
from pathlib import Path
from typing import Any
from uuid import NAMESPACE_URL, uuid4, uuid5

import pytest
from joserfc import jws
from joserfc.jwk import ECKey, OctKey, RSAKey
from outside_issuer import ISSUER, OUTSIDE, Clock, OutsideIssuer

from tintype import events
from tintype.auth import KeySet, issuer, open_keys
from tintype.errors import Unauthenticated

USER = uuid4()


def sign(key: Any, algorithm: str, *, kid: str | None, **changes: Any) -> str:
    payload = {"iss": OUTSIDE, "sub": str(USER), "role": "authenticated", "exp": time.time() + 600}
    header = {"alg": algorithm, "kid": kid, "typ": "JWT"}
    header = {name: value for name, value in header.items() if value is not None}
    registry = jws.JWSRegistry(algorithms=[algorithm], strict_check_header=False)
    return jws.serialize_compact(
        header, json.dumps(payload | changes).encode(), key, registry=registry
    )


async def refused(keys: KeySet, token: str) -> str:
    with pytest.raises(Unauthenticated) as caught:
        await keys.verify_or_refresh(token)
    return caught.value.code


@pytest.mark.parametrize(
    ("name", "algorithm"),
    [
        ("rsa", "RS256"),
        ("ec", "ES256"),
        ("ed", "EdDSA"),
        ("ed", "Ed25519"),
    ],
)
@pytest.mark.filterwarnings("ignore:EdDSA is deprecated")
async def test_each_algorithm_is_taken(
    joined: KeySet, outside: OutsideIssuer, name: str, algorithm: str
) -> None:
    token = sign(getattr(outside, name), algorithm, kid=name)
    principal = await joined.verify_or_refresh(token)
    assert (principal.role, principal.user_id) == ("authenticated", USER)
    assert outside.asked == 1
    assert joined.verify(token) is principal


async def test_our_own_tokens_never_ask_the_issuer(joined: KeySet, outside: OutsideIssuer) -> None:
    outside.gate.clear()
    for token in (joined.mint(USER), joined.anon_key, joined.secret_key):
        await joined.verify_or_refresh(token)
    assert outside.asked == 0


async def test_a_name_that_is_no_uuid_becomes_one_for_ever(
    joined: KeySet, outside: OutsideIssuer
) -> None:
    principal = await joined.verify_or_refresh(sign(outside.ec, "ES256", kid="ec", sub="auth0|7"))
    assert principal.user_id == uuid5(NAMESPACE_URL, f"{OUTSIDE}#auth0|7")
    assert principal.claims["sub"] == str(principal.user_id)
    assert principal.claims["external_sub"] == "auth0|7"


async def test_a_token_without_a_role_is_anon_but_keeps_its_subject(
    joined: KeySet, outside: OutsideIssuer
) -> None:
    principal = await joined.verify_or_refresh(sign(outside.ec, "ES256", kid="ec", role="anon"))
    assert (principal.role, principal.user_id) == ("anon", None)
    assert principal.claims["sub"] == str(USER)


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"iss": "https://evil.example.com/"}, "token_issuer"),
        ({"iss": None}, "token_issuer"),
        ({"role": "service_role"}, "token_role"),
        ({"role": "postgres"}, "token_role"),
        ({"sub": ""}, "token_subject"),
        ({"sub": 7}, "token_subject"),
        ({"exp": 1}, "token_expired"),
    ],
)
async def test_a_claim_that_the_issuer_may_not_make_is_refused(
    joined: KeySet, outside: OutsideIssuer, changes: dict[str, Any], code: str
) -> None:
    assert await refused(joined, sign(outside.ec, "ES256", kid="ec", **changes)) == code


@pytest.mark.parametrize(
    ("audience", "is_ours"),
    [
        ("https://pictures.example/", True),
        (["https://login.example/userinfo", "https://pictures.example/"], True),
        ("https://another-app.example/", False),
        (["https://another-app.example/"], False),
        ("https://pictures.example/admin", False),
        ([["https://pictures.example/"]], False),
        ({"https://pictures.example/": 1}, False),
        (None, False),
        (7, False),
    ],
)
async def test_a_token_for_another_app_of_the_same_issuer_is_refused(
    session_folder: Path, outside: OutsideIssuer, audience: Any, is_ours: bool
) -> None:
    keys = open_keys(
        session_folder / "keys.json",
        issuer=ISSUER,
        jwks_url=outside.url,
        outside_issuer=OUTSIDE,
        outside_audience="https://pictures.example/",
    )
    token = sign(outside.ec, "ES256", kid="ec", aud=audience)
    if is_ours:
        assert (await keys.verify_or_refresh(token)).user_id == USER
    else:
        assert await refused(keys, token) == "token_audience"
    assert keys.verify(keys.mint(USER)).user_id == USER


async def test_a_key_only_does_its_own_algorithm(joined: KeySet, outside: OutsideIssuer) -> None:
    await joined.refresh()
    secret = OctKey.import_key(json.dumps(outside.rsa.as_dict(private=False)))
    assert await refused(joined, sign(secret, "HS256", kid="rsa")) == "token_key_unknown"
    stranger = ECKey.generate_key("P-256")
    assert await refused(joined, sign(stranger, "ES256", kid="rsa")) == "token_key_unknown"
    assert await refused(joined, sign(stranger, "ES256", kid="ec")) == "token_signature"


async def test_symmetric_weak_and_foreign_keys_are_not_taken(
    joined: KeySet, outside: OutsideIssuer
) -> None:
    secret = OctKey.generate_key(256, {"kid": "oct", "alg": "HS256"})
    with pytest.warns(UserWarning, match="2048"):
        weak = RSAKey.generate_key(1024, {"kid": "weak"})
    sealing = ECKey.generate_key("P-256", {"kid": "sealing"})
    larger = ECKey.generate_key("P-384", {"kid": "larger"})
    outside.keys += [
        secret.as_dict(private=True),
        *(key.as_dict(private=False) for key in (weak, larger)),
        sealing.as_dict(private=False) | {"use": "enc"},
        outside.rsa.as_dict(private=False) | {"kid": "other", "alg": "RS512"},
        {"kty": "EC", "crv": "P-256", "x": "AA", "y": "AA", "kid": "no point"},
        {"kty": "EC"},
        "not a key",
    ]
    assert await joined.refresh()
    for token in (
        sign(secret, "HS256", kid="oct"),
        sign(weak, "RS256", kid="weak"),
        sign(sealing, "ES256", kid="sealing"),
        sign(outside.rsa, "RS256", kid="other"),
    ):
        assert await refused(joined, token) == "token_key_unknown"
    assert joined.verify(sign(outside.rsa, "RS256", kid="rsa")).user_id == USER


async def test_an_outside_key_cannot_take_the_place_of_ours(
    joined: KeySet, outside: OutsideIssuer
) -> None:
    kid = joined.jwks()["keys"][0]["kid"]
    impostor = ECKey.generate_key("P-256", {"kid": kid})
    outside.keys.append(impostor.as_dict(private=False))
    assert await joined.refresh()
    assert await refused(joined, sign(impostor, "ES256", kid=kid)) == "token_signature"
    assert joined.verify(joined.mint(USER)).user_id == USER


async def test_a_token_without_kid_is_taken_where_one_key_fits(
    joined: KeySet, outside: OutsideIssuer
) -> None:
    token = sign(outside.rsa, "RS256", kid=None)
    assert (await joined.verify_or_refresh(token)).user_id == USER
    second = RSAKey.generate_key(2048, {"kid": "second"})
    outside.keys.append(second.as_dict(private=False))
    assert await joined.refresh()
    assert await refused(joined, token) == "token_key_unknown"


async def test_a_rotated_key_is_found_and_the_withdrawn_one_is_dropped(
    joined: KeySet, outside: OutsideIssuer, moved: Clock
) -> None:
    old = sign(outside.ec, "ES256", kid="ec")
    await joined.verify_or_refresh(old)
    fresh = ECKey.generate_key("P-256", {"kid": "fresh"})
    outside.keys = [fresh.as_dict(private=False)]
    new = sign(fresh, "ES256", kid="fresh")
    assert await refused(joined, new) == "token_key_unknown"
    assert outside.asked == 1
    moved.ahead_seconds = issuer.REFETCH_SECONDS_MIN + 1
    assert (await joined.verify_or_refresh(new)).user_id == USER
    assert outside.asked == 2
    assert await refused(joined, old) == "token_key_unknown"


async def test_keys_are_looked_at_again_in_the_background_when_they_are_old(
    joined: KeySet, outside: OutsideIssuer, moved: Clock
) -> None:
    token = sign(outside.ec, "ES256", kid="ec")
    await joined.verify_or_refresh(token)
    outside.keys = []
    outside.gate.clear()
    moved.ahead_seconds = 0.9 * issuer.AGE_SECONDS_MAX
    later = sign(outside.ec, "ES256", kid="ec", exp=time.time() + 6000)
    assert (await joined.verify_or_refresh(later)).user_id == USER
    moved.ahead_seconds = issuer.AGE_SECONDS_MAX + 1
    assert (await joined.verify_or_refresh(later)).user_id == USER  # not one request waits
    outside.gate.set()
    await joined.refresh()
    assert outside.asked == 2
    assert await refused(joined, later) == "token_key_unknown"


async def test_unknown_keys_cannot_make_us_ask_often(
    joined: KeySet, outside: OutsideIssuer
) -> None:
    stranger = ECKey.generate_key("P-256")
    tokens = [sign(stranger, "ES256", kid=f"guess {number}") for number in range(20)]
    codes = await asyncio.gather(*(refused(joined, token) for token in tokens))
    assert set(codes) == {"token_key_unknown"}
    assert await refused(joined, sign(stranger, "ES256", kid="one more")) == "token_key_unknown"
    assert outside.asked == 1


async def test_callers_at_the_start_share_one_fetch(joined: KeySet, outside: OutsideIssuer) -> None:
    outside.gate.clear()
    token = sign(outside.ec, "ES256", kid="ec")
    calls = [asyncio.create_task(joined.verify_or_refresh(token)) for _ in range(5)]
    while not outside.asked:
        await asyncio.sleep(0.001)
    calls.pop().cancel()
    outside.gate.set()
    assert {found.user_id for found in await asyncio.gather(*calls)} == {USER}
    assert outside.asked == 1


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (500, b"down"),
        (302, b""),
        (200, b"<html>"),
        (200, b"{}"),
        (200, b'{"keys": {}}'),
        (200, b"\xff\xfe"),
        (200, b'{"keys": [' + b" " * issuer.DOCUMENT_BYTES_MAX + b"]}"),
        (200, b'{"keys": ' + b"[" * 100_000),
    ],
    ids=["500", "redirect", "html", "no keys", "keys no list", "no text", "too large", "deep"],
)
async def test_an_issuer_that_is_down_blocks_no_good_token(
    joined: KeySet, outside: OutsideIssuer, status: int, body: bytes
) -> None:
    token = sign(outside.ec, "ES256", kid="ec")
    await joined.verify_or_refresh(token)
    outside.status, outside.body = status, body
    seen: list[tuple[str, dict[str, Any]]] = []
    unsubscribe = events.subscribe(lambda name, fields: seen.append((name, fields)))
    assert not await joined.refresh()
    unsubscribe()
    assert [(name, fields["loop"]) for name, fields in seen] == [("LoopFailed", "jwks")]
    assert (await joined.verify_or_refresh(token)).user_id == USER
    assert joined.verify(sign(outside.rsa, "RS256", kid="rsa")).user_id == USER


async def test_an_issuer_that_never_answered_costs_a_refusal_not_an_error(
    joined: KeySet, outside: OutsideIssuer
) -> None:
    outside.stop()
    assert await refused(joined, sign(outside.ec, "ES256", kid="ec")) == "token_key_unknown"
    assert joined.verify(joined.mint(USER)).user_id == USER


async def test_a_silent_issuer_is_given_up_after_a_bound(
    joined: KeySet, outside: OutsideIssuer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(issuer, "FETCH_SECONDS_MAX", 0.05)
    outside.gate.clear()
    assert await refused(joined, sign(outside.ec, "ES256", kid="ec")) == "token_key_unknown"


async def test_without_an_outside_issuer_there_is_nothing_to_refresh(keys: KeySet) -> None:
    assert not await keys.refresh()
    stranger = ECKey.generate_key("P-256")
    assert await refused(keys, sign(stranger, "ES256", kid="x")) == "token_key_unknown"
