"""What does the thread that renders tell, and what does it hear?"""

import threading
from collections.abc import Callable


class Stopped(Exception):
    """The job is not wanted any more: nothing of it is to be finished."""


class Watch:
    """One job's line between the thread that renders and the loop that talks to the server.

    The thread calls `at` after each step; the loop reads `percent` and calls `stop`.
    """

    def __init__(self, changed: Callable[[], object] = lambda: None) -> None:
        """`changed` is called, in the rendering thread, whenever `percent` has grown."""
        self.percent = 0.0
        self._changed = changed
        self._stopping = threading.Event()

    def stop(self) -> None:
        """Let the work end at its next step."""
        self._stopping.set()

    @property
    def is_stopping(self) -> bool:
        """Whether the work is to end."""
        return self._stopping.is_set()

    def at(self, percent: float) -> None:
        """Note how far the job is, 0 to 100. Raises `Stopped` when it is not wanted any more."""
        if self.is_stopping:
            raise Stopped
        if percent > self.percent:
            self.percent = percent
            self._changed()
