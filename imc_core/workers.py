"""Worker processes: their environment, and that they end with their parent, however that ends."""

from __future__ import annotations

import ctypes
import os
import signal
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress

POLL_SECONDS = 0.5
"""How often a worker looks whether its parent is there."""
GRACE_SECONDS = 3.0
"""How long a worker whose parent is gone may take to stop by itself."""
INTERRUPTED = 130
"""Exit code of a process that was interrupted."""
_PR_SET_PDEATHSIG = 1
"""Of Linux's prctl(2)."""


def usable_cores() -> int:
    """Cores of this machine that this process may use."""
    return len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count() or 1


def follow(parent: int) -> None:
    """Make this process a worker of `parent`: it ends within seconds of it, however that ends.

    Asked to terminate, it stops as if interrupted, which gives back its claim; where it cannot
    within `GRACE_SECONDS` it is ended, and its claim with it.
    """
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    _ask_for_signal_at_parents_end()
    threading.Thread(target=_watch, args=(parent,), daemon=True).start()


@contextmanager
def environment(changes: Mapping[str, str]) -> Iterator[None]:
    """Within the block this process has these variables too, for a process that it starts."""
    before = {name: os.environ.get(name) for name in changes}
    os.environ.update(changes)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


@contextmanager
def termination_as_interrupt() -> Iterator[None]:
    """Within the block SIGTERM interrupts, so that the workers are stopped too."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _ask_for_signal_at_parents_end() -> None:
    """Have Linux send SIGTERM when the parent is gone, whatever this process is busy with."""
    if sys.platform != "linux":
        return
    with suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)


def _watch(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(POLL_SECONDS)
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(GRACE_SECONDS)
    os._exit(INTERRUPTED)
