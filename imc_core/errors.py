"""The base of all refusals, and how an error of foreign code is named without its message."""

from __future__ import annotations

import traceback
from pathlib import Path

__all__ = ["IMCError", "where_raised"]


class IMCError(ValueError):
    """An input was refused. The message is one line that says what, why and the remedy.

    It never holds patient text or pixel values: only sizes, formats, field and file names.
    """


def where_raised(error: BaseException, within: str | Path | None = None) -> str:
    """The type of an error of foreign code and where it was raised, without its message: that may
    hold a question or a path.

    Args:
        error: the error, as it was caught.
        within: a source file: its last line on the way to the error is named, where there is one,
            and not the line of a library that it calls.
    """
    kind = type(error).__name__
    if isinstance(error, SyntaxError) and error.filename:
        return f"{kind} at {Path(error.filename).name}:{error.lineno}"
    frames = traceback.extract_tb(error.__traceback__)
    own = [frame for frame in frames if within is not None and frame.filename == str(within)]
    for frame in (own or frames)[-1:]:
        return f"{kind} at {Path(frame.filename).name}:{frame.lineno}"
    return kind
