"""Where do a project's functions import from?

A function's file is a package of its own, so its neighbours are `from .prompts import x`; the
folder `_shared` beside the functions is `from _shared import x`. Both are read from source each
time, without bytecode caches: a cache is matched by whole seconds and size, and would serve the
old text after a quick edit. Each load gets its own `_shared`, so an edit there is seen, and two
projects in one process do not meet.
"""

import itertools
import os
import sys
import threading
from collections.abc import Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import FileFinder, ModuleSpec, SourceFileLoader
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType
from typing import NoReturn

from tintype.functions.journal import print_heard

SHARED = "_shared"
PREFIX = "_tintype_function_"
SNAPSHOT_FILES_MAX = 1000

Stamp = tuple[int, int, int]
ABSENT: Stamp = (0, 0, 0)

_lock = threading.Lock()
_serial = itertools.count(1)


class FreshLoader(SourceFileLoader):
    """Reads source, never bytecode."""

    def path_stats(self, path: object) -> NoReturn:
        """Raise `OSError`, which tells the import system that there is nothing to cache by."""
        raise OSError

    def exec_module(self, module: ModuleType) -> None:
        """Run the file; what it prints while it serves a call is kept as that call's log."""
        module.__dict__["print"] = print_heard
        super().exec_module(module)


class ProjectFinder(MetaPathFinder):
    """Finds `_shared` and the neighbours of functions in the project loaded from last."""

    root = ""

    def find_spec(
        self, name: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Return where `name` is, or None for every name that is not a project's."""
        top = name.partition(".")[0]
        if top != SHARED and not top.startswith(PREFIX):
            return None
        for place in path or [self.root]:
            spec = FileFinder(place, (FreshLoader, [".py"])).find_spec(name)
            if spec is not None:
                return spec
        return None


_finder = ProjectFinder()


def load(entry: Path, root: Path) -> tuple[ModuleType, dict[str, Stamp]]:
    """Run `entry` as a new module and return it with the stamps of every file it was made from.

    `root` is the folder that holds `_shared`. Blocks; raises whatever the file raises, leaving
    nothing of it behind.
    """
    with _lock:
        if _finder not in sys.meta_path:
            sys.meta_path.insert(0, _finder)
        _finder.root = str(root)
        forget(SHARED)
        name = f"{PREFIX}{next(_serial)}"
        loader = FreshLoader(name, str(entry))
        spec = spec_from_file_location(
            name, entry, loader=loader, submodule_search_locations=[str(entry.parent)]
        )
        assert spec is not None
        module = module_from_spec(spec)
        sys.modules[name] = module
        # Stamped before it is read: an edit in between is seen as one.
        own = stamp(str(entry))
        try:
            loader.exec_module(module)
        except BaseException:
            forget(name)
            raise
        files = {str(entry): own}
        for other in [*_family(SHARED), *_family(name)]:
            path = getattr(sys.modules[other], "__file__", None)
            if path is not None:
                files.setdefault(path, stamp(path))
        return module, files


def forget(name: str) -> None:
    """Drop a package and everything in it from the modules that later imports would find."""
    for member in _family(name):
        sys.modules.pop(member, None)


def stamp(path: str) -> Stamp:
    """Return what changes when the file at `path` does, `ABSENT` when there is none."""
    try:
        found = os.stat(path)  # noqa: PTH116
    except OSError:
        return ABSENT
    return (found.st_mtime_ns, found.st_size, found.st_ino)


def snapshot(entry: Path, root: Path) -> dict[str, Stamp]:
    """Return the stamps of all that could mend a broken `entry`, `SNAPSHOT_FILES_MAX` at most."""
    found = itertools.chain(entry.parent.rglob("*.py"), (root / SHARED).rglob("*.py"))
    paths = [str(entry), *(str(path) for path in itertools.islice(found, SNAPSHOT_FILES_MAX))]
    return {path: stamp(path) for path in paths}


def _family(name: str) -> list[str]:
    return [member for member in sys.modules if member == name or member.startswith(f"{name}.")]
