"""Files that are written whole or not at all."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

__all__ = ["replace_file", "replacing"]

WRITING = ".writing"
"""Ending of a file that is being written."""


@contextmanager
def replacing(target: Path) -> Iterator[Path]:
    """A temporary path beside `target` that takes its place when the block ends without an error.

    A process that is killed, or a disk that is full, leaves `target` as it was. A link at `target`
    is replaced, never followed.

    Raises:
        OSError: the folder cannot be written.
    """
    writing = target.with_name(target.name + WRITING)
    writing.unlink(missing_ok=True)  # of a killed process, or a link that would be followed
    try:
        yield writing
        with writing.open("rb") as written:
            os.fsync(written.fileno())
        writing.replace(target)
    except BaseException:
        with suppress(OSError):
            writing.unlink(missing_ok=True)
        raise


def replace_file(target: Path, data: bytes | str) -> None:
    """Write `data` (text as UTF-8) to `target`, whole or not at all.

    Raises:
        OSError: the folder cannot be written.
    """
    with replacing(target) as writing:
        writing.write_bytes(data.encode("utf-8") if isinstance(data, str) else data)
