"""How is a picture decoded somewhere else?

A Child is a process that runs `decoding.py` and is asked one picture at a time. The Desk has at
most `CHILDREN_MAX`, started when there is something to decode; one that died or took too long is
replaced, one that nobody asks ends itself, and none outlives the server.
"""

import contextlib
import json
import os
import select
import subprocess
import sys
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any

from tintype import clock
from tintype.identities.validating import decoding

CHILDREN_MAX = 2
DECODE_SECONDS_MAX = 30.0
ANSWER_BYTES_MAX = 64 * 1024
END_SECONDS_MAX = 5.0


class Lost(Exception):
    """The child gave no answer: it died, or took too long and was ended."""


class Child:
    """One process. Everything here blocks, and belongs in one thread."""

    def __init__(self) -> None:
        # Nothing of the server's environment: no key, no password, no address.
        self._process = subprocess.Popen(
            [sys.executable, "-I", decoding.__file__],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            bufsize=0,
            env={},
            start_new_session=True,
        )

    @property
    def is_alive(self) -> bool:
        """Whether it still runs."""
        return self._process.poll() is None

    def ask(self, question: dict[str, str], seconds_max: float) -> dict[str, Any]:
        """Return the answer to `question`; raise `Lost` when none comes in `seconds_max`."""
        assert self._process.stdin is not None and self._process.stdout is not None
        deadline = clock.monotonic_seconds() + seconds_max
        answer = b""
        try:
            self._process.stdin.write(json.dumps(question).encode() + b"\n")
            while not answer.endswith(b"\n") and len(answer) < ANSWER_BYTES_MAX:
                left = deadline - clock.monotonic_seconds()
                if left <= 0 or not select.select([self._process.stdout], [], [], left)[0]:
                    raise Lost("it took too long")
                piece = os.read(self._process.stdout.fileno(), ANSWER_BYTES_MAX)
                if not piece:
                    raise Lost("it died")
                answer += piece
            told = json.loads(answer)
        except (OSError, ValueError) as error:
            raise Lost(str(error)) from None
        if not isinstance(told, dict):
            raise Lost("it spoke nonsense")
        return told

    def end(self) -> None:
        """Kill it and wait until it is gone."""
        self._process.kill()
        self._process.wait(END_SECONDS_MAX)
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                pipe.close()


class Desk:
    """Decodes pictures, `CHILDREN_MAX` at a time, in the order in which they come."""

    def __init__(self, *, seconds_max: float = DECODE_SECONDS_MAX) -> None:
        self._seconds_max = seconds_max
        self._threads = ThreadPoolExecutor(CHILDREN_MAX, thread_name_prefix="validate")
        self._idle: SimpleQueue[Child] = SimpleQueue()

    def decode(self, source: Path, folder: Path, stem: str) -> "Future[dict[str, Any]]":
        """Return what will be the answer of `decoding.decode`; it raises `Lost` without one."""
        question = {"source": str(source), "folder": str(folder), "stem": stem}
        return self._threads.submit(self._decode, question)

    def _decode(self, question: dict[str, str]) -> dict[str, Any]:
        try:
            return self._ask(self._rested() or Child(), question)
        except Lost:
            # It may have died of something else than this picture, or of old age just now.
            return self._ask(Child(), question)

    def _ask(self, child: Child, question: dict[str, str]) -> dict[str, Any]:
        try:
            answer = child.ask(question, self._seconds_max)
        except BaseException:
            child.end()
            raise
        self._idle.put(child)
        return answer

    def _rested(self) -> Child | None:
        with contextlib.suppress(Empty):
            while True:
                child = self._idle.get_nowait()
                if child.is_alive:
                    return child
                child.end()
        return None
