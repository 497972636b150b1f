"""Which errors are refusals of an input (exit code 2), and how one is said in one line."""

from __future__ import annotations

import unicodedata

MAX_LINE = 600  # a refusal is read in a terminal; a quoted path may be long, a page may not


class InputRefused(ValueError):
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


def one_line(message: str) -> str:
    """Fold `message` into one printable line.

    A file name may hold escape sequences; a terminal must never execute them, so every control,
    format or surrogate character is shown as its code point.
    """
    folded = " ".join(message.split())
    shown = "".join(
        f"\\u{ord(character):04x}" if unicodedata.category(character)[0] == "C" else character
        for character in folded
    )
    return shown if len(shown) <= MAX_LINE else shown[: MAX_LINE - 1] + "…"
