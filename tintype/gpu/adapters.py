"""Which LoRA does the pipeline wear?"""

import re
from pathlib import Path
from typing import Any

from tintype.gpu.memory import Placement
from tintype.gpu.recipe import Lora
from tintype.worker_client import JobFailed

NAME = "job"
ENDING = ".safetensors"
# owner/name, or owner/name/file.safetensors
REPOSITORY = re.compile(r"([\w.-]+/[\w.-]+)(?:/([\w./-]+\.safetensors))?", re.ASCII)


class Adapters:
    """The LoRA of one pipeline. It is loaded once, and taken off for a job that wants none."""

    def __init__(self, pipeline: Any, placement: Placement, folder: Path | None) -> None:
        self._pipeline = pipeline
        self._placement = placement
        self._folder = None if folder is None else folder.resolve()
        self._worn: Lora | None = None

    def wear(self, lora: Lora | None) -> None:
        """Put on `lora` in place of what is worn; None is the model as it was loaded.

        Raises `JobFailed`, not to be tried again, when there is no such LoRA or it does not fit.
        """
        if lora == self._worn:
            return
        self._placement.loosen(self._pipeline)
        if lora is None or self._worn is None or lora.path != self._worn.path:
            self._take_off()
        if lora is None:
            return
        try:
            if self._worn is None:
                place, file = self._find(lora.path)
                self._pipeline.load_lora_weights(
                    place, weight_name=file, adapter_name=NAME, use_safetensors=True
                )
            self._pipeline.set_adapters([NAME], [lora.weight])
        except JobFailed:
            raise
        except Exception as error:
            self._take_off()
            raise JobFailed(f"The LoRA {lora.path} cannot be used with this model.") from error
        self._worn = lora

    def _take_off(self) -> None:
        self._pipeline.unload_lora_weights()
        self._worn = None

    def _find(self, path: str) -> tuple[str, str | None]:
        """Return a folder and a file in it, or a repository and perhaps a file."""
        if self._folder is not None:
            file = (self._folder / path).resolve()
            if file.is_relative_to(self._folder) and file.suffix == ENDING and file.is_file():
                return str(file.parent), file.name
        found = REPOSITORY.fullmatch(path)
        if found is None:
            raise JobFailed(f"There is no LoRA {path} here.")
        return found[1], found[2]
