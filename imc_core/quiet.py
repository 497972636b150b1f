"""Processes that say nothing of their own and send nothing anywhere: libraries, native ones too."""

from __future__ import annotations

import logging
import os
import sys
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress

__all__ = ["DESCRIPTORS", "keep_on_this_machine", "native_silence", "silence_libraries"]

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


def silence_libraries() -> None:
    """Silence the libraries of this process: their warnings are not for whoever asks a question."""
    warnings.simplefilter("ignore")
    logging.disable(logging.WARNING)
    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
    os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")


def keep_on_this_machine() -> None:
    """Turn off what would send questions elsewhere; must precede the first library import.

    A tracing variable left over from another project would otherwise post every question.
    """
    for variable in ("LANGSMITH_TRACING", "LANGSMITH_TRACING_V2", "LANGCHAIN_TRACING_V2"):
        os.environ[variable] = "false"
    os.environ["HF_HUB_DISABLE_TELEMETRY"] = "1"
    os.environ.setdefault("LANGGRAPH_STRICT_MSGPACK", "true")
