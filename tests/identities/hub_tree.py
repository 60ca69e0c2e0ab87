"""An identity's files, as they go to the Hub."""

import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from tests.support.hub_server import HubServer
from tintype.config import IdentitiesConfig
from tintype.identities.hub import Hub, RepoFile, open_hub, write_tree

NAME = "identity-john-1761480000000"
REPOSITORY = f"tester/{NAME}"
MESSAGE = "Upload training data for John (3 images)"
PARAMS = {"steps": 1000, "learning_rate": 0.0004, "resolution": 512, "rank": 16, "seed": 0}


def hub_of(server: HubServer, **settings: Any) -> Hub:
    """Return the Hub that a configuration with these settings opens."""
    given = {"huggingface_token": server.token, "endpoint": server.url, **settings}
    hub = open_hub(IdentitiesConfig(**given))
    assert hub is not None
    return hub


def make_tree(folder: Path, *, count: int = 3, **given: Any) -> list[RepoFile]:
    """Write `count` pictures and the files that explain them."""
    images = []
    for number in range(count):
        image = folder / f"photo {number}.jpeg"
        image.write_bytes(b"\xff\xd8\xff\xe0\x00\x10JFIF" + os.urandom(3000))
        images.append(image)
    arguments: dict[str, Any] = {
        "identity_name": "John",
        "user_id": "5f0c8b1e-0000-4000-8000-000000000001",
        "repo_name": NAME,
        "images": images,
        "created_at": datetime(2025, 10, 26, 12, 0, 0, 123456, tzinfo=UTC),
        "trigger_word": "john7f3a",
        "base": "flux",
        "params": PARAMS,
    }
    return write_tree(folder / "tree", **{**arguments, **given})


def held(files: list[RepoFile]) -> dict[str, bytes]:
    return {file.path: file.local.read_bytes() for file in files}
