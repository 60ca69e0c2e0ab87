"""Commands run as a person runs them: real processes in a folder of their own."""

import os
import signal
import subprocess
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec

from tests.support.processes import free_port
from tintype.database.launch import alive, read_postmaster

SECONDS_MAX = 200


@dataclass
class Result:
    """What a command printed, and how it ended."""

    code: int
    out: str
    err: str

    def json(self) -> Any:
        """Return the one JSON value that standard output holds."""
        return msgspec.json.decode(self.out)

    def values(self) -> dict[str, str]:
        """Return the names and values of lines `NAME="value"`."""
        lines = [line.partition("=") for line in self.out.splitlines()]
        return {name: value.strip('"') for name, _, value in lines}


@dataclass
class Served:
    """A `tintype serve` that is ready."""

    process: subprocess.Popen[str]
    url: str
    greeting: list[str]


@dataclass
class Shell:
    """Runs commands in `folder`, as a person would."""

    folder: Path
    environment: dict[str, str]
    _started: list[subprocess.Popen[str]] = field(default_factory=list)

    @property
    def data(self) -> Path:
        return self.folder / ".tintype"

    def run(self, *words: str, code: int | None = 0, **environment: str) -> Result:
        """Run `tintype` to its end, which must be `code` (None: any)."""
        return self._run(["tintype", *words], code, environment)

    def paste(self, script: str, *, code: int | None = 0, **environment: str) -> Result:
        """Run lines of a shell."""
        return self._run(["sh", "-ec", script], code, environment)

    def start(self, *words: str, **environment: str) -> subprocess.Popen[str]:
        """Start `tintype` and return; what still runs is killed when the test ends."""
        process = subprocess.Popen(
            ["tintype", *words],
            cwd=self.folder,
            env=self.environment | environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            preexec_fn=_heed_interrupts,
        )
        self._started.append(process)
        return process

    def serve(self, *words: str, port: int | None = None, **environment: str) -> Served:
        """Start a server and return once it says that it is ready."""
        port = port or free_port()
        process = self.start("serve", "--port", str(port), *words, **environment)
        greeting = self.read_until(process, '"quantity"')
        return Served(process, f"http://127.0.0.1:{port}", greeting)

    @staticmethod
    def read_until(process: subprocess.Popen[str], word: str, *, stream: str = "stdout") -> Any:
        """Return the lines that the process prints, up to the first with `word` in it."""
        lines: list[str] = []
        for line in getattr(process, stream):
            lines.append(line.rstrip("\n"))
            if word in line:
                return lines
        raise AssertionError((lines, process.communicate()))

    def end(self, process: subprocess.Popen[str], number: int = signal.SIGTERM) -> Result:
        """Send a signal and return how the process ended."""
        process.send_signal(number)
        out, err = process.communicate(timeout=SECONDS_MAX)
        return Result(process.returncode, out, err)

    def postmasters(self) -> list[int]:
        """Return the Postgres servers that run in this folder."""
        found = [read_postmaster(path.parent) for path in self.folder.rglob("postmaster.pid")]
        return [one.pid for one in found if one is not None]

    def write(self, path: str, text: str) -> Path:
        file = self.folder / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
        return file

    def close(self) -> None:
        for process in self._started:
            if process.poll() is None:
                process.kill()
            process.communicate()
        for pid in self.postmasters():
            os.kill(pid, signal.SIGQUIT)
            while alive(pid):
                time.sleep(0.01)

    def _run(self, words: list[str], code: int | None, environment: dict[str, str]) -> Result:
        done = subprocess.run(
            words,
            cwd=self.folder,
            env=self.environment | environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=SECONDS_MAX,
        )
        result = Result(done.returncode, done.stdout, done.stderr)
        assert "Traceback" not in result.err, result.err
        assert code is None or result.code == code, result
        return result


def _heed_interrupts() -> None:
    # A suite that runs in the background ignores Ctrl-C, and whatever it starts would inherit that.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
