"""Where do this server's own keys come from, and how are they kept?

They are made once, at first start, into one file that only its owner may read. Two processes
that start at once get the same keys, and a file is never half there.
"""

import base64
import hashlib
import os
import secrets
from pathlib import Path
from typing import Any, Literal
from uuid import uuid4

import msgspec
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import ECKey, OctKey

from tintype import clock
from tintype.errors import OperatorError

FILE_BYTES_MAX = 64 * 1024
PROJECT_KEY_SECONDS = 10 * 365 * 24 * 3600
SECRET_BYTES = 48
SECRET_CHARACTERS_MIN = 32
PROJECT = "tintype"


class KeyFile(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What `keys.json` holds. `repr` shows none of it."""

    version: Literal[1]
    signing_key: dict[str, Any]
    jwt_secret: str
    anon_key: str
    service_role_key: str
    publishable_key: str
    secret_key: str
    url_secret: str

    def __repr__(self) -> str:
        return "KeyFile(…)"


def open_key_file(path: Path) -> KeyFile:
    """Return the keys in `path`, made first if there is no such file. Blocking.

    Raises `OperatorError` `keys_damaged` for a file that does not hold what it should (it is
    left as it is: new keys would sign everybody out), and `keys_unreadable`.
    """
    try:
        if not path.exists():
            _make(path)
        with path.open("rb") as file:
            content = file.read(FILE_BYTES_MAX + 1)
    except OSError as error:
        raise OperatorError(
            "keys_unreadable", f"The key file {path} cannot be used: {error.strerror}."
        ) from error
    try:
        found = msgspec.json.decode(content, type=KeyFile)
        _check(found)
    except (msgspec.MsgspecError, JoseError, ValueError, TypeError, KeyError) as error:
        raise OperatorError(
            "keys_damaged",
            f"The key file {path} is damaged: {error}",
            hint="Put it back from a backup. With the file moved away, new keys are made at the"
            " next start; then every session ends and apps need the new API keys.",
        ) from error
    return found


def signing_key(file: KeyFile) -> ECKey:
    """Return the private ES256 key that signs access tokens."""
    return ECKey.import_key(file.signing_key)


def _make(path: Path) -> None:
    """Write new keys under another name and link them in place; the first process wins."""
    path.parent.mkdir(parents=True, exist_ok=True)
    new = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    handle = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(msgspec.json.format(msgspec.json.encode(_new_keys()), indent=2) + b"\n")
            file.flush()
            os.fsync(file.fileno())
        try:
            os.link(new, path)
        except FileExistsError:
            return
        folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
    finally:
        new.unlink()


def _new_keys() -> KeyFile:
    key = ECKey.generate_key("P-256", {"kid": str(uuid4()), "use": "sig", "alg": "ES256"})
    secret = secrets.token_urlsafe(SECRET_BYTES)
    return KeyFile(
        version=1,
        signing_key=dict(key.as_dict(private=True)),
        jwt_secret=secret,
        anon_key=_project_key("anon", secret),
        service_role_key=_project_key("service_role", secret),
        publishable_key=_opaque_key("sb_publishable_"),
        secret_key=_opaque_key("sb_secret_"),
        url_secret=secrets.token_urlsafe(SECRET_BYTES),
    )


def _project_key(role: str, secret: str) -> str:
    """Return a key in the shape that Supabase's have: no user, no audience, ten years."""
    now = int(clock.unix_seconds())
    claims = {"iss": "supabase", "ref": PROJECT, "role": role, "iat": now}
    claims["exp"] = now + PROJECT_KEY_SECONDS
    return jwt.encode({"alg": "HS256", "typ": "JWT"}, claims, OctKey.import_key(secret))


def _opaque_key(prefix: str) -> str:
    """Return prefix, 22 random characters and 8 that a secret scanner can check."""
    stem = prefix + _text(secrets.token_bytes(16))
    return f"{stem}_{_text(hashlib.sha256(f'{PROJECT}|{stem}'.encode()).digest())[:8]}"


def _text(value: bytes) -> str:
    return base64.urlsafe_b64encode(value).decode().rstrip("=")


def _check(file: KeyFile) -> None:
    key = signing_key(file)
    if key.curve_name != "P-256" or not key.is_private or not key.kid:
        raise ValueError("signing_key is not a private P-256 key with a kid")
    for name in ("jwt_secret", "url_secret"):
        if len(getattr(file, name)) < SECRET_CHARACTERS_MIN:
            raise ValueError(f"{name} is shorter than {SECRET_CHARACTERS_MIN} characters")
    secret = OctKey.import_key(file.jwt_secret)
    for role, token in (("anon", file.anon_key), ("service_role", file.service_role_key)):
        if jwt.decode(token, secret, algorithms=["HS256"]).claims.get("role") != role:
            raise ValueError(f"{role}_key names another role")
    for prefix, value in (
        ("sb_publishable_", file.publishable_key),
        ("sb_secret_", file.secret_key),
    ):
        if not value.startswith(prefix):
            raise ValueError(f"a key does not start with {prefix}")
