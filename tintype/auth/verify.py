"""Does this token hold, and whom does it name?

The algorithm belongs to the key: a header can only pick among keys, never decide how one of them
is used. Only signatures count; nothing a header points to or carries is ever loaded.
"""

from typing import Any, TypeGuard
from uuid import NAMESPACE_URL, UUID, uuid5

import msgspec
from joserfc.errors import JoseError, UnsupportedAlgorithmError
from joserfc.jwk import ECKey, Key, OKPKey, RSAKey, import_key
from joserfc.jws import CompactSignature, JWSRegistry, extract_compact
from joserfc.jws import validate_compact as validate_signature

from tintype.auth.principal import WORKER_ROLE, Principal
from tintype.database import CALLER_ROLES
from tintype.errors import Unauthenticated

TOKEN_BYTES_MAX = 16 * 1024
# How far the clocks of the issuer and of this machine may be apart.
LEEWAY_SECONDS = 30
RSA_BITS_MIN = 2048
# What RFC 8725 §3.11 asks for: a token made for something else says so in `typ`.
TYPES = ("jwt", "at+jwt")


class VerificationKey(msgspec.Struct, frozen=True):
    """A key with the only algorithms it may be used for. `outside`: another issuer's."""

    material: Any
    algorithms: frozenset[str]
    kid: str | None = None
    outside: bool = False


class Unverified(msgspec.Struct, frozen=True):
    """A token taken apart; nothing in it is believed yet."""

    algorithm: str
    kid: str | None
    signature: Any


class _OneAlgorithm(JWSRegistry):
    """Allows a single algorithm by name, EdDSA too, which many issuers still write."""

    def __init__(self, name: str) -> None:
        super().__init__(algorithms=[name], strict_check_header=False)
        self._name = name

    def get_alg(self, name: str) -> Any:
        if name != self._name:
            raise UnsupportedAlgorithmError(f"{name} is not the algorithm of this key")
        return self.algorithms[name]


_REGISTRIES = {
    name: _OneAlgorithm(name) for name in ("HS256", "RS256", "ES256", "EdDSA", "Ed25519")
}


def take_apart(token: str) -> Unverified:
    """Return the header's algorithm and key id, and the signature to check.

    Raises `Unauthenticated`: `token_too_large`, `token_malformed`, `token_algorithm`.
    """
    if len(token) > TOKEN_BYTES_MAX:
        raise Unauthenticated(
            "token_too_large", f"An access token has at most {TOKEN_BYTES_MAX} bytes."
        )
    try:
        signature = extract_compact(token.encode("ascii"))
        header = signature.protected
        algorithm, kid = header["alg"], header.get("kid")
        kind = header.get("typ", "JWT")
    except (JoseError, ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise _malformed() from error
    # `crit` names extensions that must be understood; this understands none.
    if not isinstance(kind, str) or kind.lower() not in TYPES or header.keys() & {"crit", "b64"}:
        raise _malformed()
    if not isinstance(algorithm, str) or not isinstance(kid, str | None):
        raise _malformed()
    if algorithm not in _REGISTRIES:
        raise Unauthenticated(
            "token_algorithm",
            "The token is signed with an algorithm that is not accepted.",
            hint=f"Sign with one of {', '.join(_REGISTRIES)}.",
        )
    return Unverified(algorithm, kid, signature)


def check_signature(token: Unverified, key: VerificationKey) -> bytes:
    """Return the signed payload; raise `Unauthenticated` `token_signature` if it is not."""
    signature: CompactSignature = token.signature
    try:
        holds = token.algorithm in key.algorithms and validate_signature(
            signature, key.material, registry=_REGISTRIES[token.algorithm]
        )
    except (JoseError, ValueError, TypeError):
        holds = False
    if not holds:
        raise Unauthenticated("token_signature", "The token's signature does not verify.")
    payload = signature.payload
    if payload is None:
        raise _malformed()
    return payload


def read_claims(payload: bytes, *, now: float) -> dict[str, Any]:
    """Return the claims if they are valid at `now` (unix seconds), give or take the leeway.

    Raises `Unauthenticated`: `token_malformed`, `token_expired`, `token_not_yet_valid`. A token
    without `exp` would hold for ever and is malformed. One that was issued later than now, by a
    clock that is wrong or by somebody who saves it up, is not valid yet, as at PostgREST.
    """
    try:
        claims = msgspec.json.decode(payload, type=dict[str, Any])
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        raise _malformed() from error
    expires, begins = claims.get("exp"), claims.get("nbf", 0)
    issued = claims.get("iat", 0)
    if not _is_number(expires) or not _is_number(begins) or not _is_number(issued):
        raise _malformed()
    if now >= expires + LEEWAY_SECONDS:
        raise Unauthenticated(
            "token_expired", "The access token has expired.", hint="Sign in again or refresh it."
        )
    if now < max(begins, issued) - LEEWAY_SECONDS:
        raise Unauthenticated("token_not_yet_valid", "The access token is not valid yet.")
    return claims


def principal_of(
    claims: dict[str, Any],
    *,
    outside: bool,
    issuer: str | None = None,
    audience: str | None = None,
) -> Principal:
    """Return the caller that verified claims name.

    A token without `role` is `anon`. A user's `sub` is a uuid; where an outside issuer names its
    users otherwise, the uuid is `uuid5(NAMESPACE_URL, "<iss>#<sub>")`, the same for ever, and the
    issuer's own word stays in the claim `external_sub`. An outside issuer names users only: the
    service role and workers are for the keys of this server. With `issuer`, an outside `iss` must
    equal it; with `audience`, an outside `aud` must be it or name it, for an issuer that signs for
    many apps with the same keys. A worker's token has the ids of worker and key as claims, and no
    `sub`.

    Raises `Unauthenticated`: `token_issuer`, `token_audience`, `token_role`, `token_subject`.
    """
    if outside and issuer is not None and claims.get("iss") != issuer:
        raise Unauthenticated("token_issuer", "The token comes from another issuer.")
    if outside and audience is not None and not _names(claims.get("aud"), audience):
        raise Unauthenticated("token_audience", "The token was made for another application.")
    role = claims.get("role", "anon")
    if role not in CALLER_ROLES or (outside and role in ("service_role", WORKER_ROLE)):
        raise Unauthenticated("token_role", "The token's role is not one that this server grants.")
    claims = claims | {"role": role}
    subject = claims.get("sub")
    if role == WORKER_ROLE and (
        subject is not None or not _uuid(claims.get("worker")) or not _uuid(claims.get("key_id"))
    ):
        raise Unauthenticated("token_subject", "The token does not name a worker.")
    user = _uuid(subject)
    if user is None and outside and isinstance(subject, str) and subject:
        user = uuid5(NAMESPACE_URL, f"{claims.get('iss', '')}#{subject}")
        claims |= {"sub": str(user), "external_sub": subject}
    if user is None and (role == "authenticated" or subject is not None):
        raise Unauthenticated("token_subject", "The token's subject is not a user's id.")
    return Principal(role, user if role == "authenticated" else None, claims)


def outside_keys(document: Any) -> list[VerificationKey]:
    """Return the usable keys of a JWKS document; a key of another kind or use is left out.

    Symmetric keys are never taken: whoever can read the document could sign with them. Raises
    `ValueError` when the document is no key set.
    """
    listed = document.get("keys") if isinstance(document, dict) else None
    if not isinstance(listed, list):
        raise ValueError("not a key set")
    keys = (_outside_key(item) for item in listed if isinstance(item, dict))
    return [key for key in keys if key is not None]


def _outside_key(item: dict[str, Any]) -> VerificationKey | None:
    if item.get("kty") not in ("RSA", "EC", "OKP") or item.get("use", "sig") != "sig":
        return None
    if "verify" not in item.get("key_ops", ["verify"]):
        return None
    if item["kty"] == "RSA" and len(str(item.get("n", ""))) * 6 < RSA_BITS_MIN:
        return None  # joserfc would warn on every fetch
    try:
        # Only the public parts: a private key published by mistake is of no use here.
        material = import_key({k: v for k, v in item.items() if k in _PUBLIC_PARTS})
    except (JoseError, ValueError, TypeError, KeyError):
        return None
    algorithms = _algorithms_of(material)
    named, kid = item.get("alg"), item.get("kid")
    if not algorithms or (named is not None and named not in algorithms):
        return None
    return VerificationKey(
        material, algorithms, kid if isinstance(kid, str) else None, outside=True
    )


_PUBLIC_PARTS = frozenset(("kty", "crv", "x", "y", "n", "e"))


def _algorithms_of(key: Key) -> frozenset[str]:
    if isinstance(key, RSAKey) and key.raw_value.key_size >= RSA_BITS_MIN:
        return frozenset(("RS256",))
    if isinstance(key, ECKey) and key.curve_name == "P-256":
        return frozenset(("ES256",))
    if isinstance(key, OKPKey) and key.curve_name == "Ed25519":
        return frozenset(("EdDSA", "Ed25519"))
    return frozenset()


def _names(audiences: Any, wanted: str) -> bool:
    return wanted in audiences if isinstance(audiences, list) else audiences == wanted


def _uuid(value: Any) -> UUID | None:
    # Only the usual form: braces and urn: are uuids to Python and an error to Postgres's readers.
    if not isinstance(value, str) or len(value) != 36:
        return None
    try:
        return UUID(value)
    except ValueError:
        return None


def _is_number(value: Any) -> TypeGuard[float]:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _malformed() -> Unauthenticated:
    return Unauthenticated("token_malformed", "This is not an access token.")
