"""A real HTTP server that speaks as the Hugging Face Hub does, and fails as it is told.

It speaks what `huggingface_hub` and `@huggingface/hub` need to make a private repository, commit to
it and read it: `whoami-v2`, `repos/create` and `delete`, `validate-yaml`, `preupload`, Git LFS
(basic, and multipart above `part_bytes`), NDJSON commits, trees and downloads. It has no Xet.
Large bytes are checked against their SHA-256; a commit whose bytes never arrived is refused.

In a test: `async with HubServer() as hub: Hub(token=hub.token, endpoint=hub.url)`, then
`hub.files("tester/name")`, `hub.titles("tester/name")`, and before it
`hub.fault("commit", drop="after")`. By itself: `python -m tests.support.hub_server --port 0` prints
`{"url": …, "token": …}` on one line and serves until it is ended; then over HTTP:

    POST /control/fault     {"route": "commit", "status": 429, "headers": {"retry-after": "60"}}
    POST /control/reset     forget the faults and the requests, keep the repositories
    GET  /control/requests  [{"route", "method", "path", "status"}]
    GET  /control/repositories  {"tester/name": {"private", "titles", "files": {path: sha256}}}

A fault meets the `times` next requests of its route after `skip` others: `status` (with `error`
and `headers`), `drop` (`before` or `after` the request was applied), `hang` (until `hub.release()`,
then dropped) or `hold` (until then, then applied and answered). The routes are those of `ROUTES`.
"""

import argparse
import asyncio
import base64
import contextlib
import dataclasses
import hashlib
import json
import re
from collections.abc import Callable
from types import TracebackType
from typing import Any
from urllib.parse import unquote

from tests.support.hub_repositories import HubRefusal, Repositories, Repository, card_errors

LINE_BYTES_MAX = 1 << 20
REPO = r"(?P<owner>[^/]+)/(?P<name>[^/]+)"
ROUTES = (
    ("harnesses", "GET", r"/api/agent-harnesses"),
    ("whoami", "GET", r"/api/whoami-v2"),
    ("create", "POST", r"/api/repos/create"),
    ("delete", "DELETE", r"/api/repos/delete"),
    ("validate_yaml", "POST", r"/api/validate-yaml"),
    ("preupload", "POST", rf"/api/models/{REPO}/preupload/(?P<revision>[^/]+)"),
    ("commit", "POST", rf"/api/models/{REPO}/commit/(?P<revision>[^/]+)"),
    ("tree", "GET", rf"/api/models/{REPO}/tree/(?P<revision>[^/]+)"),
    ("xet_token", "GET", rf"/api/models/{REPO}/xet-write-token/(?P<revision>[^/]+)"),
    ("info", "GET", rf"/api/models/{REPO}(?:/revision/(?P<revision>[^/]+))?"),
    ("lfs_batch", "POST", rf"/{REPO}\.git/info/lfs/objects/batch"),
    ("lfs_verify", "POST", rf"/{REPO}\.git/info/lfs/objects/verify"),
    ("lfs_put", "PUT", rf"/lfs/{REPO}/(?P<oid>[0-9a-f]{{64}})"),
    ("lfs_part", "PUT", rf"/lfs/{REPO}/(?P<oid>[0-9a-f]{{64}})/(?P<part>\d+)"),
    ("lfs_complete", "POST", rf"/lfs/{REPO}/(?P<oid>[0-9a-f]{{64}})/complete"),
    ("resolve", "GET|HEAD", rf"/{REPO}/resolve/(?P<revision>[^/]+)/(?P<path>.+)"),
)
# Uploads go to signed addresses, without the token.
OPEN_ROUTES = ("harnesses", "lfs_put", "lfs_part", "lfs_complete", "validate_yaml")


@dataclasses.dataclass
class Fault:
    """What the next requests of one route meet."""

    skip: int
    times: int
    status: int | None
    error: str
    headers: dict[str, str]
    drop: str | None
    hang: bool
    hold: bool


@dataclasses.dataclass
class Asked:
    """One request."""

    route: str
    method: str
    headers: dict[str, str]
    body: bytes
    given: dict[str, str]

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def repo_id(self) -> str:
        return f"{self.given['owner']}/{self.given['name']}"


@dataclasses.dataclass
class Reply:
    status: int
    body: Any = None
    headers: dict[str, str] = dataclasses.field(default_factory=dict)

    def content(self) -> bytes:
        return self.body if isinstance(self.body, bytes) else json.dumps(self.body).encode()


class HubServer:
    """The server, in the running event loop. `url` is its address once entered.

    `user` and `organizations` may own repositories. `part_bytes`: larger files come in parts.
    """

    def __init__(
        self,
        host: str = "127.0.0.1",
        port: int = 0,
        *,
        token: str = "hf_testing",
        user: str = "tester",
        organizations: tuple[str, ...] = (),
        part_bytes: int | None = None,
    ) -> None:
        self._host, self._port = host, port
        self._server: asyncio.Server | None = None
        self._handlers: set[asyncio.Task[Any]] = set()
        self._parts: dict[str, dict[int, bytes]] = {}
        self._released = asyncio.Event()
        self._came = asyncio.Condition()
        self.token, self.user, self.part_bytes = token, user, part_bytes
        self.repositories = Repositories({user, *organizations})
        self.faults: dict[str, list[Fault]] = {}
        self.requests: list[dict[str, Any]] = []
        self.url = ""

    async def __aenter__(self) -> "HubServer":
        self._server = await asyncio.start_server(
            self._serve, self._host, self._port, limit=LINE_BYTES_MAX
        )
        host, port = self._server.sockets[0].getsockname()[:2]
        self.url = f"http://{host}:{port}"
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        assert self._server is not None
        self._server.close()
        for task in tuple(self._handlers):
            task.cancel()
        await asyncio.gather(*self._handlers, return_exceptions=True)

    def fault(
        self,
        route: str,
        *,
        skip: int = 0,
        times: int = 1,
        status: int | None = None,
        error: str = "It is so because the test says so.",
        headers: dict[str, str] | None = None,
        drop: str | None = None,
        hang: bool = False,
        hold: bool = False,
    ) -> None:
        """Let the `times` next requests of `route`, after `skip` others, meet one fault."""
        if route not in {name for name, _, _ in ROUTES} or drop not in (None, "before", "after"):
            raise ValueError(f"no such fault: {route} {drop}")
        self.faults.setdefault(route, []).append(
            Fault(skip, times, status, error, headers or {}, drop, hang, hold)
        )

    def release(self) -> None:
        """End every hanging request without an answer, and let every held one go on."""
        self._released.set()
        self._released = asyncio.Event()

    def reset(self) -> None:
        """Forget the faults and the requests; keep the repositories."""
        self.faults.clear()
        self.requests.clear()
        self.release()

    async def came(self, route: str, times: int = 1) -> None:
        """Return as soon as `route` was asked `times` times."""
        async with self._came:
            await self._came.wait_for(lambda: self.count(route) >= times)

    def count(self, route: str) -> int:
        """Return how often `route` was asked."""
        return sum(request["route"] == route for request in self.requests)

    def files(self, repo_id: str) -> dict[str, bytes]:
        """Return every file at the head of `repo_id`."""
        head = self.repositories.find(repo_id).head
        return {path: file.data for path, file in head.files.items()}

    def titles(self, repo_id: str) -> list[str]:
        """Return the commits' messages, oldest first, without the Hub's own first one."""
        return [commit.title for commit in self.repositories.find(repo_id).commits[1:]]

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._handlers.add(task)
        try:
            while await self._answer_one(reader, writer):
                pass
        except (asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
            pass
        finally:
            self._handlers.discard(task)
            with contextlib.suppress(ConnectionError):
                writer.close()

    async def _answer_one(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        """Answer one request; return whether the connection goes on."""
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        method, target, _ = head.split("\r\n", 1)[0].split(" ", 2)
        headers = {
            name.strip().lower(): value.strip()
            for name, _, value in (line.partition(":") for line in head.split("\r\n")[1:])
            if name.strip()
        }
        body = await _body(reader, headers)
        path = unquote(target.partition("?")[0])
        if path.startswith("/control/"):
            return await _send(writer, self._control(method, path, body))
        asked = _asked(method, path, headers, body)
        request = {"route": asked.route, "method": method, "path": path, "status": None}
        async with self._came:
            self.requests.append(request)
            self._came.notify_all()
        fault = self._next_fault(asked.route)
        if fault is not None and (fault.hang or fault.hold):
            await self._released.wait()
        if fault is not None and (fault.hang or fault.drop == "before"):
            writer.transport.abort()
            return False
        if fault is not None and fault.status is not None:
            reply = Reply(fault.status, {"error": fault.error}, fault.headers)
        else:
            reply = self._reply(asked)
        request["status"] = reply.status
        if fault is not None and fault.drop == "after":
            writer.transport.abort()
            return False
        return await _send(writer, reply, head_only=method == "HEAD")

    def _next_fault(self, route: str) -> Fault | None:
        for fault in self.faults.get(route, []):
            if fault.skip > 0:
                fault.skip -= 1
                return None
            if fault.times > 0:
                fault.times -= 1
                return fault
        return None

    def _reply(self, asked: Asked) -> Reply:
        is_signed_in = asked.headers.get("authorization") == f"Bearer {self.token}"
        if not is_signed_in and asked.route not in OPEN_ROUTES:
            return Reply(401, {"error": "Invalid username or password."})
        answer: Callable[[Asked], Reply] | None = getattr(self, f"_{asked.route}", None)
        if answer is None:
            return Reply(404, {"error": "Sorry, we can't find the page you are looking for."})
        try:
            return answer(asked)
        except HubRefusal as refusal:
            headers = {"X-Error-Message": refusal.error.partition("\n")[0]}
            headers["X-Error-Message"] = (
                headers["X-Error-Message"].encode("ascii", "ignore").decode()
            )
            if refusal.code is not None:
                headers["X-Error-Code"] = refusal.code
            return Reply(refusal.status, {"error": refusal.error}, headers)

    def _repository(self, asked: Asked) -> Repository:
        return self.repositories.find(asked.repo_id)

    def _whoami(self, asked: Asked) -> Reply:
        return Reply(200, {"type": "user", "name": self.user, "orgs": [], "auth": {}})

    def _create(self, asked: Asked) -> Reply:
        given = asked.json
        owner, name = given.get("organization") or self.user, given["name"]
        url = f"{self.url}/{owner}/{name}"
        private = given.get("visibility") == "private" or given.get("private") is True
        try:
            self.repositories.create(owner, name, private=private)
        except HubRefusal as refusal:
            if refusal.status == 409:
                return Reply(409, {"error": refusal.error, "url": url})
            raise
        return Reply(200, {"url": url, "name": f"{owner}/{name}", "id": f"{owner}/{name}"})

    def _delete(self, asked: Asked) -> Reply:
        given = asked.json
        self.repositories.delete(f"{given.get('organization') or self.user}/{given['name']}")
        return Reply(200, b"OK")

    def _validate_yaml(self, asked: Asked) -> Reply:
        errors = [{"message": message} for message in card_errors(asked.json["content"])]
        return Reply(400 if errors else 200, {"errors": errors, "warnings": []})

    def _preupload(self, asked: Asked) -> Reply:
        repository = self._repository(asked)
        files = []
        for given in asked.json["files"]:
            sample = base64.b64decode(given["sample"])
            mode = repository.upload_mode(given["path"], sample, given["size"])
            entry = {"path": given["path"], "uploadMode": mode, "shouldIgnore": False}
            if held := repository.head.files.get(given["path"]):
                entry["oid"] = held.sha256 if held.large else held.oid
            files.append(entry)
        return Reply(200, {"files": files, "commitOid": repository.head.oid})

    def _commit(self, asked: Asked) -> Reply:
        commit = self._repository(asked).commit(asked.body)
        url = f"{self.url}/{asked.repo_id}/commit/{commit.oid}"
        return Reply(
            200, {"success": True, "commitOid": commit.oid, "commitUrl": url, "hookOutput": ""}
        )

    def _info(self, asked: Asked) -> Reply:
        repository = self._repository(asked)
        commit = repository.at(asked.given["revision"] or "main")
        return Reply(
            200,
            {
                "id": asked.repo_id,
                "modelId": asked.repo_id,
                "author": asked.given["owner"],
                "sha": commit.oid,
                "private": repository.private,
                "tags": [],
                "siblings": [{"rfilename": path} for path in sorted(commit.files)],
            },
        )

    def _tree(self, asked: Asked) -> Reply:
        files = self._repository(asked).at(asked.given["revision"]).files
        folders = {path.rpartition("/")[0] for path in files if "/" in path}
        entries = [
            {
                "type": "directory",
                "path": path,
                "oid": hashlib.sha1(path.encode()).hexdigest(),
                "size": 0,
            }
            for path in sorted(folders)
        ]
        return Reply(200, entries + [file.entry(path) for path, file in sorted(files.items())])

    def _resolve(self, asked: Asked) -> Reply:
        commit = self._repository(asked).at(asked.given["revision"])
        file = commit.files.get(asked.given["path"])
        if file is None:
            raise HubRefusal(404, "Entry not found", "EntryNotFound")
        etag = file.sha256 if file.large else file.oid
        return Reply(200, file.data, {"ETag": f'"{etag}"', "X-Repo-Commit": commit.oid})

    def _lfs_batch(self, asked: Asked) -> Reply:
        repository = self._repository(asked)
        objects = []
        for given in asked.json["objects"]:
            entry: dict[str, Any] = {"oid": given["oid"], "size": given["size"]}
            if given["oid"] not in repository.objects:
                entry["actions"] = self._upload_actions(asked.repo_id, given["oid"], given["size"])
            objects.append(entry)
        return Reply(200, {"transfer": "basic", "objects": objects})

    def _upload_actions(self, repo_id: str, oid: str, size: int) -> dict[str, Any]:
        address = f"{self.url}/lfs/{repo_id}/{oid}"
        if self.part_bytes is not None and size > self.part_bytes:
            count = -(-size // self.part_bytes)
            header = {str(part): f"{address}/{part}" for part in range(1, count + 1)}
            header["chunk_size"] = str(self.part_bytes)
            return {"upload": {"href": f"{address}/complete", "header": header}}
        verify = f"{self.url}/{repo_id}.git/info/lfs/objects/verify"
        return {"upload": {"href": f"{address}?signature=good"}, "verify": {"href": verify}}

    def _lfs_put(self, asked: Asked) -> Reply:
        self._keep(asked, asked.body)
        return Reply(200, b"")

    def _lfs_part(self, asked: Asked) -> Reply:
        part = int(asked.given["part"])
        self._parts.setdefault(asked.given["oid"], {})[part] = asked.body
        return Reply(200, b"", {"ETag": f'"{hashlib.md5(asked.body).hexdigest()}"'})

    def _lfs_complete(self, asked: Asked) -> Reply:
        parts = self._parts.pop(asked.given["oid"], {})
        for stated in asked.json["parts"]:
            digest = hashlib.md5(parts.get(stated["partNumber"], b"")).hexdigest()
            if stated["etag"].strip('"') != digest:
                raise HubRefusal(400, f"Part {stated['partNumber']} has another ETag")
        self._keep(asked, b"".join(parts[number] for number in sorted(parts)))
        return Reply(200, {})

    def _keep(self, asked: Asked, data: bytes) -> None:
        if hashlib.sha256(data).hexdigest() != asked.given["oid"]:
            raise HubRefusal(400, "The bytes have another SHA-256")
        self._repository(asked).objects[asked.given["oid"]] = data

    def _lfs_verify(self, asked: Asked) -> Reply:
        data = self._repository(asked).objects.get(asked.json["oid"])
        if data is None or len(data) != asked.json["size"]:
            raise HubRefusal(404, "The object is not there")
        return Reply(200, {})

    def _control(self, method: str, path: str, body: bytes) -> Reply:
        if (method, path) == ("GET", "/control/requests"):
            return Reply(200, self.requests)
        if (method, path) == ("GET", "/control/repositories"):
            return Reply(200, {repo_id: self._told(repo_id) for repo_id in self.repositories.by_id})
        if (method, path) == ("POST", "/control/reset"):
            self.reset()
            return Reply(200, {})
        if (method, path) == ("POST", "/control/fault"):
            try:
                self.fault(**json.loads(body))
            except (TypeError, ValueError) as error:
                return Reply(400, {"error": str(error)})
            return Reply(200, {})
        return Reply(404, {"error": f"no {method} {path}"})

    def _told(self, repo_id: str) -> dict[str, Any]:
        return {
            "private": self.repositories.find(repo_id).private,
            "titles": self.titles(repo_id),
            "files": {
                path: hashlib.sha256(data).hexdigest() for path, data in self.files(repo_id).items()
            },
        }


def _asked(method: str, path: str, headers: dict[str, str], body: bytes) -> Asked:
    for route, methods, pattern in ROUTES:
        found = re.fullmatch(pattern, path)
        if found and method in methods.split("|"):
            return Asked(route, method, headers, body, found.groupdict())
    return Asked("unknown", method, headers, body, {})


async def _body(reader: asyncio.StreamReader, headers: dict[str, str]) -> bytes:
    if headers.get("transfer-encoding", "").lower() != "chunked":
        return await reader.readexactly(int(headers.get("content-length", "0")))
    body = bytearray()
    while size := int((await reader.readuntil(b"\r\n")).split(b";")[0], 16):
        body += await reader.readexactly(size)
        await reader.readexactly(2)
    await reader.readexactly(2)
    return bytes(body)


async def _send(writer: asyncio.StreamWriter, reply: Reply, *, head_only: bool = False) -> bool:
    body = reply.content()
    lines = [f"HTTP/1.1 {reply.status} Scripted", f"Content-Length: {len(body)}"]
    if not isinstance(reply.body, bytes):
        lines.append("Content-Type: application/json")
    lines += [f"{name}: {value}" for name, value in reply.headers.items()]
    writer.write(("\r\n".join(lines) + "\r\n\r\n").encode("latin-1"))
    writer.write(b"" if head_only else body)
    await writer.drain()
    return True


async def _run(host: str, port: int) -> None:
    async with HubServer(host, port) as hub:
        print(json.dumps({"url": hub.url, "token": hub.token}), flush=True)
        await asyncio.Event().wait()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="A Hub that fails as it is told.")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=0)
    arguments = parser.parse_args()
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(_run(arguments.host, arguments.port))
