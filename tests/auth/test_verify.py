"""A token proves who calls, or nothing."""

import base64
import hashlib
import hmac
import json
import time
from collections.abc import Callable
from typing import Any
from uuid import uuid4

import pytest
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from hypothesis import given, settings
from hypothesis import strategies as st
from joserfc import jws
from joserfc.jwk import ECKey, OctKey, RSAKey
from outside_issuer import ISSUER, Clock

from tintype.auth import ANONYMOUS, KeySet, keyfile, verify
from tintype.auth import keys as keys_module
from tintype.errors import Unauthenticated

USER = uuid4()
Forge = Callable[[KeySet], str]


def text(value: bytes) -> str:
    return base64.urlsafe_b64encode(value).decode().rstrip("=")


def decoded(part: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(base64.urlsafe_b64decode(part + "=="))
    return found


def claims(**changes: Any) -> dict[str, Any]:
    now = int(time.time())
    full = {"sub": str(USER), "role": "authenticated", "iat": now, "exp": now + 600} | changes
    return {name: value for name, value in full.items() if value is not None}


def by_hand(secret: bytes, payload: Any, **header: Any) -> str:
    """Sign as a forger would: a library refuses to write half of what is tried here."""
    body = payload if isinstance(payload, bytes) else json.dumps(payload).encode()
    head = json.dumps({"alg": "HS256"} | header).encode()
    signed = f"{text(head)}.{text(body)}"
    return f"{signed}.{text(hmac.digest(secret, signed.encode(), hashlib.sha256))}"


def legacy(keys: KeySet, payload: Any, **header: Any) -> str:
    """Sign with the legacy secret, which may sign anything at all."""
    return by_hand(keys.jwt_secret.encode(), payload, **header)


def swap(
    token: str, *, header: Any = None, payload: Any = None, signature: str | None = None
) -> str:
    parts = token.split(".")
    for index, part in enumerate((header, payload)):
        if part is not None:
            parts[index] = text(json.dumps(decoded(parts[index]) | part).encode())
    return ".".join((*parts[:2], parts[2] if signature is None else signature))


def der(token: str) -> str:
    raw = base64.urlsafe_b64decode(token.split(".")[2] + "==")
    return text(
        encode_dss_signature(int.from_bytes(raw[:32], "big"), int.from_bytes(raw[32:], "big"))
    )


def own_kid(keys: KeySet) -> str:
    return str(keys.jwks()["keys"][0]["kid"])


def signed_by(key: Any, algorithm: str, keys: KeySet, **header: Any) -> str:
    registry = jws.JWSRegistry(algorithms=[algorithm], strict_check_header=False)
    head = {"alg": algorithm, "kid": own_kid(keys)} | header
    head = {name: value for name, value in head.items() if value is not None}
    return jws.serialize_compact(head, json.dumps(claims()).encode(), key, registry=registry)


def public_key_as_secret(keys: KeySet, **header: Any) -> str:
    public = ECKey.import_key(keys.jwks()["keys"][0]).as_pem(private=False)
    return by_hand(public, claims(), **header)


def unsigned(keys: KeySet) -> str:
    head = text(json.dumps({"alg": "none"}).encode())
    return f"{head}.{text(json.dumps(claims()).encode())}."


FORGED: dict[str, tuple[Forge, str]] = {
    "empty": (lambda keys: "", "token_malformed"),
    "two dots": (lambda keys: "..", "token_malformed"),
    "one part": (lambda keys: "undefined", "token_malformed"),
    "four parts": (lambda keys: keys.mint(USER) + ".x", "token_malformed"),
    "not ascii": (lambda keys: "ä.ö.ü", "token_malformed"),
    "lone surrogate": (lambda keys: "\ud800", "token_malformed"),
    "100 kB": (lambda keys: keys.mint(USER, user_metadata={"x": "x" * 75_000}), "token_too_large"),
    "alg none": (unsigned, "token_algorithm"),
    "alg None": (lambda keys: swap(unsigned(keys), header={"alg": "NoNe"}), "token_algorithm"),
    "alg missing": (lambda keys: swap(keys.mint(USER), header={"alg": None}), "token_malformed"),
    "alg a list": (
        lambda keys: swap(keys.mint(USER), header={"alg": ["ES256"]}),
        "token_malformed",
    ),
    "alg HS512": (lambda keys: swap(keys.anon_key, header={"alg": "HS512"}), "token_algorithm"),
    "header a list": (lambda keys: f"{text(b'[]')}.{text(b'{}')}.", "token_malformed"),
    "crit": (lambda keys: legacy(keys, claims(), crit=["exp"]), "token_malformed"),
    "b64": (lambda keys: swap(keys.mint(USER), header={"b64": False}), "token_malformed"),
    "typ of a logout": (lambda keys: legacy(keys, claims(), typ="logout+jwt"), "token_malformed"),
    "no signature": (lambda keys: swap(keys.mint(USER), signature=""), "token_signature"),
    "other payload": (
        lambda keys: swap(keys.mint(USER), payload={"role": "service_role"}),
        "token_signature",
    ),
    "other header": (lambda keys: swap(keys.mint(USER), header={"x": 1}), "token_signature"),
    "signature in DER": (
        lambda keys: swap(token := keys.mint(USER), signature=der(token)),
        "token_signature",
    ),
    "zero signature": (
        lambda keys: swap(keys.mint(USER), signature=text(bytes(64))),
        "token_signature",
    ),
    "wrong key, right kid": (
        lambda keys: signed_by(ECKey.generate_key("P-256"), "ES256", keys),
        "token_signature",
    ),
    "wrong secret": (
        lambda keys: signed_by(OctKey.generate_key(256), "HS256", keys, kid=None),
        "token_signature",
    ),
    "key in the header": (
        lambda keys: signed_by(
            key := ECKey.generate_key("P-256"), "ES256", keys, jwk=key.as_dict(private=False)
        ),
        "token_signature",
    ),
    "unknown kid": (lambda keys: swap(keys.mint(USER), header={"kid": "x"}), "token_key_unknown"),
    "no kid": (
        lambda keys: signed_by(ECKey.generate_key("P-256"), "ES256", keys, kid=None),
        "token_key_unknown",
    ),
    "kid a number": (lambda keys: swap(keys.mint(USER), header={"kid": 1}), "token_malformed"),
    "secret under our kid": (
        lambda keys: legacy(keys, claims(), kid=own_kid(keys)),
        "token_key_unknown",
    ),
    "RS256 under our kid": (
        lambda keys: signed_by(RSAKey.generate_key(2048), "RS256", keys),
        "token_key_unknown",
    ),
    "public key as secret": (public_key_as_secret, "token_signature"),
    "public key as secret, with kid": (
        lambda keys: public_key_as_secret(keys, kid=own_kid(keys)),
        "token_key_unknown",
    ),
    "expired": (lambda keys: keys.mint(USER, seconds=-31), "token_expired"),
    "not yet valid": (
        lambda keys: legacy(keys, claims(nbf=time.time() + 40)),
        "token_not_yet_valid",
    ),
    "issued later": (
        lambda keys: legacy(keys, claims(iat=time.time() + 40)),
        "token_not_yet_valid",
    ),
    "iat a text": (lambda keys: legacy(keys, claims(iat="now")), "token_malformed"),
    "no exp": (lambda keys: legacy(keys, claims(exp=None)), "token_malformed"),
    "exp a text": (lambda keys: legacy(keys, claims(exp="9999999999")), "token_malformed"),
    "exp true": (lambda keys: legacy(keys, claims(exp=True)), "token_malformed"),
    "exp NaN": (lambda keys: legacy(keys, claims(exp=float("nan"))), "token_malformed"),
    "exp infinite": (lambda keys: legacy(keys, b'{"exp":1e999,"role":"anon"}'), "token_malformed"),
    "nbf null": (lambda keys: legacy(keys, b'{"exp":9999999999,"nbf":null}'), "token_malformed"),
    "payload a list": (lambda keys: legacy(keys, b"[]"), "token_malformed"),
    "payload empty": (lambda keys: legacy(keys, b""), "token_malformed"),
    "payload deep": (lambda keys: legacy(keys, b'{"a":' * 1500), "token_malformed"),
    "unknown role": (lambda keys: legacy(keys, claims(role="postgres")), "token_role"),
    "role a list": (lambda keys: legacy(keys, claims(role=["anon"])), "token_role"),
    "role empty": (lambda keys: legacy(keys, claims(role="")), "token_role"),
    "user without sub": (lambda keys: legacy(keys, claims(sub=None)), "token_subject"),
    "sub no uuid": (lambda keys: legacy(keys, claims(sub="1")), "token_subject"),
    "sub in braces": (lambda keys: legacy(keys, claims(sub=f"{{{USER}}}")), "token_subject"),
    "anon with odd sub": (
        lambda keys: legacy(keys, claims(role="anon", sub="1")),
        "token_subject",
    ),
    "unknown sb key": (lambda keys: keys.secret_key[:-1] + "~", "api_key_unknown"),
    "only the prefix": (lambda keys: "sb_", "api_key_unknown"),
    "sb surrogate": (lambda keys: "sb_\ud800", "api_key_unknown"),
}


@pytest.mark.parametrize("name", FORGED)
def test_a_forged_token_proves_nothing(keys: KeySet, name: str) -> None:
    forge, code = FORGED[name]
    token = forge(keys)
    for _ in range(2):
        with pytest.raises(Unauthenticated) as caught:
            keys.verify(token)
        assert caught.value.code == code


@given(token=st.text(max_size=200) | st.from_regex(r"[\w-]{0,40}\.[\w-]{0,40}\.[\w-]{0,40}"))
@settings(max_examples=200, deadline=None)
def test_no_text_at_all_raises_anything_else(token: str) -> None:
    keys = KeySet(MADE, issuer=ISSUER)
    with pytest.raises(Unauthenticated):
        keys.verify(token)


MADE = keyfile._new_keys()


def test_a_minted_token_has_the_claims_of_gotrue(keys: KeySet) -> None:
    session_id = uuid4()
    token = keys.mint(USER, email="a@b.c", user_metadata={"name": "Ada"}, session_id=session_id)
    header, payload = map(decoded, token.split(".")[:2])
    assert header == {"alg": "ES256", "kid": own_kid(keys), "typ": "JWT"}
    named = "iss sub aud exp iat email phone app_metadata user_metadata role aal amr session_id"
    assert set(payload) == {*named.split(), "is_anonymous"}
    assert payload["session_id"] == str(session_id)
    assert payload["exp"] - payload["iat"] == 3600
    assert (payload["iss"], payload["sub"], payload["aud"]) == (ISSUER, str(USER), "authenticated")
    assert (payload["email"], payload["phone"]) == ("a@b.c", "")
    assert payload["app_metadata"] == {"provider": "email", "providers": ["email"]}
    assert payload["user_metadata"] == {"name": "Ada"}
    assert payload["amr"] == [{"method": "password", "timestamp": payload["iat"]}]
    assert len(base64.urlsafe_b64decode(token.split(".")[2] + "==")) == 64


def test_a_token_without_a_session_names_none(keys: KeySet) -> None:
    assert "session_id" not in decoded(keys.mint(USER).split(".")[1])


def test_an_anonymous_user_is_authenticated_without_a_provider(keys: KeySet) -> None:
    payload = decoded(keys.mint(USER, is_anonymous=True).split(".")[1])
    assert (payload["role"], payload["is_anonymous"]) == ("authenticated", True)
    assert (payload["app_metadata"], payload["email"]) == ({}, "")


def test_a_minted_token_names_its_user(keys: KeySet) -> None:
    token = keys.mint(USER, email="a@b.c")
    principal = keys.verify(token)
    assert (principal.role, principal.user_id) == ("authenticated", USER)
    assert principal.claims == decoded(token.split(".")[1])


def test_a_token_of_the_legacy_secret_names_its_user(keys: KeySet) -> None:
    principal = keys.verify(legacy(keys, claims(), typ="JWT"))
    assert (principal.role, principal.user_id) == ("authenticated", USER)


def test_the_project_keys_name_a_role_and_nobody(keys: KeySet) -> None:
    assert keys.verify(keys.publishable_key) == ANONYMOUS
    assert keys.verify(keys.anon_key).role == "anon"
    for token in (keys.secret_key, keys.service_role_key):
        assert keys.verify(token).is_service
        assert keys.verify(token).user_id is None


def test_a_token_without_a_role_is_anon(keys: KeySet) -> None:
    principal = keys.verify(legacy(keys, claims(role=None)))
    assert (principal.role, principal.user_id) == ("anon", None)
    assert principal.claims["role"] == "anon"


def test_clocks_may_be_thirty_seconds_apart(keys: KeySet) -> None:
    assert keys.verify(keys.mint(USER, seconds=-20)).user_id == USER
    assert keys.verify(legacy(keys, claims(nbf=time.time() + 20))).user_id == USER
    assert keys.verify(legacy(keys, claims(iat=time.time() + 20))).user_id == USER
    assert keys.verify(legacy(keys, claims(iat=None))).user_id == USER
    assert verify.LEEWAY_SECONDS <= 30


def test_a_remembered_token_ends_with_its_time(keys: KeySet, moved: Clock) -> None:
    token = keys.mint(USER, seconds=60)
    assert keys.verify(token) is keys.verify(token)
    moved.ahead_seconds = 89
    assert keys.verify(token).user_id == USER
    moved.ahead_seconds = 91
    with pytest.raises(Unauthenticated) as caught:
        keys.verify(token)
    assert caught.value.code == "token_expired"


def test_what_is_remembered_is_bounded_and_the_least_used_goes(
    keys: KeySet, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(keys_module, "REMEMBERED_MAX", 2)
    first, second, third = (keys.mint(uuid4()) for _ in range(3))
    remembered = [keys.verify(first), keys.verify(second)]
    keys.verify(first)
    keys.verify(third)
    assert keys.verify(first) is remembered[0]
    assert keys.verify(second) is not remembered[1]


def test_a_token_of_another_server_is_not_ours() -> None:
    ours, theirs = (KeySet(keyfile._new_keys(), issuer=ISSUER) for _ in range(2))
    for token in (theirs.mint(USER), theirs.anon_key, theirs.service_role_key, theirs.secret_key):
        assert theirs.verify(token)
        with pytest.raises(Unauthenticated):
            ours.verify(token)


def test_the_published_keys_are_public_and_ready_for_webcrypto(keys: KeySet) -> None:
    (key,) = keys.jwks()["keys"]
    assert set(key) == {"kty", "kid", "alg", "use", "key_ops", "ext", "crv", "x", "y"}
    assert (key["alg"], key["use"], key["key_ops"], key["ext"]) == (
        "ES256",
        "sig",
        ["verify"],
        True,
    )
    found = jws.deserialize_compact(keys.mint(USER), ECKey.import_key(key), algorithms=["ES256"])
    assert found.payload is not None and json.loads(found.payload)["sub"] == str(USER)
