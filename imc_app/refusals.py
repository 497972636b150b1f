"""Which errors are refusals of an input (exit code 2), and how one is said in one line."""

from __future__ import annotations

import unicodedata

from imc_core.errors import IMCError

JOINERS = frozenset("\u200c\u200d")

MAX_LINE = 600  # a refusal is read in a terminal; a quoted path may be long, a page may not


class InputRefused(IMCError):
    """The command line asked for something that cannot be done; the message is one line."""


def is_refusal(error: BaseException) -> bool:
    """Whether some room, or this one, refused its input.

    The rooms' error types are imported here, on failure, so that `imc --help` needs none.
    """
    from imc_agents.errors import ModelRefused, QuestionRefused
    from imc_noise import UnknownNoise
    from prompts import PromptRefused
    from vision.errors import BankRefused, ImageRefused

    return isinstance(
        error,
        InputRefused
        | UnknownNoise
        | PromptRefused
        | ModelRefused
        | QuestionRefused
        | ImageRefused
        | BankRefused,
    )


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
