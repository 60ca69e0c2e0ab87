"""The keys are made once and kept."""

import base64
import hashlib
import json
import os
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from joserfc import jwt
from joserfc.jwk import OctKey
from outside_issuer import ISSUER

from tintype.auth import keyfile, open_keys
from tintype.errors import OperatorError

PRINTS_A_KEY = """
import sys
from pathlib import Path
from tintype.auth import open_keys
sys.stdin.readline()
print(open_keys(Path(sys.argv[1]), issuer="x").secret_key)
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "data" / "keys.json"


def test_the_file_is_made_once_and_only_its_owner_may_read_it(path: Path) -> None:
    first = open_keys(path, issuer=ISSUER)
    second = open_keys(path, issuer=ISSUER)
    assert first.secret_key == second.secret_key
    assert first.url_secret == second.url_secret
    assert first.jwks() == second.jwks()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [found.name for found in path.parent.iterdir()] == ["keys.json"]


def test_processes_that_start_at_once_get_the_same_keys(path: Path) -> None:
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", PRINTS_A_KEY, str(path)],
            env={"PYTHONPATH": str(Path(keyfile.__file__).parents[2]), "PATH": os.defpath},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for _ in range(4)
    ]
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
    printed = {process.communicate()[0] for process in processes}
    assert len(printed) == 1 and printed.pop().startswith("sb_secret_")
    assert [found.name for found in path.parent.iterdir()] == ["keys.json"]


def test_the_loser_of_the_race_takes_the_winners_keys(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    winner = open_keys(path, issuer=ISSUER)
    looked = Path.exists

    def just_missed(self: Path, **options: Any) -> bool:
        return self != path and looked(self, **options)

    monkeypatch.setattr(Path, "exists", just_missed)
    assert open_keys(path, issuer=ISSUER).secret_key == winner.secret_key


def test_the_project_keys_have_supabases_shape(path: Path) -> None:
    keys = open_keys(path, issuer=ISSUER)
    for role, token in (("anon", keys.anon_key), ("service_role", keys.service_role_key)):
        decoded = jwt.decode(token, OctKey.import_key(keys.jwt_secret), algorithms=["HS256"])
        assert decoded.header == {"alg": "HS256", "typ": "JWT"}
        assert set(decoded.claims) == {"iss", "ref", "role", "iat", "exp"}
        assert decoded.claims["role"] == role
        assert decoded.claims["exp"] - decoded.claims["iat"] == 10 * 365 * 24 * 3600


def test_the_opaque_keys_carry_a_checksum(path: Path) -> None:
    keys = open_keys(path, issuer=ISSUER)
    for prefix, key in (
        ("sb_publishable_", keys.publishable_key),
        ("sb_secret_", keys.secret_key),
    ):
        assert key.startswith(prefix) and len(key) == len(prefix) + 22 + 1 + 8
        digest = hashlib.sha256(f"tintype|{key[:-9]}".encode()).digest()
        assert base64.urlsafe_b64encode(digest).decode()[:8] == key[-8:]


def test_no_secret_shows_in_a_repr(path: Path) -> None:
    keys = open_keys(path, issuer=ISSUER)
    shown = repr(keys) + repr(keyfile.open_key_file(path))
    for secret in (keys.secret_key, keys.jwt_secret, keys.service_role_key):
        assert secret not in shown


def change(field: str, value: Any) -> Any:
    def damage(text: bytes) -> bytes:
        return json.dumps(json.loads(text) | {field: value}).encode()

    return damage


@pytest.mark.parametrize(
    "damage",
    [
        pytest.param(lambda text: b"", id="empty"),
        pytest.param(lambda text: text[: len(text) // 2], id="cut off"),
        pytest.param(lambda text: b"\xff" + text, id="not text"),
        pytest.param(lambda text: b"[]", id="another shape"),
        pytest.param(change("unheard_of", 1), id="unknown field"),
        pytest.param(change("version", 2), id="unknown version"),
        pytest.param(change("jwt_secret", "short"), id="short secret"),
        pytest.param(change("jwt_secret", "x" * 64), id="secret of other keys"),
        pytest.param(change("signing_key", {}), id="no signing key"),
        pytest.param(change("signing_key", {"kty": "oct", "k": "AAAA"}), id="symmetric key"),
        pytest.param(change("secret_key", ""), id="empty secret key"),
        pytest.param(lambda text: b"[" * 60_000, id="deep"),
    ],
)
def test_a_damaged_file_stops_the_start_and_stays_as_it_is(path: Path, damage: Any) -> None:
    open_keys(path, issuer=ISSUER)
    path.write_bytes(damage(path.read_bytes()))
    damaged = path.read_bytes()
    with pytest.raises(OperatorError) as caught:
        open_keys(path, issuer=ISSUER)
    assert caught.value.code == "keys_damaged"
    assert path.read_bytes() == damaged


def test_a_public_key_in_the_signing_keys_place_is_damage(path: Path) -> None:
    open_keys(path, issuer=ISSUER)
    document = json.loads(path.read_bytes())
    del document["signing_key"]["d"]
    path.write_text(json.dumps(document))
    with pytest.raises(OperatorError, match="private"):
        open_keys(path, issuer=ISSUER)


def test_a_place_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(OperatorError) as caught:
        open_keys(tmp_path / "file" / "keys.json", issuer=ISSUER)
    assert caught.value.code == "keys_unreadable"
