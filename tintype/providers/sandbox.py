"""How does Tintype make pictures with no key and no network?

The sandbox draws them. The same prompt, seed, position, size and references give the same bytes
everywhere; without a seed, one is made from the prompt and told in the output. It takes
`sandbox_seconds` a call, like a service that is far away.

Faults can be asked for by a mark in the prompt, for the whole job or, with a number, for the
picture at that 0-based position alone:

    [fault:refused]      the provider will not make it          [fault:refused:2]
    [fault:invalid]      the request can never succeed          [fault:invalid:0]
    [fault:transient]    a 5xx, on every try                    [fault:transient:2]
    [fault:quota]        wait `QUOTA_SECONDS`, on every try     [fault:quota:1]
    [fault:misconfigured]    the key is wrong                   [fault:misconfigured:1]
    [fault:slow]         takes `SLOW_SECONDS`, then delivers    [fault:slow:3]
"""

import asyncio
import hashlib
import io
import re
from concurrent.futures import ThreadPoolExecutor
from random import Random

from PIL import Image

from tintype import clock
from tintype.config import ProvidersConfig
from tintype.errors import Invalid, Misconfigured, ProviderError, Quota, Refused, Transient
from tintype.providers.painting import choose_palette, paint, palette_of
from tintype.providers.provider import Outcome, Output, Request

LONG_SIDE_PIXELS = {"512": 512, "1K": 1024, "2K": 2048, "4K": 4096}
PAINTED_SIDE_PIXELS = 1024
QUOTA_SECONDS = 2.0
SLOW_SECONDS = 15.0
SEED_BITS = 0x7FFF_FFFF
DRAWINGS_AT_ONCE_MAX = 2
PNG_LEVEL = 4
FAULT_MARK = re.compile(
    r"\[fault:(refused|invalid|transient|quota|misconfigured|slow)(?::(\d+))?\]"
)

_painters = ThreadPoolExecutor(DRAWINGS_AT_ONCE_MAX, thread_name_prefix="paint")


class Sandbox:
    """Draws pictures on this machine."""

    name = "sandbox"

    def __init__(self, config: ProvidersConfig) -> None:
        self._seconds = config.sandbox_seconds

    async def generate(self, request: Request) -> list[Outcome]:
        """Draw `request.count` pictures, or fail as the prompt asks. See `Provider.generate`."""
        until = clock.monotonic_seconds() + self._seconds
        outcomes = [await self._outcome(request, index) for index in range(request.count)]
        await asyncio.sleep(max(0.0, until - clock.monotonic_seconds()))
        return outcomes

    async def close(self) -> None:
        """Do nothing: there is no connection."""

    async def _outcome(self, request: Request, index: int) -> Outcome:
        for fault, position in FAULT_MARK.findall(request.prompt):
            if position and int(position) != request.position + index:
                continue
            if fault == "slow":
                await asyncio.sleep(SLOW_SECONDS)
            elif position:
                return _error(fault)
            else:
                raise _error(fault)
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(_painters, draw, request, index)


def draw(request: Request, index: int) -> Output:
    """Return the picture at `index` of `request`. Blocks for about a tenth of a second."""
    prompt = FAULT_MARK.sub("", request.prompt).strip()
    chosen = _number(prompt) if request.seed is None else request.seed
    seed = (chosen + request.position + index) & SEED_BITS
    given = (reference.data for reference in request.references)
    random = Random(_number(prompt, str(seed), *given))  # noqa: S311
    if request.references:
        with Image.open(io.BytesIO(request.references[0].data)) as reference:
            palette = palette_of(reference)
    else:
        palette = choose_palette(prompt, random)
    painted = paint(_size(request.aspect_ratio, PAINTED_SIDE_PIXELS), seed, random, palette)
    size = _size(request.aspect_ratio, LONG_SIDE_PIXELS[request.image_size or "1K"])
    if size != painted.size:
        painted = painted.resize(size, Image.Resampling.BICUBIC)
    file = io.BytesIO()
    painted.save(file, "PNG", compress_level=PNG_LEVEL)
    return Output(
        data=file.getvalue(),
        media_type="image/png",
        extension="png",
        width=size[0],
        height=size[1],
        seed=seed,
    )


def _size(aspect_ratio: str | None, long_side: int) -> tuple[int, int]:
    across, down = (int(side) for side in (aspect_ratio or "1:1").split(":"))
    longer = max(across, down)
    return round(long_side * across / longer), round(long_side * down / longer)


def _number(*texts: str | bytes) -> int:
    digest = hashlib.sha256()
    for text in texts:
        digest.update(hashlib.sha256(text.encode() if isinstance(text, str) else text).digest())
    return int.from_bytes(digest.digest()[:8], "big") & SEED_BITS


def _error(fault: str) -> ProviderError:
    message = f"The prompt asked the sandbox for the fault {fault!r}."
    if fault == "quota":
        return Quota(message, retry_after_seconds=QUOTA_SECONDS)
    kinds = {
        "refused": Refused,
        "invalid": Invalid,
        "transient": Transient,
        "misconfigured": Misconfigured,
    }
    return kinds[fault](f"sandbox_{fault}", message)
