"""Work on references that needs no model, in this process or in worker processes.

Workers are spawned: what they share is sent to each once, and nothing is written to disk. Every
task runs on one thread, so that what is fitted does not depend on how many workers there are.
"""

from __future__ import annotations

import os
import signal
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from itertools import islice
from multiprocessing import get_context
from pathlib import Path
from typing import Protocol, TypeVar

import torch

from imc_core.plugins import load_plugins
from imc_core.workers import follow, usable_cores
from vision.errors import BankRefused

Shared = TypeVar("Shared")
Task = TypeVar("Task")
Found = TypeVar("Found")
Begun = TypeVar("Begun")

AHEAD = 2
"""Tasks that are begun for each worker before their results are asked for."""
MOST_JOBS = 4
"""Workers by default: each holds the references, and what it makes waits to be used."""


def default_jobs() -> int:
    """A worker for each usable core, up to `MOST_JOBS`."""
    return min(usable_cores(), MOST_JOBS)


class Workers(Protocol):
    """Who does the work."""

    @property
    def jobs(self) -> int:
        """How many tasks are done at a time."""

    def results(
        self, work: Callable[[Shared, Task], Found], shared: Shared, tasks: Iterable[Task]
    ) -> Generator[Found, None, None]:
        """`work(shared, task)` of every task, in order, begun a few tasks ahead.

        Args:
            work: a function of a module.
            shared: what every task needs.
            tasks: taken one after another, as workers are free for them.
        """


@dataclass(frozen=True)
class LocalWorkers:
    """Processes of this machine: how many there are, and what they load."""

    jobs: int = 1
    """1: in this process."""
    plugins: Sequence[str] = ()
    """Files that register noises of one's own."""

    def pool(self, shared: object = None) -> ProcessPoolExecutor:
        """Worker processes that know `shared`; they end with this one, however it ends."""
        begin = partial(_begin, os.getpid(), tuple(self.plugins), shared)
        return ProcessPoolExecutor(
            self.jobs, mp_context=get_context("spawn"), initializer=begin
        )

    def results(
        self, work: Callable[[Shared, Task], Found], shared: Shared, tasks: Iterable[Task]
    ) -> Generator[Found, None, None]:
        """As `Workers` has it."""
        if self.jobs == 1:
            for task in tasks:
                with _one_thread():
                    found = work(shared, task)
                yield found
            return
        with self.pool(shared) as pool:

            def begin(task: Task) -> Future[Found]:
                return pool.submit(_with_shared, work, task)

            try:
                yield from ahead(begin, _result, tasks, self.jobs)
            finally:
                pool.shutdown(cancel_futures=True)


IN_PROCESS = LocalWorkers()


def ahead(
    begin: Callable[[Task], Begun],
    finish: Callable[[Begun], Found],
    tasks: Iterable[Task],
    jobs: int,
) -> Generator[Found, None, None]:
    """What becomes of every task, in order; `AHEAD` are begun for each job before they are due."""
    left = iter(tasks)
    begun = deque(map(begin, islice(left, AHEAD * jobs)))
    while begun:
        found = finish(begun.popleft())
        begun.extend(map(begin, islice(left, 1)))
        yield found


def _result(begun: Future[Found]) -> Found:
    try:
        return begun.result()
    except BrokenProcessPool as error:
        raise BankRefused(
            "a worker process of the build has ended, as where memory is short: run the same "
            "command again with fewer --jobs; what was finished is kept"
        ) from error


@contextmanager
def _one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with torch.inference_mode():
            yield
    finally:
        torch.set_num_threads(before)


# -- in a worker ----------------------------------------------------------------------------------

_shared: object = None


def _begin(parent: int, plugins: Sequence[str], shared: object) -> None:
    """It ends with its parent, has one thread, and knows noises of one's own."""
    global _shared
    follow(parent)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # who is interrupted is the build: it ends these
    torch.set_num_threads(1)
    load_plugins([Path(file) for file in plugins])
    _shared = shared


def _with_shared(work: Callable[[Shared, Task], Found], task: Task) -> Found:
    with torch.inference_mode():
        return work(_shared, task)  # type: ignore[arg-type]
