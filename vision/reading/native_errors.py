"""Errors that native decoders write to stderr: caught, and taken as the damage they report."""

from __future__ import annotations

import os
import re
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import IO

from imc_core.quiet import DESCRIPTORS

_LINE = re.compile(
    rb"^[A-Za-z_][\w.]*: .+\.$|\b(?:\w*TIFF\w*|\w*Decode\w*): |\bof (?:strip|tile|scanline) \d"
)
"""How libtiff reports: the function or file that failed, and why. It writes a line in three parts,
which what another thread writes may come between."""


def _memory_file() -> IO[bytes]:
    if hasattr(os, "memfd_create"):  # no temporary folder that may be full
        return os.fdopen(os.memfd_create("stderr"), "w+b")
    return tempfile.TemporaryFile()


@contextmanager
def native_errors_raised() -> Iterator[None]:
    """Redirect file descriptor 2 while native code decodes.

    libtiff writes its errors there, goes on after most, and leaves the rest of the picture black;
    Pillow offers no way to its error handler. What other threads wrote meanwhile is passed on.

    Raises:
        OSError: a decoder reported an error.
    """
    with DESCRIPTORS, _memory_file() as held:
        with suppress(AttributeError, OSError, ValueError):  # none, full, or closed
            sys.stderr.flush()
        try:
            saved = os.dup(2)
        except OSError:  # stderr is closed: nothing can be written to it
            yield
            return
        lines: list[bytes] = []
        try:
            os.dup2(held.fileno(), 2)
            yield
        finally:
            os.dup2(saved, 2)
            held.seek(0)
            lines = held.read().splitlines(keepends=True)
            foreign = [line for line in lines if not _LINE.search(line)]
            if foreign:
                os.write(saved, b"".join(foreign))
            os.close(saved)
        if len(foreign) < len(lines):
            raise OSError("a native decoder reported an error")
