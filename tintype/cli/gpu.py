"""`tintype gpu-worker`: pictures and video by the GPU of this machine."""

import asyncio
import importlib
import logging
import signal
from pathlib import Path
from typing import Annotated, Any, Literal, TypeAlias

from cyclopts import Parameter
from cyclopts.validators import Number

from tintype import config
from tintype.cli.logs import tell
from tintype.cli.reach import run
from tintype.cli.telling import err
from tintype.errors import OperatorError
from tintype.worker_client import WorkerClient, WorkerRefused

KEY_BYTES_MAX = 16 * 1024

Queue: TypeAlias = Annotated[
    Literal["sdxl_queue", "wan_queue"],
    Parameter(help="Whose jobs to do: SDXL's pictures, or WAN's video and pictures."),
]
Once: TypeAlias = Annotated[
    bool, Parameter(help="Wait for one job, do it, and end.", negative="", show_default=False)
]
Verbose: TypeAlias = Annotated[
    bool, Parameter(help="Tell of every job too.", negative="", show_default=False)
]


def gpu_worker(
    *,
    queue: Queue,
    url: Annotated[
        str | None, Parameter(help="The server (default: SUPABASE_URL).", show_default=False)
    ] = None,
    key_file: Annotated[
        Path | None, Parameter(help="File with the key (default: SUPABASE_SERVICE_KEY itself).")
    ] = None,
    model: Annotated[
        str | None,
        Parameter(help="Hub repository or folder (default: SDXL base 1.0, or WAN 2.1 1.3B)."),
    ] = None,
    enhancer: Annotated[
        str | None,
        Parameter(
            help="Instruct model that rewrites prompts, or `none` (default for WAN: Qwen2.5 7B)."
        ),
    ] = None,
    loras: Annotated[
        Path | None, Parameter(help="Folder of the LoRA files that jobs may name.")
    ] = None,
    device: Annotated[str, Parameter(help="auto, cuda, cuda:1, or cpu.")] = "auto",
    memory_gib: Annotated[
        float | None,
        Parameter(help="Plan with so much GPU memory (default: all of it that is free)."),
        Parameter(validator=Number(gt=0)),
    ] = None,
    once: Once = False,
    verbose: Verbose = False,
) -> None:
    """Make pictures and video on this machine's GPU for a server anywhere.

    Let the worker in on the server, and set what that prints on this machine:
      tintype workers add gpu-1 --queue sdxl_queue --data DIR -o env
    The key opens the jobs of its own queue, and no more. Models come from the
    Hugging Face Hub at the first start, as safetensors only. Ctrl-C or SIGTERM
    drains: the running job gets time to end, or goes back to its queue.

    For example:
      tintype gpu-worker --queue sdxl_queue
      tintype gpu-worker --queue wan_queue --model ./wan --device cuda:1
    """
    url, key = _access(url, key_file)
    gpu = _gpu()
    tell(verbose=verbose)
    logging.basicConfig(format="%(message)s", level=logging.WARNING)
    with err.status("loading the models"):
        studio = gpu.Studio(
            queue,
            model=model,
            enhancer=enhancer,
            loras=loras,
            device=device,
            memory_gib=memory_gib,
        )

    err.print(f"gpu worker of {queue} is ready on {studio.device}")
    run(_work(gpu, studio, url, key, queue, once=once))


async def _work(gpu: Any, studio: Any, url: str, key: str, queue: str, *, once: bool) -> None:
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopping.set)
    async with WorkerClient(url, key) as client:
        try:
            await gpu.work(client, studio, queue, stop=stopping, once=once)
        except WorkerRefused as error:
            raise OperatorError(
                "worker_refused",
                f"{url} does not let this worker in: {error}",
                hint="`tintype workers list` on the server tells who is let in, and for what.",
            ) from error


def _gpu() -> Any:
    """Return the room of the GPU. Raises `OperatorError` `gpu_extra_missing`."""
    try:
        return importlib.import_module("tintype.gpu")
    except ModuleNotFoundError as error:
        if (error.name or "").startswith("tintype"):
            raise
        raise OperatorError(
            "gpu_extra_missing",
            f"This needs {error.name}, which is not installed.",
            hint="pip install 'tintype[gpu]'",
        ) from error


def _access(url: str | None, key_file: Path | None) -> tuple[str, str]:
    """Return the server's URL and the worker's key. Raises `OperatorError`."""
    known = config.worker_access()
    url = url or known.url
    if key_file is not None:
        with key_file.open("rb") as file:
            key = file.read(KEY_BYTES_MAX).decode("ascii", "replace").strip()
    else:
        key = known.key or ""
    if not url or not key:
        raise OperatorError(
            "worker_access_missing",
            f"The server's {'key' if url else 'URL'} is not known.",
            hint="Set SUPABASE_URL and SUPABASE_SERVICE_KEY as `tintype workers add` prints them.",
        )
    if not url.startswith(("http://", "https://")):
        raise OperatorError(
            "worker_access_missing",
            f"{url} is no URL of a server.",
            hint="It looks like https://tintype.example.com.",
        )
    return url, key
