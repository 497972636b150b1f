"""Silence for native libraries, which write to the process's own stdout and stderr."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

__all__ = ["DESCRIPTORS", "native_silence"]

DESCRIPTORS = threading.RLock()
"""Held by whatever redirects file descriptors 1 and 2: two that overlap in time would restore each
other's redirection, and the process would stay silent."""


@contextmanager
def native_silence() -> Iterator[None]:
    """Within the block nothing that is written to file descriptors 1 and 2 is shown.

    It holds for every thread of the process: for calls of a fraction of a second alone.
    """
    with DESCRIPTORS:
        for stream in (sys.stdout, sys.stderr):
            with suppress(OSError, ValueError, AttributeError):
                stream.flush()  # what was written before is shown
        kept = {}
        with suppress(OSError):  # a process without them, such as a daemon, has nothing to show
            kept = {number: os.dup(number) for number in (1, 2)}
        nowhere = os.open(os.devnull, os.O_WRONLY)
        try:
            for number in kept:
                os.dup2(nowhere, number)
            yield
        finally:
            os.close(nowhere)
            for number, copy in kept.items():
                os.dup2(copy, number)
                os.close(copy)
