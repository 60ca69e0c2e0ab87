"""Tokens that prove nothing, made as somebody would make them who wants to be Ada or the service.

`FORGED` holds those that anybody can make. `MISUSED` are signed with a key that counts, the
project's own secret or the outside issuer's, and claim what that key may not give.
"""

import base64
import hashlib
import hmac
import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from joserfc import jws
from joserfc.jwk import ECKey, RSAKey

from tests.auth.outside_issuer import OUTSIDE, OutsideIssuer
from tintype.auth import KeySet

SECONDS = 600
Claims = dict[str, Any]


@dataclass(frozen=True)
class Target:
    """Whom to be, where, and what a forger has for it."""

    keys: KeySet
    user: str
    # A place of the forger's own, which publishes the key that a header points to.
    trap: str
    another: KeySet
    outside: OutsideIssuer

    @property
    def kid(self) -> str:
        return str(self.keys.jwks()["keys"][0]["kid"])


Forge = Callable[[Target], str]


def text(value: bytes) -> str:
    return base64.urlsafe_b64encode(value).decode().rstrip("=")


def claims(target: Target, **changes: Any) -> Claims:
    """Return what Ada's own token says, but for the changes; None takes a claim away."""
    now = int(time.time())
    full = {
        "iss": target.keys.issuer,
        "sub": target.user,
        "aud": "authenticated",
        "role": "authenticated",
        "iat": now,
        "exp": now + SECONDS,
    }
    return {name: value for name, value in (full | changes).items() if value is not None}


def by_hand(head: Any, body: Any, secret: bytes | None = None) -> str:
    """Write a token as no library would; without a secret its signature is empty."""
    signed = ".".join(text(json.dumps(part).encode()) for part in (head, body))
    mark = b"" if secret is None else hmac.digest(secret, signed.encode(), hashlib.sha256)
    return f"{signed}.{text(mark)}"


def none(spelling: str, *, signed: bool = False) -> Forge:
    def forge(target: Target) -> str:
        token = by_hand({"alg": spelling, "typ": "JWT"}, claims(target))
        return token + target.keys.mint(target.user).rpartition(".")[2] if signed else token

    return forge


def confused(form: str, *, with_kid: bool = False) -> Forge:
    """Sign by HS256 with what is public of the server's own key as the secret."""

    def forge(target: Target) -> str:
        published = target.keys.jwks()["keys"][0]
        key = ECKey.import_key(published)
        coordinates = [base64.urlsafe_b64decode(published[name] + "==") for name in "xy"]
        secret = {
            "pem": key.as_pem(private=False),
            "stripped pem": key.as_pem(private=False).strip(),
            "der": key.as_der(private=False),
            "jwk": json.dumps(published).encode(),
            "short jwk": json.dumps(published, separators=(",", ":")).encode(),
            "point": b"\x04" + b"".join(coordinates),
            "x": coordinates[0],
            "kid": target.kid.encode(),
        }[form]
        head = {"alg": "HS256", "typ": "JWT"} | ({"kid": target.kid} if with_kid else {})
        return by_hand(head, claims(target), secret)

    return forge


def own_key(**header: Any) -> Forge:
    """Sign with a key of the forger's own, and say in the header where it is to be had."""

    def forge(target: Target) -> str:
        key = ECKey.generate_key("P-256", {"kid": "mine"})
        holes = {"JWK": key.as_dict(private=False), "TRAP": target.trap, "KID": target.kid}
        given = {
            name: holes.get(value, value) if isinstance(value, str) else value
            for name, value in header.items()
        }
        return signed({"alg": "ES256", "typ": "JWT"} | given, claims(target), key)

    return forge


def by_kid(kid: Any, secret: bytes = b"") -> Forge:
    """Sign by HS256 with what a server finds that follows the kid: an empty file, a constant."""
    return lambda target: by_hand(
        {"alg": "HS256", "typ": "JWT", "kid": kid}, claims(target), secret
    )


def signed(head: Claims, body: Claims, key: Any) -> str:
    registry = jws.JWSRegistry(algorithms=[head["alg"]], strict_check_header=False)
    return jws.serialize_compact(head, json.dumps(body).encode(), key, registry=registry)


def legacy(**changes: Any) -> Forge:
    """Sign with the project's own secret, which only the operator has."""
    return lambda target: by_hand(
        {"alg": "HS256", "typ": "JWT"},
        claims(target, **changes),
        target.keys.jwt_secret.encode(),
    )


def from_outside(**changes: Any) -> Forge:
    """Sign as the outside issuer does."""
    return lambda target: signed(
        {"alg": "ES256", "kid": "ec", "typ": "JWT"},
        claims(target, **({"iss": OUTSIDE} | changes)),
        target.outside.ec,
    )


def tampered(**changes: Any) -> Forge:
    """Change what a good token says."""

    def forge(target: Target) -> str:
        head, _, mark = target.keys.mint(target.user).split(".")
        return f"{head}.{text(json.dumps(claims(target, **changes)).encode())}.{mark}"

    return forge


CERTIFICATE = [base64.b64encode(b"not one").decode()]
FORGED: dict[str, Forge] = {
    **{f"alg {word!r}": none(word) for word in ("none", "None", "NONE", "nOnE", " none", "")},
    "alg none, with a good signature": none("none", signed=True),
    "alg none as a list": lambda target: by_hand({"alg": ["none"]}, claims(target)),
    "no alg": lambda target: by_hand({"typ": "JWT"}, claims(target), b""),
    "no header": lambda target: f".{text(json.dumps(claims(target)).encode())}.",
    **{
        f"public key as secret: {form}": confused(form)
        for form in ("pem", "stripped pem", "der", "jwk", "short jwk", "point", "x", "kid")
    },
    "public key as secret, with its kid": confused("pem", with_kid=True),
    "another project's ES256": lambda target: target.another.mint(target.user),
    "another project's ES256 under our kid": own_key(kid="KID"),
    "another project's HS256": lambda target: by_hand(
        {"alg": "HS256"}, claims(target), target.another.jwt_secret.encode()
    ),
    "another project's anon key": lambda target: target.another.anon_key,
    "another project's service key": lambda target: target.another.service_role_key,
    "another project's publishable key": lambda target: target.another.publishable_key,
    "another project's secret key": lambda target: target.another.secret_key,
    "the public demo key of Supabase": lambda target: by_hand(
        {"alg": "HS256", "typ": "JWT"},
        {"iss": "supabase-demo", "role": "service_role", "exp": 1983812996},
        b"super-secret-jwt-token-with-at-least-32-characters-long",
    ),
    "kid of an empty file": by_kid("../../../../dev/null"),
    "kid of an absolute path": by_kid("/dev/null"),
    "kid of a URL": by_kid("file:///dev/null"),
    "kid with SQL": by_kid("' union select 'x' --", b"x"),
    "kid with a command": by_kid("key; sleep 5 |"),
    "kid with NUL": by_kid("ec\0"),
    "kid unknown": by_kid("a guess"),
    "kid empty": by_kid(""),
    "kid of 8 kB": by_kid("k" * 8192),
    "kid a number": by_kid(0),
    "kid an object": by_kid({"$ne": None}),
    "key in the header": own_key(jwk="JWK"),
    "key in the header, our kid": own_key(jwk="JWK", kid="KID"),
    "key behind jku": own_key(jku="TRAP", kid="mine"),
    "key behind jku, our kid": own_key(jku="TRAP", kid="KID"),
    "key behind x5u": own_key(x5u="TRAP", kid="mine"),
    "certificate in the header": own_key(x5c=CERTIFICATE, kid="KID"),
    "crit": lambda target: by_hand({"alg": "HS256", "crit": ["exp"]}, claims(target), b"x"),
    "RS256 of a stranger": lambda target: signed(
        {"alg": "RS256", "kid": "rsa"}, claims(target), RSAKey.generate_key(2048)
    ),
    "outside issuer's public key as secret": lambda target: by_hand(
        {"alg": "HS256", "kid": "rsa"},
        claims(target, iss=OUTSIDE),
        target.outside.rsa.as_pem(private=False),
    ),
    "other role": tampered(role="service_role"),
    "other user": tampered(sub="00000000-0000-4000-8000-000000000000"),
    "longer life": tampered(exp=2**31),
    "no signature": lambda target: target.keys.mint(target.user).rpartition(".")[0] + ".",
    "cut short": lambda target: target.keys.mint(target.user)[:-10],
    "48 kB": lambda target: by_hand({"alg": "HS256"}, claims(target, x="x" * 36_000), b"x"),
    "16 kB of dots": lambda target: "." * 16_000,
    "no base64": lambda target: "ey!.ey!.ey!",
    "only the prefix": lambda target: "sb_",
    "a guess at the secret key": lambda target: target.keys.secret_key[:-1] + "~",
    "the word null": lambda target: "null",
    "JSON": lambda target: '{"alg":"none"}',
}
ROLES = (
    "postgres",
    "tintype",
    "pg_read_all_data",
    "authenticator",
    "supabase_admin",
    "SERVICE_ROLE",
    "service_role ",
    "",
    "authenticated; reset role",
    'authenticated"; set role postgres; --',
    "none",
)
LATER = 3600
MISUSED: dict[str, Forge] = {
    **{f"role {role!r}": legacy(role=role) for role in ROLES},
    "role a list": legacy(role=["service_role"]),
    "role an object": legacy(role={"$ne": "anon"}),
    "no sub": legacy(sub=None),
    "sub empty": legacy(sub=""),
    "sub a number": legacy(sub=7),
    "sub no uuid": legacy(sub="ada"),
    "sub with SQL": legacy(sub="' or true --"),
    "expired": legacy(exp=int(time.time()) - 60),
    "expired long ago": legacy(exp=1),
    "for ever": legacy(exp=None),
    "exp a text": legacy(exp="9999999999"),
    "not yet": legacy(nbf=int(time.time()) + LATER),
    "issued later": legacy(iat=int(time.time()) + LATER, exp=int(time.time()) + 2 * LATER),
    "typ of another use": lambda target: by_hand(
        {"alg": "HS256", "typ": "logout+jwt"}, claims(target), target.keys.jwt_secret.encode()
    ),
    "outside: service role": from_outside(role="service_role"),
    "outside: role postgres": from_outside(role="postgres"),
    "outside: wrong issuer": from_outside(iss="https://evil.example.com/"),
    "outside: issuer is a prefix": from_outside(iss=OUTSIDE + "evil"),
    "outside: our own issuer": lambda target: from_outside(iss=target.keys.issuer)(target),
    "outside: no issuer": from_outside(iss=None),
    "outside: no sub": from_outside(sub=None),
    "outside: expired": from_outside(exp=1),
    "outside: issued later": from_outside(iat=int(time.time()) + LATER),
}
