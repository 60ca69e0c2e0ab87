"""How does a request in Upstash's dialect become commands, and their results an answer?

https://upstash.com/docs/redis/features/restapi: a command is a path (`/rpop/queue`, a body is its
last argument, parameters follow), or a JSON array in the body; `/pipeline` takes an array of them.
`Upstash-Encoding: base64` encodes every string of a result.
"""

import base64
from collections.abc import Mapping
from typing import Any
from urllib.parse import unquote

import msgspec
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from tintype.database import Pool, is_passing
from tintype.lanes.redis.commands import CommandError, run
from tintype.workers.outside import OutsideWorker, worker_of_token

BODY_BYTES_MAX = 1024 * 1024
COMMANDS_PER_PIPELINE_MAX = 100
ARGUMENTS_PER_COMMAND_MAX = 1000
# A pipeline whose results hold so many elements of lists does no more commands.
ELEMENTS_PER_PIPELINE_MAX = 500
TOKEN_PARAMETER = "_token"  # noqa: S105


class RedisDoor:
    """The ASGI app of `/redis/v1`."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request; 401 without a worker's token, 400 with an `error` for a bad one."""
        if scope["type"] != "http":
            await receive()
            await send({"type": "websocket.close"})
            return
        answer = await self._answer(Request(scope, receive))
        await answer(scope, receive, send)

    async def _answer(self, request: Request) -> Response:
        try:
            worker = await self._worker(request)
            if worker is None:
                return _json(401, {"error": "Unauthorized"})
            return await self._commands(request, worker)
        except CommandError as error:
            return _json(400, {"error": str(error)})
        except ClientDisconnect:
            return _json(400, {"error": "ERR the body ended early"})
        except Exception as error:
            if not is_passing(error):
                raise
            return _json(503, {"error": "ERR the database does not answer at the moment"})

    async def _worker(self, request: Request) -> OutsideWorker | None:
        scheme, _, token = request.headers.get("authorization", "").strip().partition(" ")
        if scheme.lower() != "bearer":
            token = request.query_params.get(TOKEN_PARAMETER, "")
        return await worker_of_token(self._pool, token.strip()) if token else None

    async def _commands(self, request: Request, worker: OutsideWorker) -> Response:
        encode = request.headers.get("upstash-encoding", "").lower() == "base64"
        parts = _parts(request)
        body = await _body(request)
        if parts in (["pipeline"], ["multi-exec"]):
            if parts == ["multi-exec"]:
                raise CommandError("ERR transactions are not supported by lanes; use /pipeline")
            return _json(200, await self._pipeline(worker, _decoded(body), encode))
        words = _path_words(parts, body, request) if parts else _decoded(body)
        result = await run(self._pool, worker, _command(words), idle=worker.idle_queues)
        return _json(200, {"result": _encoded(result) if encode else result})

    async def _pipeline(self, worker: OutsideWorker, given: Any, encode: bool) -> list[Any]:
        if not isinstance(given, list) or len(given) > COMMANDS_PER_PIPELINE_MAX:
            raise CommandError(
                f"ERR a pipeline is an array of at most {COMMANDS_PER_PIPELINE_MAX} commands"
            )
        answers: list[Mapping[str, Any]] = []
        elements = 0
        for words in given:
            try:
                if elements >= ELEMENTS_PER_PIPELINE_MAX:
                    raise CommandError("ERR the results are too long; send this command again")
                result = await run(self._pool, worker, _command(words))
            except CommandError as error:
                answers.append({"error": str(error)})
            else:
                elements += len(result) if isinstance(result, list) else 1
                answers.append({"result": _encoded(result) if encode else result})
        return answers


def _parts(request: Request) -> list[str]:
    """Return the words of the path, decoded one by one: an argument may hold a slash."""
    raw = request.scope.get("raw_path") or request.url.path.encode()
    after = raw.decode("ascii", "replace").partition("?")[0].partition("/redis/v1")[2]
    return [unquote(part) for part in after.strip("/").split("/")] if after.strip("/") else []


def _path_words(parts: list[str], body: bytes, request: Request) -> list[str]:
    words = [*parts]
    if body:
        words.append(body.decode("utf-8", "replace"))
    for name, value in request.query_params.multi_items():
        if name != TOKEN_PARAMETER:
            words += [name, value] if value else [name]
    return words


async def _body(request: Request) -> bytes:
    chunks = bytearray()
    async for chunk in request.stream():
        chunks += chunk
        if len(chunks) > BODY_BYTES_MAX:
            raise CommandError(f"ERR a body has at most {BODY_BYTES_MAX} bytes")
    return bytes(chunks)


def _decoded(body: bytes) -> Any:
    try:
        return msgspec.json.decode(body)
    except (msgspec.DecodeError, ValueError, RecursionError) as error:
        raise CommandError("ERR failed to parse the command") from error


def _command(words: Any) -> list[str]:
    """Return a command's words as text; numbers are theirs, as in Redis everything is text."""
    if not isinstance(words, list) or not words or len(words) > ARGUMENTS_PER_COMMAND_MAX:
        raise CommandError("ERR empty or malformed command")
    command = []
    for word in words:
        if isinstance(word, bool) or not isinstance(word, str | int | float):
            raise CommandError("ERR the words of a command are texts and numbers")
        command.append(word if isinstance(word, str) else str(word))
    return command


def _encoded(result: Any) -> Any:
    """Encode every text of a result; `OK` is sent plain, as Upstash does."""
    if isinstance(result, str):
        return result if result == "OK" else base64.b64encode(result.encode()).decode()
    if isinstance(result, list):
        return [_encoded(one) for one in result]
    return result


def _json(status: int, body: Any) -> Response:
    return Response(msgspec.json.encode(body), status, media_type="application/json")
