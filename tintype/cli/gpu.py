"""`tintype gpu-worker`: pictures, video and training by the GPU of this machine."""

import asyncio
import functools
import importlib
import logging
import signal
from collections.abc import Awaitable, Callable
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
ADAPTERS = Path("~/.cache/tintype/adapters")

Queue: TypeAlias = Annotated[
    Literal["sdxl_queue", "wan_queue", "flux_queue", "sdxl_adapter_queue", "training"],
    Parameter(
        help="Whose jobs to do: the pictures of SDXL or FLUX, with trained adapters or without, "
        "WAN's video and pictures, or training itself."
    ),
]
Url: TypeAlias = Annotated[
    str | None, Parameter(help="The server (default: SUPABASE_URL).", show_default=False)
]
KeyFile: TypeAlias = Annotated[
    Path | None, Parameter(help="File with the key (default: SUPABASE_SERVICE_KEY itself).")
]
Model: TypeAlias = Annotated[
    str | None,
    Parameter(help="Hub repository or folder (default: SDXL base 1.0, WAN 2.1 1.3B, FLUX.1-dev)."),
]
Enhancer: TypeAlias = Annotated[
    str | None,
    Parameter(
        help="Instruct model that rewrites prompts, or `none` (default for WAN: Qwen2.5 7B)."
    ),
]
Loras: TypeAlias = Annotated[
    Path | None, Parameter(help="Folder of the LoRA files that jobs may name.")
]
Adapters: TypeAlias = Annotated[
    Path | None,
    Parameter(help="Folder for trained adapters that jobs bring (default: in ~/.cache/tintype)."),
]
Flux: TypeAlias = Annotated[
    str | None, Parameter(help="For training: the FLUX to train on (default: FLUX.1-dev).")
]
Sdxl: TypeAlias = Annotated[
    str | None, Parameter(help="For training: the SDXL to train on (default: SDXL base 1.0).")
]
Device: TypeAlias = Annotated[str, Parameter(help="auto, cuda, cuda:1, or cpu.")]
MemoryGib: TypeAlias = Annotated[
    float | None,
    Parameter(help="Plan with so much GPU memory (default: all of it that is free)."),
    Parameter(validator=Number(gt=0)),
]
Work: TypeAlias = Callable[..., Awaitable[None]]
Once: TypeAlias = Annotated[
    bool, Parameter(help="Wait for one job, do it, and end.", negative="", show_default=False)
]
Verbose: TypeAlias = Annotated[
    bool, Parameter(help="Tell of every job too.", negative="", show_default=False)
]


def gpu_worker(
    *,
    queue: Queue,
    url: Url = None,
    key_file: KeyFile = None,
    model: Model = None,
    enhancer: Enhancer = None,
    loras: Loras = None,
    adapters: Adapters = None,
    flux: Flux = None,
    sdxl: Sdxl = None,
    device: Device = "auto",
    memory_gib: MemoryGib = None,
    once: Once = False,
    verbose: Verbose = False,
) -> None:
    """Make pictures and video, and train, on this machine's GPU for a server anywhere.

    Let the worker in on the server, and set what that prints on this machine:
      tintype workers add gpu-1 --queue sdxl_queue --data DIR -o env
    The key opens the jobs of its own queue, and no more. Models come from the
    Hugging Face Hub at the first start, as safetensors only. Ctrl-C or SIGTERM
    drains: the running job gets time to end, or goes back to its queue.

    For example:
      tintype gpu-worker --queue sdxl_queue
      tintype gpu-worker --queue wan_queue --model ./wan --device cuda:1
      tintype gpu-worker --queue training --flux ./flux
    """
    server = _access(url, key_file)
    making: dict[str, Any] = {"model": model, "enhancer": enhancer, "loras": loras}
    training: dict[str, Any] = {"flux": flux, "sdxl": sdxl}
    is_training = queue == "training"
    _check_options(queue, making | {"adapters": adapters} if is_training else training)
    folder = adapters or ADAPTERS.expanduser()
    _check_apart(folder, loras)
    tell(verbose=verbose)
    logging.basicConfig(format="%(message)s", level=logging.WARNING)
    plan: dict[str, Any] = {"device": device, "memory_gib": memory_gib}
    if is_training:
        maker, work = _trainer(**training, **plan)
    else:
        maker, work = _studio(queue, folder, **making, **plan)

    err.print(f"gpu worker of {queue} is ready on {maker.device}")
    run(_work(work, *server, once=once))


def _trainer(**settings: Any) -> tuple[Any, Work]:
    room = _gpu("tintype.gpu.training")
    trainer = room.Trainer(**settings)
    return trainer, functools.partial(room.work, trainer=trainer)


def _studio(queue: str, folder: Path, **settings: Any) -> tuple[Any, Work]:
    room = _gpu("tintype.gpu")
    cache = room.AdapterCache(folder)
    with err.status("loading the models"):
        studio = room.Studio(queue, **settings)
    return studio, functools.partial(room.work, studio=studio, queue=queue, cache=cache)


def _check_options(queue: str, unused: dict[str, Any]) -> None:
    """Check that no option is given that this queue would not heed. Raises `OperatorError`."""
    for name, value in unused.items():
        if value is not None:
            raise OperatorError(
                "option_unused",
                f"The worker of {queue} has no use for --{name}.",
                hint=f"Leave out --{name}.",
            )


def _check_apart(adapters: Path, loras: Path | None) -> None:
    """Check that no job can name another's adapter. Raises `OperatorError` `folders_overlap`."""
    if loras is not None and adapters.resolve().is_relative_to(loras.resolve()):
        raise OperatorError(
            "folders_overlap",
            f"The trained adapters in {adapters} would be files that any job may name.",
            hint="Name a folder outside that of --loras with --adapters.",
        )


async def _work(work: Work, url: str, key: str, *, once: bool) -> None:
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopping.set)
    async with WorkerClient(url, key) as client:
        try:
            await work(client, stop=stopping, once=once)
        except WorkerRefused as error:
            raise OperatorError(
                "worker_refused",
                f"{url} does not let this worker in: {error}",
                hint="`tintype workers list` on the server tells who is let in, and for what.",
            ) from error


def _gpu(room: str) -> Any:
    """Return a room of the GPU. Raises `OperatorError` `gpu_extra_missing`."""
    try:
        return importlib.import_module(room)
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
