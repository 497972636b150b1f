"""What a person reads on stderr while a command works; stdout holds results alone.

On a terminal a spinner that disappears when its work is done; elsewhere plain lines.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from imc_app.refusals import one_line

NO_COLOR = "NO_COLOR"
"""The variable that rich and typer read: https://no-color.org."""


@dataclass
class _Display:
    quiet: bool = False
    verbose: bool = False


_display = _Display()


@contextmanager
def fresh_display() -> Iterator[None]:
    """Forget the output options of the last command line of this process, before and after."""
    color = os.environ.get(NO_COLOR)
    _display.quiet = _display.verbose = False
    try:
        yield
    finally:
        _display.quiet = _display.verbose = False
        if color is None:
            os.environ.pop(NO_COLOR, None)


def set_quiet(quiet: bool) -> None:
    """`--quiet`: results and refusals alone."""
    _display.quiet = _display.quiet or quiet


def set_verbose(verbose: bool) -> None:
    """`--verbose`: each phase and the seconds it took."""
    _display.verbose = _display.verbose or verbose


def set_no_color(no_color: bool) -> None:
    """`--no-color`: plain text on a terminal too."""
    if no_color:
        os.environ[NO_COLOR] = "1"


def is_quiet() -> bool:
    """Whether results and refusals alone are wanted."""
    return _display.quiet


def notice(line: str) -> None:
    """Say something that is neither a result nor a refusal; nothing under `--quiet`."""
    if not _display.quiet:
        print(f"imc: {one_line(line)}", file=sys.stderr, flush=True)


def detail(line: str) -> None:
    """Say something that only `--verbose` asks for."""
    if _display.verbose:
        notice(line)


@contextmanager
def waiting(what: str) -> Iterator[None]:
    """Say at once what takes seconds to minutes, such as `loading model imc-reference`.

    Where stderr is no terminal and the model library is in this process already nothing is said:
    a line that stays is for the first wait alone, which its import makes the longest.
    """
    began = time.monotonic()
    if _display.quiet:
        yield
    elif sys.stderr.isatty():
        from rich.console import Console
        from rich.text import Text

        with Console(stderr=True).status(Text(f"{one_line(what)} ...")):
            yield
    else:
        if "torch" not in sys.modules:
            notice(f"{what} ...")
        yield
    detail(f"{what}: {time.monotonic() - began:.1f} s")
