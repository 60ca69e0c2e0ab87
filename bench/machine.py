"""On which machine, with which versions?"""

import os
import platform
import time
from collections.abc import Iterable
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path

PACKAGES = (
    "tintype",
    "asyncpg",
    "uvicorn",
    "starlette",
    "websockets",
    "obstore",
    "msgspec",
    "uvloop",
    "httptools",
    "procrastinate",
    "psycopg",
    "psycopg-binary",
    "pgqueuer",
    "playwright",
)
WRITE_BYTES = 8192
WRITE_SECONDS = 0.3


def facts(folder: Path) -> dict[str, object]:
    """Return what a reader needs to know to compare; `folder` is on the disk that is written."""
    return {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "cpu_count": os.cpu_count(),
        "cpu_model": _first("/proc/cpuinfo", "model name"),
        "memory": _first("/proc/meminfo", "MemTotal"),
        "system": platform.platform(),
        "python": platform.python_version(),
        "load_average_before": os.getloadavg()[0],
        "durable_writes_per_s": _durable_writes_per_s(folder),
        "packages": dict(_versions(PACKAGES)),
    }


def _first(path: str, name: str) -> str:
    try:
        lines = Path(path).read_text("utf-8").splitlines()
    except OSError:
        return "unknown"
    found = (line.partition(":")[2].strip() for line in lines if line.startswith(name))
    return next(found, "unknown")


def _versions(names: Iterable[str]) -> Iterable[tuple[str, str | None]]:
    for name in names:
        try:
            yield name, metadata.version(name)
        except metadata.PackageNotFoundError:
            yield name, None


def _durable_writes_per_s(folder: Path) -> float:
    """How often a second this disk makes one page durable: the floor under every commit."""
    path = folder / "durable"
    handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        page = os.urandom(WRITE_BYTES)
        writes, began = 0, time.perf_counter()
        while time.perf_counter() - began < WRITE_SECONDS:
            os.pwrite(handle, page, 0)
            getattr(os, "fdatasync", os.fsync)(handle)
            writes += 1
        return writes / (time.perf_counter() - began)
    finally:
        os.close(handle)
        path.unlink()
