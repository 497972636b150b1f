"""The time that a check may take: what is under way is stopped when it is spent."""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager


class OutOfTime(BaseException):
    """The time is spent. No `Exception`: what catches a model's faults must not catch it."""


class Clock:
    """Counts down from the moment it is made.

    Args:
        seconds: in all.
    """

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._end = time.monotonic() + seconds

    @property
    def left(self) -> float:
        """Seconds."""
        return self._end - time.monotonic()

    @contextmanager
    def stopping(self, share: float) -> Iterator[None]:
        """Stop the block after this share of all the time, or when none is left.

        Raises OutOfTime, from within the block on systems with alarms, else before it.
        """
        seconds = min(self.left, share * self._seconds)
        if seconds <= 0:
            raise OutOfTime
        if not hasattr(signal, "setitimer"):
            yield
            return
        before = signal.signal(signal.SIGALRM, _stop)
        signal.setitimer(signal.ITIMER_REAL, seconds)
        try:
            yield
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0.0)
            signal.signal(signal.SIGALRM, before)


def _stop(*_: object) -> None:
    raise OutOfTime
