"""Which base is loaded for a training, and what is left of it afterwards?"""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import torch

from tintype import clock, events
from tintype.errors import OperatorError
from tintype.gpu import pipelines
from tintype.gpu.memory import GIB, bytes_of, free_bytes, release_memory, weights_of
from tintype.gpu.pipelines import Family, device_of, load_pipeline, quiet
from tintype.gpu.training.course import Course, Kept, Step, Trained
from tintype.gpu.training.flux import Flux
from tintype.gpu.training.learning import Learner
from tintype.gpu.training.order import BaseName, Order
from tintype.gpu.training.sdxl import Sdxl
from tintype.gpu.training.staging import Stage, trained_dtype
from tintype.gpu.watch import Watch
from tintype.worker_client import JobFailed

# The bases that pictures are made with, and what a step needs beside the weights, estimated.
FAMILIES: dict[BaseName, Family] = {
    "flux": msgspec.structs.replace(pipelines.FAMILIES["flux_queue"], working_bytes=8 * GIB),
    "sdxl": msgspec.structs.replace(pipelines.FAMILIES["sdxl_queue"], working_bytes=6 * GIB),
}
LEARNERS: dict[BaseName, Callable[[Any], Learner]] = {"flux": Flux, "sdxl": Sdxl}


class Loaded(NamedTuple):
    """A base in memory."""

    name: BaseName
    learner: Learner
    stage: Stage


class Trainer:
    """Trains adapters. Blocking, and for one thread at a time.

    A base is loaded when it is first needed, and stays until another is.
    """

    def __init__(
        self,
        *,
        flux: str | None = None,
        sdxl: str | None = None,
        device: str = "auto",
        memory_gib: float | None = None,
    ) -> None:
        """`flux` and `sdxl` are folders or Hub repositories in diffusers' layout; None: FLUX.1-dev
        and SDXL base 1.0, each under its licence. Where a base and the work do not fit into what is
        free of the GPU's memory, or into `memory_gib`, each part is there only while it works.
        Raises `OperatorError` `device_unusable`.
        """
        quiet()
        self.device = device_of(device)
        self._memory_gib = memory_gib
        self._models: dict[BaseName, str] = {
            "flux": flux or FAMILIES["flux"].model,
            "sdxl": sdxl or FAMILIES["sdxl"].model,
        }
        self._loaded: Loaded | None = None

    def train(
        self,
        order: Order,
        images: Sequence[Path],
        watch: Watch,
        *,
        folder: Path,
        report: Callable[[Step], object],
        keep: Callable[[Kept], object],
        checkpoint: Path | None = None,
    ) -> Trained:
        """Train an adapter on `images` as `order` says; write files to `folder`, which exists.

        Goes on from `checkpoint` if that is one of the same training. `report` hears of every step;
        `keep` of each checkpoint and sample, whose file is the caller's then. Raises `Stopped` soon
        after `watch.stop()`, with a checkpoint of the last step kept; `JobFailed` for what cannot
        be trained, to be tried again where the GPU's memory was not enough or the base not there.
        Whatever happens, the next job finds the base as it was.
        """
        try:
            return self._train(order, images, checkpoint, watch, folder, report, keep)
        except torch.OutOfMemoryError:
            # The error holds what did not fit; it has to be gone before memory is given back.
            pass
        self._loaded = None
        release_memory()
        raise JobFailed("The GPU has not enough memory for this training.", retry=True)

    def _train(
        self,
        order: Order,
        images: Sequence[Path],
        checkpoint: Path | None,
        watch: Watch,
        folder: Path,
        report: Callable[[Step], object],
        keep: Callable[[Kept], object],
    ) -> Trained:
        _, learner, stage = self._load(order.base)
        course = Course(learner, stage, order, watch, folder=folder, report=report, keep=keep)
        return course.run(images, checkpoint)

    def _load(self, name: BaseName) -> Loaded:
        if self._loaded is not None and self._loaded.name == name:
            return self._loaded
        # One leaves before the other comes: both may not fit into main memory.
        self._loaded = None
        release_memory()
        began = clock.monotonic_seconds()
        family, model = FAMILIES[name], self._models[name]
        try:
            pipeline = load_pipeline(family, model, self.device)
        except OperatorError as error:
            raise JobFailed(
                f"This worker cannot train {name}: {error.message}", retry=True
            ) from error
        learner = LEARNERS[name](pipeline)
        learner.denoiser.to(dtype=trained_dtype(self.device))
        # Half precision shows in what an autoencoder makes.
        learner.autoencoder.to(dtype=torch.float32)
        weights = weights_of(pipeline)
        for part in weights:
            part.requires_grad_(False)
        free = free_bytes(self.device) if self._memory_gib is None else self._memory_gib * GIB
        stage = Stage(
            self.device,
            is_roomy=free is None or bytes_of(*weights) + family.working_bytes <= free,
        )
        self._loaded = Loaded(name, learner, stage)
        events.emit(
            events.ModelLoaded(
                model=model,
                device=str(self.device),
                is_offloaded=not stage.is_roomy,
                seconds=round(clock.monotonic_seconds() - began, 1),
            )
        )
        return self._loaded
