"""A wire between a browser and the server that can be cut without either of them being told."""

import asyncio
from types import TracebackType
from urllib.parse import urlsplit

PIECE_BYTES = 64 * 1024


class Wire:
    """Passes on what comes to `url`, to the server at `target`.

    While it is cut nothing passes, and nobody hears of it: what is sent gets no answer, and a new
    connection is taken and left alone. What was connected then stays dead after `mend`.
    """

    def __init__(self) -> None:
        self.target = ""
        self._whole = True
        self._open: set[asyncio.Task[None]] = set()
        self._dead: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server

    @property
    def url(self) -> str:
        """Where it begins."""
        host, port = self._server.sockets[0].getsockname()[:2]
        return f"http://{host}:{port}"

    def cut(self) -> None:
        """Let nothing pass from now on, over what is connected now not even later."""
        self._whole = False

    def mend(self) -> None:
        """Let new connections pass again."""
        self._whole = True
        self._dead |= self._open
        self._open = set()

    async def __aenter__(self) -> "Wire":
        self._server = await asyncio.start_server(self._take, "127.0.0.1", 0)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._server.close()
        tasks = self._open | self._dead
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _take(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._open.add(task)
        try:
            if not self._whole:
                await asyncio.Event().wait()
            place = urlsplit(self.target)
            there, back = await asyncio.open_connection(place.hostname, place.port)
            try:
                async with asyncio.TaskGroup() as both:
                    both.create_task(self._pass(task, reader, back))
                    both.create_task(self._pass(task, there, writer))
            finally:
                back.close()
        except* (OSError, asyncio.CancelledError):
            pass
        finally:
            writer.close()
            self._open.discard(task)
            self._dead.discard(task)

    async def _pass(
        self,
        connection: asyncio.Task[None],
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
    ) -> None:
        while piece := await reader.read(PIECE_BYTES):
            if not self._whole or connection in self._dead:
                await asyncio.Event().wait()
            writer.write(piece)
            await writer.drain()
        writer.close()
