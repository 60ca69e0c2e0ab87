"""What does one call to the Hub do, in a process of its own?

`huggingface_hub` blocks, waits without a ceiling when it is throttled and has no timeouts, and its
uploads run in Rust where nothing interrupts them. So it runs here, and is ended by killing this
process. Run by path, not as a module, so that nothing of the server is imported:

    python -P child.py

Standard input holds one line of JSON, `{"verb", "endpoint", "token", "namespace", "name", "home"}`
and for `publish` also `files` (`[[path, local], …]`) and `message`. Standard output gets one line:
`{"done": …}`, or `{"trouble": {"kind", "status", "message", "retry_after", "stage"}}`. When
standard input closes before that, the caller is gone: `home` is removed and the process ends.
"""

import hashlib
import json
import os
import re
import shutil
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

try:
    import httpx2
    from huggingface_hub import CommitOperationAdd, HfApi, set_client_factory
    from huggingface_hub.errors import (
        HfHubHTTPError,
        HFValidationError,
        RepositoryNotFoundError,
    )
    from huggingface_hub.hf_api import RepoFile
except ModuleNotFoundError:
    if __name__ != "__main__":
        raise
    MISSING = {"kind": "client_missing", "message": "huggingface_hub is not installed."}
    print(json.dumps({"trouble": MISSING}))
    sys.exit(0)

CONNECT_SECONDS_MAX = 10.0
READ_SECONDS_MAX = 120.0
# A longer wait is the queue's: it costs no process, no lease and no attempt there.
THROTTLED_SECONDS_MAX = 10.0
FAILURES_MAX = 2
COMMITS_MAX = 3
COMMIT_PAUSE_SECONDS = 0.5
MESSAGE_CHARACTERS_MAX = 500
HASH_CHUNK_BYTES = 1024 * 1024
BUSY = "another conflicting operation is in progress"
# A commit that met one of these may have been made, or may be made after another look.
MAYBE_COMMITTED = (408, 409, 412, 500, 502, 503, 504)
RATE_LIMIT = re.compile(r";\s*r\s*=\s*(\d+)\s*;\s*t\s*=\s*(\d+)")
STATUS_IN_TEXT = re.compile(r"\b([45]\d\d)\b")


class Stopped(Exception):
    """Going on would wait longer than a call may; what the server said is in `trouble`."""

    def __init__(self, kind: str, message: str, status: int | None, wait: float | None) -> None:
        super().__init__(message)
        self.trouble = {"kind": kind, "message": message, "status": status, "retry_after": wait}


class Client(httpx2.Client):
    """The client that `huggingface_hub` is given: every request has a time, every wait an end."""

    def __init__(self) -> None:
        super().__init__(follow_redirects=True, trust_env=False)
        self._stopped: Stopped | None = None
        self._failures: Counter[str] = Counter()

    def send(self, request: httpx2.Request, **options: Any) -> httpx2.Response:
        """Send `request`. Raises `Stopped` where the library would wait long or without an end."""
        if self._stopped is not None:
            raise self._stopped
        # Set here and not on the client: the library passes `timeout=None` for some requests.
        request.extensions["timeout"] = {
            "connect": CONNECT_SECONDS_MAX,
            "read": READ_SECONDS_MAX,
            "write": READ_SECONDS_MAX,
            "pool": READ_SECONDS_MAX,
        }
        place = f"{request.method} {request.url.copy_with(query=None)}"
        try:
            response = super().send(request, **options)
        except httpx2.TransportError as error:
            self._fail(place, "unreachable", f"{type(error).__name__}: {error}", None)
            raise
        self._judge(place, response)
        return response

    def _judge(self, place: str, response: httpx2.Response) -> None:
        status = response.status_code
        if status in (408, 429) or status >= 500:
            wait = wait_seconds(response)
            if wait is not None and wait > THROTTLED_SECONDS_MAX:
                self._stop("status", said_by(response), status, wait)
            self._fail(place, "status", said_by(response), status, wait)
        elif status == 409 and BUSY in said_by(response):
            # The library asks again at once, for ever.
            self._fail(place, "status", said_by(response), status)
            time.sleep(self._failures[place])

    def _fail(
        self, place: str, kind: str, message: str, status: int | None, wait: float | None = None
    ) -> None:
        self._failures[place] += 1
        if self._failures[place] > FAILURES_MAX:
            self._stop(kind, message, status, wait)

    def _stop(self, kind: str, message: str, status: int | None, wait: float | None) -> None:
        self._stopped = Stopped(kind, message, status, wait)
        raise self._stopped


def wait_seconds(response: httpx2.Response) -> float | None:
    """Return the wait that `ratelimit` or `Retry-After` asks for, None when neither does.

    `ratelimit: "api";r=0;t=55` is sent with every answer, and asks for a wait when nothing remains.
    """
    found = RATE_LIMIT.search(response.headers.get("ratelimit", ""))
    if found and found[1] == "0":
        return float(found[2])
    stated = response.headers.get("retry-after", "").strip()
    return float(stated) if stated.isdecimal() else None


def said_by(response: httpx2.Response) -> str:
    """Return the server's own sentence for an answer that is an error."""
    response.read()
    try:
        said = response.json().get("error")
    except (ValueError, AttributeError):
        said = None
    return str(said or response.headers.get("x-error-message") or f"HTTP {response.status_code}")


class Call:
    """One call. `stage` says what it is doing."""

    def __init__(self, request: dict[str, Any]) -> None:
        self._request = request
        self._api = HfApi(endpoint=request["endpoint"], token=request["token"])
        self.stage = "start"

    def publish(self) -> dict[str, Any]:
        """Make the repository when it is not there, and commit what its head does not hold."""
        for path, local in self._request["files"]:
            if not Path(local).is_file():
                raise FileNotFoundError(f"{path} is not where it was.")
        repo_id = self._repo_id()
        self.stage = "create"
        self._api.create_repo(repo_id, repo_type="model", private=True, exist_ok=True)
        failures: list[Exception] = []
        while True:
            head, missing = self._look(repo_id)
            if not missing:
                made = bool(failures) and not _lost_the_race(failures[-1])
                return self._published(repo_id, head, made)
            if len(failures) == COMMITS_MAX:
                raise failures[-1]
            self.stage = "commit"
            try:
                commit = self._api.create_commit(
                    repo_id,
                    [CommitOperationAdd(path, local) for path, local in missing],
                    commit_message=self._request["message"],
                    parent_commit=head,
                )
                return self._published(repo_id, commit.oid, True)
            except (HfHubHTTPError, httpx2.TransportError) as error:
                # Whether the commit was made, only the repository knows.
                if not _is_uncertain(error):
                    raise
                failures.append(error)
                time.sleep(COMMIT_PAUSE_SECONDS)

    def remove(self) -> dict[str, Any]:
        """Delete the repository; one that is not there is deleted already."""
        repo_id = self._repo_id()
        self.stage = "delete"
        try:
            self._api.delete_repo(repo_id, repo_type="model")
        except RepositoryNotFoundError as error:
            if error.response.status_code != 404:
                raise
        return {"repo_id": repo_id}

    def listing(self) -> dict[str, Any]:
        """Name the files at the head, sorted; None when there is no such repository."""
        repo_id = self._repo_id()
        self.stage = "look"
        try:
            paths = sorted(file.path for file in self._tree(repo_id, None))
        except RepositoryNotFoundError as error:
            if error.response.status_code != 404:
                raise
            return {"repo_id": repo_id, "paths": None}
        return {"repo_id": repo_id, "paths": paths}

    def _repo_id(self) -> str:
        name, namespace = self._request["name"], self._request["namespace"]
        if "/" in name:
            return str(name)
        if namespace is None:
            self.stage = "whoami"
            namespace = self._api.whoami()["name"]
        return f"{namespace}/{name}"

    def _published(self, repo_id: str, commit: str, made: bool) -> dict[str, Any]:
        url = f"{self._request['endpoint']}/{repo_id}"
        return {"repo_id": repo_id, "url": url, "commit": commit, "made_commit": made}

    def _look(self, repo_id: str) -> tuple[str, list[tuple[str, str]]]:
        """Return the head, and the files `(path, local)` that it does not hold as they are here."""
        self.stage = "look"
        info = self._api.model_info(repo_id)
        if not info.private or info.sha is None:
            raise Stopped("public", f"{repo_id} exists and is not private.", None, None)
        held = {file.path: file for file in self._tree(repo_id, info.sha)}
        missing = [
            (path, local)
            for path, local in self._request["files"]
            if path not in held or not _is_same(held[path], Path(local))
        ]
        return info.sha, missing

    def _tree(self, repo_id: str, revision: str | None) -> Iterator[RepoFile]:
        found: Iterable[Any] = self._api.list_repo_tree(repo_id, recursive=True, revision=revision)
        return (entry for entry in found if isinstance(entry, RepoFile))


def _is_uncertain(error: Exception) -> bool:
    if isinstance(error, HfHubHTTPError):
        return error.response.status_code in MAYBE_COMMITTED
    return True


def _lost_the_race(error: Exception) -> bool:
    return isinstance(error, HfHubHTTPError) and error.response.status_code == 412


def _is_same(held: RepoFile, local: Path) -> bool:
    """Return whether `held` is `local`, byte for byte: git's hash, or the large file's SHA-256."""
    size = local.stat().st_size
    if held.size != size:
        return False
    if held.lfs is not None:
        return held.lfs.sha256 == _digest(hashlib.sha256(), local)
    return held.blob_id == _digest(hashlib.sha1(b"blob %d\0" % size, usedforsecurity=False), local)


def _digest(digest: Any, local: Path) -> str:
    with local.open("rb") as file:
        while chunk := file.read(HASH_CHUNK_BYTES):
            digest.update(chunk)
    return str(digest.hexdigest())


def explain(error: BaseException) -> dict[str, Any]:
    """Return the trouble behind `error`: what stopped it, the status, or what its text says."""
    causes = list(_causes(error))
    for cause in causes:
        if isinstance(cause, Stopped):
            return cause.trouble
    for cause in causes:
        if isinstance(cause, HfHubHTTPError):
            return {
                "kind": "status",
                "status": cause.response.status_code,
                "message": cause.server_message or f"HTTP {cause.response.status_code}",
                "retry_after": wait_seconds(cause.response),
            }
        if isinstance(cause, httpx2.TransportError):
            return {"kind": "unreachable", "message": f"{type(cause).__name__}: {cause}"}
        if isinstance(cause, HFValidationError):
            return {"kind": "name_invalid", "message": str(cause)}
        if isinstance(cause, json.JSONDecodeError):
            return {"kind": "unreachable", "message": "What answered does not speak as the Hub."}
        if isinstance(cause, ValueError):
            return {"kind": "status", "status": 400, "message": str(cause)}
    # Xet raises Python's own errors, and the status is in the text alone.
    found = STATUS_IN_TEXT.search(str(error))
    if found and isinstance(error, OSError | RuntimeError):
        return {"kind": "status", "status": int(found[1]), "message": str(error)}
    kind = "unreachable" if isinstance(error, ConnectionError | TimeoutError) else "failed"
    return {"kind": kind, "message": f"{type(error).__name__}: {error}"}


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def answer(request: dict[str, Any]) -> dict[str, Any]:
    """Do what `request` asks, and return the document that tells how it went."""
    set_client_factory(Client)
    call = Call(request)
    verbs: dict[str, Callable[[], dict[str, Any]]] = {
        "publish": call.publish,
        "remove": call.remove,
        "listing": call.listing,
    }
    try:
        return {"done": verbs[request["verb"]]()}
    except Exception as error:
        trouble = {"status": None, "retry_after": None, **explain(error), "stage": call.stage}
        said = trouble["message"].replace(request["token"], "…")
        return {"trouble": {**trouble, "message": said[:MESSAGE_CHARACTERS_MAX]}}


def _end_with_the_caller(home: str) -> None:
    sys.stdin.buffer.read()
    shutil.rmtree(home, ignore_errors=True)
    os._exit(1)


def _main() -> None:
    # What the library prints goes to standard error: standard output is the answer's alone.
    output = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    request = json.loads(sys.stdin.buffer.readline())
    watch = threading.Thread(target=_end_with_the_caller, args=[request["home"]], daemon=True)
    watch.start()
    output.write(json.dumps(answer(request)) + "\n")
    output.flush()
    # Not a return: threads of Rust may still run, and nothing waits for them.
    os._exit(0)


if __name__ == "__main__":
    _main()
