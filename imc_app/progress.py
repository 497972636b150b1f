"""How far long work is, on stderr: a bar on a terminal, a line now and then elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from imc_app.notices import is_quiet, notice

LINE_SECONDS = 20.0
"""Least time between two lines of progress where stderr is no terminal."""


@contextmanager
def progress_bar() -> Iterator[Callable[[str, int, int], None]]:
    """Show how far the work of the block is; call what it yields with (what, done, total).

    On a terminal a bar with the time left, elsewhere a line every `LINE_SECONDS`.
    """
    if is_quiet():
        yield lambda what, done, total: None
    elif sys.stderr.isatty():
        with _bar() as advance:
            yield advance
    else:
        yield _Lines().advance


class _Lines:
    """Plain lines of progress, each with the time left as the work so far suggests."""

    def __init__(self) -> None:
        self._said = time.monotonic()
        self._what = ""
        self._began, self._done_then = self._said, 0

    def advance(self, what: str, done: int, total: int) -> None:
        now = time.monotonic()
        if what != self._what or done < self._done_then:
            self._what, self._began, self._done_then = what, now, done
        if now - self._said < LINE_SECONDS or done == total:  # the command says that it is done
            return
        self._said = now
        gained = done - self._done_then
        left = ""
        if gained > 0:
            left = f", about {duration((now - self._began) / gained * (total - done))} left"
        notice(f"{what}: {done} of {total}{left}")


@contextmanager
def _bar() -> Iterator[Callable[[str, int, int], None]]:
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        TextColumn("{task.completed:.0f}/{task.total:.0f}"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("", total=1)

        def advance(what: str, done: int, total: int) -> None:
            bar.update(task, description=what, completed=done, total=total)

        yield advance


def duration(seconds: float) -> str:
    """A length of time for a person: `40 s`, `12 min`, `3.5 h`."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 90 * 60 else f"{seconds / 3600:.1f} h"
