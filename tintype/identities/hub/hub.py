"""How does the server speak with the Hub without waiting for it?"""

import asyncio
import contextlib
import json
import os
import shutil
import signal
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import msgspec

from tintype.config import IdentitiesConfig
from tintype.errors import Transient
from tintype.identities.hub.refusals import refusal
from tintype.identities.hub.tree import RepoFile

CHILD = Path(__file__).with_name("child.py")
# Only the Hub itself has Xet's servers; another endpoint is asked for Git LFS.
XET_HOST = "huggingface.co"
TROUBLE_CHARACTERS_MAX = 300


class Published(msgspec.Struct, frozen=True):
    """What a repository holds now. `commit` is its head; `made_commit`: this call made it."""

    repo_id: str
    url: str
    commit: str
    made_commit: bool


class Hub:
    """One account at one Hub. Holds no connection; each call is a child process of its own.

    `namespace` is the user or organization that owns the repositories (default: the token's
    user). A call takes at most `seconds_max`. A `name` with an owner (`owner/name`) is used as it
    is, so that a repository is found again after the token's account has changed.
    """

    def __init__(
        self,
        *,
        token: str,
        endpoint: str = "https://huggingface.co",
        namespace: str | None = None,
        seconds_max: float = 900,
    ) -> None:
        self._token = token
        self._endpoint = endpoint.rstrip("/")
        self._namespace = namespace
        self._seconds_max = seconds_max

    async def publish(self, name: str, files: Sequence[RepoFile], *, message: str) -> Published:
        """Make the private repository `name` hold `files`, and return what it holds.

        The repository is created when it is not there; what its head does not hold is committed in
        one commit with `message`, other files of it are left alone. Repeating it after any failure
        is safe: nothing is committed twice, and of two at once the later one looks again. Raises
        the errors of `refusals.refusal`, and `Transient` (`hub_timeout`).
        """
        done = await self._call(
            "publish", name, files=[(file.path, str(file.local)) for file in files], message=message
        )
        return msgspec.convert(done, Published)

    async def remove(self, name: str) -> None:
        """Delete the repository `name` and all that it holds. One that is not there is success."""
        await self._call("remove", name)

    async def listing(self, name: str) -> list[str] | None:
        """Return the paths of all files of `name`, sorted; None when there is no such one."""
        paths: list[str] | None = (await self._call("listing", name))["paths"]
        return paths

    async def _call(self, verb: str, name: str, **extra: Any) -> dict[str, Any]:
        home = tempfile.mkdtemp(prefix="tintype-hub-")
        request = {
            "verb": verb,
            "endpoint": self._endpoint,
            "token": self._token,
            "namespace": self._namespace,
            "name": name,
            "home": home,
            **extra,
        }
        try:
            async with asyncio.timeout(self._seconds_max):
                answer = await self._ask(request, Path(home))
        except TimeoutError:
            raise Transient(
                "hub_timeout", f"The Hub took longer than {self._seconds_max:g} s."
            ) from None
        finally:
            await asyncio.to_thread(shutil.rmtree, home, ignore_errors=True)
        if "trouble" in answer:
            raise refusal(answer["trouble"])
        done: dict[str, Any] = answer["done"]
        if "/" not in name:
            # The token's user, asked for once: that route is throttled strictly.
            self._namespace = done["repo_id"].partition("/")[0]
        return done

    async def _ask(self, request: dict[str, Any], home: Path) -> dict[str, Any]:
        """Run one child; it is gone, with all that it started, when this returns or raises."""
        with (home / "errors.txt").open("wb") as errors:
            child = await asyncio.create_subprocess_exec(
                sys.executable,
                "-P",
                str(CHILD),
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=errors,
                cwd=home,
                env=child_environment(self._endpoint, home),
                start_new_session=True,
            )
        assert child.stdin is not None and child.stdout is not None
        try:
            # It stays open: its end tells the child that the server is gone.
            child.stdin.write(json.dumps(request).encode() + b"\n")
            with contextlib.suppress(ConnectionError):
                await child.stdin.drain()
            output = await child.stdout.read()
        finally:
            if child.returncode is None:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(child.pid, signal.SIGKILL)
            await child.wait()
        try:
            answer: dict[str, Any] = json.loads(output)
        except ValueError:
            raise refusal({"kind": "failed", "message": self._last_words(home)}) from None
        return answer

    def _last_words(self, home: Path) -> str:
        words = (home / "errors.txt").read_text("utf-8", "replace").strip()
        words = words.replace(self._token, "…")[-TROUBLE_CHARACTERS_MAX:]
        return words or "It ended without an answer."


def open_hub(config: IdentitiesConfig) -> Hub | None:
    """Return the Hub that `config` names, None without a token. Nothing is connected.

    `config.hub` is not looked at: where identities are kept here from now on, those that were
    published before are still to be removed there.
    """
    if config.huggingface_token is None:
        return None
    return Hub(
        token=config.huggingface_token,
        endpoint=config.endpoint,
        namespace=config.namespace,
        seconds_max=config.publish_seconds_max,
    )


def child_environment(endpoint: str, home: Path) -> dict[str, str]:
    """Return all that a child finds in its environment: nothing of the server's, and no token.

    Xet's own retries ignore what the Hub says about waiting; they are kept short.
    """
    environment = {
        "HOME": str(home),
        "HF_HOME": str(home),
        "HF_ENDPOINT": endpoint,
        "HF_HUB_DISABLE_TELEMETRY": "1",
        "HF_HUB_DISABLE_PROGRESS_BARS": "1",
        "HF_HUB_DISABLE_IMPLICIT_TOKEN": "1",
        "HF_HUB_DISABLE_UPDATE_CHECK": "1",
        "HF_XET_TELEMETRY_ENABLED": "false",
        "HF_XET_CLIENT_RETRY_MAX_ATTEMPTS": "3",
        "HF_XET_CLIENT_RETRY_BASE_DELAY": "500ms",
        "LC_ALL": "C.UTF-8",
    }
    if urlsplit(endpoint).hostname != XET_HOST:
        environment["HF_HUB_DISABLE_XET"] = "1"
    return environment
