"""Which errors are refusals of an input (exit code 2), and how one is said in one line."""

from __future__ import annotations

import os
import unicodedata

from imc_core.errors import IMCError

JOINERS = frozenset("\u200c\u200d")

MAX_LINE = 600  # a refusal is read in a terminal; a quoted path may be long, a page may not


class InputRefused(IMCError):
    """The command line asked for something that cannot be done; the message is one line."""


def is_refusal(error: BaseException) -> bool:
    """Whether some room, or this one, refused its input."""
    return isinstance(error, IMCError)


def refusal_line(error: ValueError) -> str:
    """What a refusal of one input among many says; a fault of ours is raised."""
    if not is_refusal(error):
        raise error
    return str(error)


def shortage(error: BaseException) -> str | None:
    """What the machine lacked, in a line; None where the error is none of that kind.

    A full disk, a folder without permission, too little memory: they are no fault of the program,
    and what was finished before stays.
    """
    if isinstance(error, MemoryError):
        return "not enough memory: close other programs, or give fewer or smaller inputs"
    if not isinstance(error, OSError):
        return None
    name = error.filename if isinstance(error.filename, str | bytes) else None
    where = f"{os.fsdecode(name)}: " if name else ""
    what = error.strerror or (str(error) if isinstance(error, FileNotFoundError) else "")
    if not what:
        return None
    return f"{where}{what}: free some space or check permissions, and run the same command again"


def printable(text: str) -> str:
    """Show every control, format or surrogate character of `text` as its code point.

    File names, questions and a model's answers may hold escape sequences: a terminal must show
    them and never execute them. The joiners that emoji and some scripts are written with stay.
    """
    return "".join(
        f"\\u{ord(character):04x}"
        if unicodedata.category(character)[0] == "C" and character not in JOINERS
        else character
        for character in text
    )


def one_line(message: str) -> str:
    """Fold `message` into one printable line."""
    shown = printable(" ".join(message.split()))
    return shown if len(shown) <= MAX_LINE else shown[: MAX_LINE - 1] + "…"
