"""The base of all refusals, and how an error of foreign code is named without its message."""

from __future__ import annotations

import traceback
from pathlib import Path

__all__ = ["IMCError", "where_raised"]


class IMCError(ValueError):
    """An input was refused. The message is one line that says what, why and the remedy.

    It never holds patient text or pixel values: only sizes, formats, field and file names.
    """


def where_raised(error: BaseException) -> str:
    """The type of an error of foreign code and where it was raised, without its message: that may
    hold a question or a path."""
    kind = type(error).__name__
    if isinstance(error, SyntaxError):
        return f"{kind} in line {error.lineno}"
    frames = traceback.extract_tb(error.__traceback__)
    return f"{kind} at {Path(frames[-1].filename).name}:{frames[-1].lineno}" if frames else kind
