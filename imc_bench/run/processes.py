"""Worker processes beside this one, on its machine; they end with it."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from multiprocessing import get_context
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess
from typing import Any

from imc_bench.run.worker import Reply, UnitWorker, WorkerDied
from imc_core.workers import environment, follow

STOP_SECONDS = 5.0
"""How long a worker that was asked to stop may take."""
GPU_VARIABLE = "CUDA_VISIBLE_DEVICES"
"""Which GPUs a process can use, in CUDA's own words."""


class Processes:
    """A place for as many workers as there are environments."""

    def __init__(self, environments: Sequence[Mapping[str, str]]) -> None:
        """Start nothing yet.

        Args:
            environments: of each worker, what differs from this process's; it has them before it
                imports anything.
        """
        self.environments = environments

    @property
    def count(self) -> int:
        """How many there can be."""
        return len(self.environments)

    def seat(self, number: int) -> ProcessSeat:
        """A new process."""
        return ProcessSeat(self.environments[number])

    def ready(self, seats: Sequence[ProcessSeat], seconds: float) -> Sequence[ProcessSeat]:
        """Those that have replied or died."""
        by_handle: dict[Any, ProcessSeat] = {
            handle: seat for seat in seats for handle in (seat.connection, seat.process.sentinel)
        }
        found = wait(list(by_handle), seconds)
        return list({id(seat): seat for seat in map(by_handle.__getitem__, found)}.values())

    def close(self) -> None:
        """Nothing is left beside the workers."""


class ProcessSeat:
    """One worker process, asked through a pipe."""

    def __init__(self, changes: Mapping[str, str]) -> None:
        self.connection, theirs = get_context("spawn").Pipe()
        self.process: SpawnProcess = get_context("spawn").Process(
            target=_work, args=(theirs, os.getpid()), daemon=True
        )
        with environment(changes), _deaf_to_interrupts():
            self.process.start()
        theirs.close()

    def start(self, wanted: str, recipe: bytes) -> None:
        """Ask it to prepare."""
        self._ask("start", wanted, recipe)

    def measure(self, unit: int) -> None:
        """Ask it for a unit."""
        self._ask("measure", unit)

    def reply(self) -> Reply:
        """What it said, also where it died afterwards. Raises WorkerDied."""
        try:
            if self.connection.poll():
                said: Reply = self.connection.recv()
                return said
        except (EOFError, OSError):
            pass
        raise WorkerDied

    def dismiss(self) -> None:
        """Ask it to stop."""
        with suppress(OSError):
            self.connection.close()
        self.process.terminate()

    def end(self) -> None:
        """Ask it to stop, and end it where it does not."""
        self.dismiss()
        self.process.join(STOP_SECONDS)
        if self.process.exitcode is None:
            self.process.kill()
            self.process.join()

    def _ask(self, *question: object) -> None:
        with suppress(OSError):  # a dead one is known by its reply
            self.connection.send(question)


def _work(connection: Connection, parent: int) -> None:
    """What a worker process does: answer one question after another until there are no more."""
    worker = UnitWorker()
    with suppress(KeyboardInterrupt):
        with suppress(EOFError, OSError):
            follow(parent)
            while True:
                name, *given = connection.recv()
                connection.send(getattr(worker, name)(*given))
        # the pipe is closed: the request to terminate that follows finds nothing to give back
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)


@contextmanager
def _deaf_to_interrupts() -> Iterator[None]:
    """A process that is started within the block leaves interrupts of the terminal to this one."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def gpu_names(visible: str | None, device: str = "auto") -> list[str]:
    """How CUDA calls each GPU that this process may use, for `GPU_VARIABLE` of one worker each.

    Args:
        visible: the variable in this process; None: all GPUs are visible.
        device: the model's; none are found for `cpu` and `mps`.
    """
    if device in ("cpu", "mps"):
        return []
    import torch

    count = torch.cuda.device_count()  # asks the driver, and takes no memory of a GPU
    names = [name.strip() for name in visible.split(",")] if visible else map(str, range(count))
    return list(names)[:count]
