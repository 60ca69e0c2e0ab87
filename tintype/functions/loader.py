"""Which functions are there?

Those that come with Tintype (`tintype/functions/builtin/*.py`) and the project's own
(`supabase/functions/<slug>/index.py`), which win. A built-in is loaded at the start, the project's
own at the first call and again after an edit.
"""

import asyncio
import importlib
import inspect
import pkgutil
import re
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType
from typing import Annotated

import msgspec

from tintype.config import FunctionConfig
from tintype.errors import OperatorError
from tintype.functions import importing
from tintype.functions.contract import Contract
from tintype.functions.function import BODY_BYTES_MAX, METHODS, Function
from tintype.functions.wire.failure import described
from tintype.functions.wire.gateway import GatewayError

BUILTIN = "tintype.functions.builtin"
SLUG = re.compile(r"[A-Za-z][A-Za-z0-9_-]{0,99}")
_DEFAULT = FunctionConfig()

Seconds = Annotated[float, msgspec.Meta(gt=0)]


class Loaded(msgspec.Struct, frozen=True):
    """What a file became: a function, or the reason why it is none."""

    entry: Path
    function: Function | None
    reason: str
    module: str
    files: dict[str, importing.Stamp]


class Loader:
    """Finds functions by the name in the URL."""

    def __init__(
        self,
        project: Path,
        settings: Mapping[str, FunctionConfig],
        *,
        builtin: str | None = BUILTIN,
    ) -> None:
        """Load the built-ins from the package `builtin` and check every `entrypoint`.

        `project` holds the `supabase` folder, `settings` are its `[functions.<name>]` sections.
        Raises `OperatorError` for an entrypoint outside the project.
        """
        self._supabase = project.resolve() / "supabase"
        self._root = self._supabase / "functions"
        self._settings = settings
        self._entries = {
            name: str(self._entrypoint(name, setting.entrypoint))
            for name, setting in settings.items()
            if setting.entrypoint is not None
        }
        self._builtin = self._load_builtin(builtin) if builtin is not None else {}
        self._loaded: dict[str, Loaded] = {}
        self._loading = asyncio.Lock()

    async def find(self, name: str) -> Function | None:
        """Return the function called `name`, loaded from its newest text, or None.

        Raises `GatewayError` BOOT_ERROR, with the reason as its detail, for a file that does not
        load. A broken file is not tried again until it or a file beside it changes.
        """
        if not SLUG.fullmatch(name) or not self._settings.get(name, _DEFAULT).enabled:
            return None
        loaded = self._loaded.get(name)
        if loaded is None or not self._is_fresh(loaded):
            path = self._entries.get(name) or f"{self._root}/{name}/index.py"
            if importing.stamp(path) == importing.ABSENT:
                return self._builtin.get(name)
            async with self._loading:
                loaded = self._loaded.get(name)
                if loaded is None or not self._is_fresh(loaded):
                    loaded = await self._reload(name, Path(path), loaded)
        if loaded.function is None:
            raise GatewayError("BOOT_ERROR", detail=loaded.reason)
        return loaded.function

    @property
    def names(self) -> list[str]:
        """The names that are served now, sorted; a file that would not load is among them."""
        own = [entry.parent.name for entry in self._root.glob("*/index.py")]
        own += [name for name, path in self._entries.items() if Path(path).is_file()]
        found = {*self._builtin, *own}
        return sorted(
            name
            for name in found
            if SLUG.fullmatch(name) and self._settings.get(name, _DEFAULT).enabled
        )

    async def load_all(self) -> list[Function]:
        """Return every function that loads, by name; a file that does not is left out."""
        found = []
        for name in self.names:
            try:
                function = await self.find(name)
            except GatewayError:
                continue
            if function is not None:
                found.append(function)
        return found

    async def _reload(self, name: str, entry: Path, before: Loaded | None) -> Loaded:
        loaded = await asyncio.to_thread(self._load, name, entry)
        self._loaded[name] = loaded
        if before is not None:
            importing.forget(before.module)
        return loaded

    def _load(self, name: str, entry: Path) -> Loaded:
        around = importing.snapshot(entry, self._root)
        try:
            module, files = importing.load(entry, self._root)
            function = self._function(name, module)
        except (Exception, SystemExit) as error:
            return Loaded(entry, None, described(error), "", around)
        return Loaded(entry, function, "", module.__name__, files)

    def _is_fresh(self, loaded: Loaded) -> bool:
        if loaded.function is None:
            return loaded.files == importing.snapshot(loaded.entry, self._root)
        return all(importing.stamp(path) == stamp for path, stamp in loaded.files.items())

    def _load_builtin(self, package: str) -> dict[str, Function]:
        found = {}
        for entry in pkgutil.iter_modules(importlib.import_module(package).__path__):
            if not entry.name.startswith("_"):
                name = entry.name.replace("_", "-")
                module = importlib.import_module(f"{package}.{entry.name}")
                found[name] = self._function(name, module, is_builtin=True)
        return found

    def _function(self, name: str, module: ModuleType, *, is_builtin: bool = False) -> Function:
        serve = getattr(module, "serve", None)
        if serve is None or not inspect.iscoroutinefunction(serve):
            raise TypeError(f"{module.__file__} must define `async def serve(invocation)`.")
        setting = self._settings.get(name, _DEFAULT)
        bytes_max = setting.body_bytes_max
        if bytes_max is None:
            bytes_max = getattr(module, "body_bytes_max", BODY_BYTES_MAX)
        contract = getattr(module, "contract", None)
        return Function(
            name=name,
            serve=serve,
            verify_jwt=setting.verify_jwt,
            body_bytes_max=msgspec.convert(bytes_max, int),
            answer_seconds_max=msgspec.convert(
                getattr(module, "answer_seconds_max", None), Seconds | None
            ),
            methods=msgspec.convert(getattr(module, "methods", METHODS), tuple[str, ...]),
            # A file may use the name for something of its own.
            contract=contract if isinstance(contract, Contract) else None,
            is_builtin=is_builtin,
        )

    def _entrypoint(self, name: str, entrypoint: str) -> Path:
        # An app's file names the TypeScript entry; the Python one is beside it.
        path = (self._supabase / entrypoint).with_suffix(".py").resolve()
        if not path.is_relative_to(self._supabase.parent):
            raise OperatorError(
                "entrypoint_outside_project",
                f"The entrypoint of function `{name}` is outside the project: {path}.",
                hint=f"Put the file under {self._supabase}/functions.",
            )
        return path
