"""Who renders, how many at once, and what is remembered?"""

import asyncio
from collections import OrderedDict

from tintype.errors import TooLarge, Unavailable
from tintype.storage.objects import Storage
from tintype.storage.rows import StoredObject
from tintype.storage.transforms.options import Format, Options
from tintype.storage.transforms.pictures import SOURCE_BYTES_MAX, Rendered, render

# A decoded picture takes up to 200 MB while it is worked on.
RENDERS_AT_ONCE_MAX = 2
RENDERS_WAITING_MAX = 64
CACHE_BYTES_MAX = 64 * 1024 * 1024
# One render may take this share of the cache; a larger one is made each time.
CACHE_SHARE_MAX = 8

Key = tuple[str, str, str, Options, Format]


class Cache:
    """Renders by version and options, at most `bytes_max` of them; the least used go first."""

    def __init__(self, bytes_max: int = CACHE_BYTES_MAX) -> None:
        self.size = 0
        self._bytes_max = bytes_max
        self._kept: OrderedDict[Key, Rendered] = OrderedDict()

    def get(self, key: Key) -> Rendered | None:
        """Return what was kept under `key`, which is thereby the most recently used."""
        rendered = self._kept.get(key)
        if rendered is not None:
            self._kept.move_to_end(key)
        return rendered

    def put(self, key: Key, rendered: Rendered) -> None:
        """Keep `rendered` unless it is too large, and drop what no longer fits."""
        if len(rendered.data) > self._bytes_max // CACHE_SHARE_MAX or key in self._kept:
            return
        self._kept[key] = rendered
        self.size += len(rendered.data)
        while self.size > self._bytes_max:
            _, dropped = self._kept.popitem(last=False)
            self.size -= len(dropped.data)


class Renderer:
    """Renders the objects of one storage in threads, each render once however many ask for it."""

    def __init__(self, storage: Storage, cache: Cache | None = None) -> None:
        self.renders = 0
        self._storage = storage
        self._cache = cache or Cache()
        self._running: dict[Key, asyncio.Task[Rendered]] = {}
        self._free = asyncio.Semaphore(RENDERS_AT_ONCE_MAX)

    async def render(self, stored: StoredObject, options: Options, output: Format) -> Rendered:
        """Return the object as `options` want it. Who may see it is the caller's to ask first.

        Raises `UnsupportedMedia`, `TooLarge`, `InvalidRequest`, `Unavailable` (`renders_busy`)
        when `RENDERS_WAITING_MAX` wait already, and `FileNotFoundError` when the object was
        replaced or removed since `stored` was read.
        """
        key = (stored.bucket, stored.name, stored.version, options, output)
        rendered = self._cache.get(key)
        if rendered is not None:
            return rendered
        task = self._running.get(key)
        if task is None:
            if len(self._running) >= RENDERS_WAITING_MAX:
                raise Unavailable(
                    "renders_busy",
                    "Too many pictures are being transformed.",
                    hint="Try again in a moment.",
                )
            task = asyncio.create_task(self._make(key, stored, options, output))
            self._running[key] = task
            task.add_done_callback(lambda done: self._end(key, done))
        # Whoever goes away leaves the render to the others who wait for it.
        return await asyncio.shield(task)

    def _end(self, key: Key, task: "asyncio.Task[Rendered]") -> None:
        del self._running[key]
        if not task.cancelled():
            task.exception()

    async def _make(
        self, key: Key, stored: StoredObject, options: Options, output: Format
    ) -> Rendered:
        if stored.size > SOURCE_BYTES_MAX:
            raise TooLarge(
                "picture_too_large",
                "The picture is too large to be transformed",
                hint=f"At most {SOURCE_BYTES_MAX} bytes are.",
            )
        async with self._free:
            data = b"".join([chunk async for chunk in await self._storage.open(stored)])
            self.renders += 1
            rendered = await asyncio.to_thread(render, data, options, output)
        self._cache.put(key, rendered)
        return rendered
