"""Work that goes on in the background while pages watch it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from html import escape
from typing import Any

from imc_app.refusals import is_refusal, one_line, shortage
from imc_core.errors import where_raised

Watcher = Callable[[], None]


def sentence(error: BaseException) -> str:
    """What a page says of an error: the refusal, or a fault by its type and place alone."""
    if is_refusal(error):
        return one_line(str(error))
    return one_line(shortage(error) or f"a fault of ours: {where_raised(error)}; please report it")


class Watched:
    """Something that has one job at a time."""

    def __init__(self) -> None:
        self.doing = ""
        """What goes on; empty where nothing does."""
        self.message = ""
        """The last refusal or failure; empty for none."""
        self._watchers: list[Watcher] = []
        self._loop: asyncio.AbstractEventLoop | None = None

    @property
    def status_html(self) -> str:
        """What goes on and what went wrong."""
        lines = [f'<p class="soft">{escape(self.doing)} ...</p>'] if self.doing else []
        if self.message:
            lines.append(f'<p class="imc-refusal">{escape(self.message)}</p>')
        return "".join(lines)

    def began(self, doing: str) -> None:
        """A job begins. On the event loop."""
        self._loop = asyncio.get_running_loop()
        self.doing, self.message = doing, ""
        self.changed()

    def ended(self, error: BaseException | None) -> None:
        """The job has ended. On the event loop."""
        self.doing = ""
        if error is not None:
            self.message = sentence(error)
        self.changed()

    def watch(self, watcher: Watcher) -> Callable[[], None]:
        """Call `watcher`, on the event loop, whenever something has happened.

        Returns:
            What ends that.
        """
        self._watchers.append(watcher)
        return lambda: self._watchers.remove(watcher) if watcher in self._watchers else None

    def changed(self) -> None:
        """Call every watcher soon. On the event loop alone."""
        for watcher in list(self._watchers):  # each by itself: one that fails holds up no other
            asyncio.get_running_loop().call_soon(watcher)

    def changed_elsewhere(self) -> None:
        """`changed`, from the thread that does the job."""
        if self._loop is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self.changed)


class Computation(Watched):
    """A job with a result, such as a comparison of two pictures."""

    def __init__(self) -> None:
        super().__init__()
        self.result: Any = None
        """None until the job has ended without an error."""
