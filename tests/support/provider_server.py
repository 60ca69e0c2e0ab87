"""A real HTTP server that speaks as the providers do, and fails as it is told.

It answers Gemini's `generateContent`, Imagen's `:predict`, chat completions with pictures, and
`/images/generations` and `/images/edits`, counts the calls and remembers what it delivered.

In a test: `async with ProviderServer() as server: server.script("unavailable", None)`.
By itself: `python -m tests.support.provider_server --port 0` prints `{"url": …}` on one line and
serves until it is ended; everything is then told over HTTP:

    POST /control/script    {"sequence": [fault | null, …], "always": fault | null,
                             "weights": {fault: share}, "seed": 1, "seconds": 0.05}
    GET  /control/counters  {"calls", "delivered", "by_fault", "by_endpoint", "in_flight"}
    GET  /control/calls     [{"number", "endpoint", "model", "prompt", "fault", "pictures"}]
    GET  /control/requests  the last requests, whole
    POST /control/reset     forget the script, the counters and the calls

One fault of `provider_answers.FAULTS` is taken per call: first the sequence, then a draw by weight
(what is left of 1 goes on), then `always`. No picture is like another, so its SHA-256 (`pictures`)
says which call made it. A call counts as soon as it came, whether or not its answer was read.
"""

import argparse
import asyncio
import contextlib
import hashlib
import json
import random
import re
from collections import Counter, deque
from types import TracebackType
from typing import Any

from tests.support.provider_answers import (
    FAULTS,
    Answer,
    Asked,
    Reply,
    answer_chat,
    answer_generate_content,
    answer_images,
    answer_predict,
)
from tests.support.provider_pictures import Pictures

REQUESTS_KEPT_MAX = 50
SLOW_SECONDS = 60.0
ENDPOINTS = (
    (re.compile(r"/models/(?P<model>[^/:]+):generateContent$"), answer_generate_content),
    (re.compile(r"/models/(?P<model>[^/:]+):predict$"), answer_predict),
    (re.compile(r"/chat/completions$"), answer_chat),
    (re.compile(r"/images/(generations|edits)$"), answer_images),
)


class ProviderServer:
    """The server, in the running event loop. `url` is its address once entered."""

    def __init__(self, host: str = "127.0.0.1", port: int = 0) -> None:
        self._host, self._port = host, port
        self._server: asyncio.Server | None = None
        self._handlers: set[asyncio.Task[Any]] = set()
        self._pictures = Pictures()
        self.url = ""
        self.reset()

    async def __aenter__(self) -> "ProviderServer":
        self._server = await asyncio.start_server(
            self._serve, self._host, self._port, limit=1 << 20
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

    def reset(self) -> None:
        """Forget the script, the counters and the calls."""
        self.sequence: deque[str | None] = deque()
        self.always: str | None = None
        self.weights: dict[str, float] = {}
        self.seconds = 0.0
        self.opened = asyncio.Event()
        self.opened.set()
        self._random = random.Random(0)
        self.calls: list[dict[str, Any]] = []
        self.requests: deque[dict[str, Any]] = deque(maxlen=REQUESTS_KEPT_MAX)
        self.delivered = 0
        self.in_flight = 0
        self.in_flight_most = 0

    def script(
        self,
        *sequence: str | None,
        always: str | None = None,
        weights: dict[str, float] | None = None,
        seed: int = 0,
        seconds: float = 0.0,
    ) -> None:
        """Set which fault each coming call meets, and how many seconds a call takes."""
        for fault in (*sequence, always, *(weights or {})):
            if fault is not None and fault not in FAULTS:
                raise ValueError(f"no such fault: {fault}")
        self.sequence = deque(sequence)
        self.always, self.weights, self.seconds = always, dict(weights or {}), seconds
        self._random = random.Random(seed)

    def counters(self) -> dict[str, Any]:
        """Return how many calls came, and what became of them."""
        return {
            "calls": len(self.calls),
            "delivered": self.delivered,
            "by_fault": dict(Counter(call["fault"] or "none" for call in self.calls)),
            "by_endpoint": dict(Counter(call["endpoint"] for call in self.calls)),
            "in_flight": self.in_flight,
        }

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
        body = await reader.readexactly(int(headers.get("content-length", "0")))
        path = target.partition("?")[0]
        if path.startswith("/control/"):
            return await _send(writer, self._control(method, path, body))
        for pattern, answer in ENDPOINTS:
            found = pattern.search(path)
            if method == "POST" and found:
                asked = Asked.read(path, headers, body, found.groupdict().get("model"))
                self.in_flight += 1
                self.in_flight_most = max(self.in_flight_most, self.in_flight)
                try:
                    return await self._provide(asked, answer, headers, writer)
                finally:
                    self.in_flight -= 1
        return await _send(writer, Reply(404, {"error": {"code": 404, "message": f"no {path}"}}))

    async def _provide(
        self, asked: Asked, answer: Answer, headers: dict[str, str], writer: asyncio.StreamWriter
    ) -> bool:
        fault = self._next_fault()
        call: dict[str, Any] = {
            "number": len(self.calls) + 1,
            "endpoint": asked.endpoint,
            "model": asked.model,
            "prompt": asked.prompt,
            "fault": fault,
            "pictures": [],
        }
        self.calls.append(call)
        self.requests.append({"path": asked.path, "headers": headers, "body": asked.body})
        await asyncio.sleep(SLOW_SECONDS if fault == "slow" else self.seconds)
        await self.opened.wait()
        if fault == "dropped":
            writer.transport.abort()
            return False
        reply = answer(asked, fault, self._pictures)
        call["pictures"] = [hashlib.sha256(data).hexdigest() for data in reply.pictures]
        if fault == "truncated_json":
            content = reply.content()
            reply = Reply(reply.status, content[: len(content) // 2], reply.headers)
        keeps = await _send(writer, reply, cut=fault == "cut_short")
        self.delivered += len(reply.pictures) if keeps else 0
        return keeps

    def _next_fault(self) -> str | None:
        if self.sequence:
            return self.sequence.popleft()
        draw = self._random.random()
        for fault, share in self.weights.items():
            if draw < share:
                return fault
            draw -= share
        return self.always

    def _control(self, method: str, path: str, body: bytes) -> Reply:
        if (method, path) == ("GET", "/control/counters"):
            return Reply(200, self.counters())
        if (method, path) == ("GET", "/control/calls"):
            return Reply(200, self.calls)
        if (method, path) == ("GET", "/control/requests"):
            return Reply(200, list(self.requests))
        if (method, path) == ("POST", "/control/reset"):
            self.reset()
            return Reply(200, {})
        if (method, path) == ("POST", "/control/script"):
            given = json.loads(body)
            try:
                self.script(*given.pop("sequence", []), **given)
            except (TypeError, ValueError) as error:
                return Reply(400, {"error": str(error)})
            return Reply(200, {})
        return Reply(404, {"error": f"no {method} {path}"})


async def _send(writer: asyncio.StreamWriter, reply: Reply, *, cut: bool = False) -> bool:
    body = reply.content()
    lines = [f"HTTP/1.1 {reply.status} Scripted", f"Content-Length: {len(body)}"]
    lines += [f"{name}: {value}" for name, value in reply.headers.items()]
    writer.write(("\r\n".join(lines) + "\r\n\r\n").encode("latin-1"))
    if cut:  # the length that was promised never comes
        writer.write(body[: len(body) // 2])
        await writer.drain()
        writer.close()
        return False
    writer.write(body)
    await writer.drain()
    return True


async def _run(host: str, port: int) -> None:
    async with ProviderServer(host, port) as server:
        print(json.dumps({"url": server.url}), flush=True)
        await asyncio.Event().wait()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Providers that fail as they are told.")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=0)
    arguments = parser.parse_args()
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(_run(arguments.host, arguments.port))
