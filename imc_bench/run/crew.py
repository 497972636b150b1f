"""Workers in other processes, wherever those are: one unit each, and a dead one is replaced."""

from __future__ import annotations

import pickle
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import TYPE_CHECKING, Any, Protocol

from imc_bench.errors import RunRefused, WorkersLost
from imc_bench.run.driver import MOST_LOSSES, POLL_SECONDS, Lost, Measured
from imc_bench.run.worker import Reply, WorkerDied, program_version
from imc_bench.store.schema import Identity

if TYPE_CHECKING:
    from imc_bench.run.recipe import RunRecipe


class Seat(Protocol):
    """One worker process, as its place sees it; it has one question at most."""

    def start(self, wanted: str, recipe: bytes) -> None:
        """Ask it to prepare (`UnitWorker.start`)."""

    def measure(self, unit: int) -> None:
        """Ask it for a unit (`UnitWorker.measure`)."""

    def reply(self) -> Reply:
        """What it said. Raises WorkerDied."""

    def dismiss(self) -> None:
        """Ask it to end, and wait for nothing."""

    def end(self) -> None:
        """End it, if it is not gone yet."""


class Place(Protocol):
    """Where worker processes are."""

    @property
    def count(self) -> int:
        """How many there can be."""

    def seat(self, number: int) -> Seat:
        """A new process in the seat of this number, 0 to `count` - 1."""

    def ready(self, seats: Sequence[Any], seconds: float) -> Sequence[Any]:
        """Those of `seats` that have replied or died; empty after `seconds` without any.

        Raises RunRefused where the place itself is gone.
        """

    def close(self) -> None:
        """End what the place needs beside its seats."""


@dataclass
class _Worker:
    seat: Seat
    ready: bool = False
    unit: int | None = None


class Crew:
    """The workers of one run at one place; ended with its block."""

    def __init__(self, place: Place, recipe: RunRecipe, *, most: int | None = None) -> None:
        """Start them all.

        Args:
            place: where; closed with the crew.
            recipe: what they measure. Its paths must hold in every process.
            most: so many are enough.
        """
        self.place = place
        self._identity: Identity | None = None
        self._workers: list[_Worker] = []
        try:
            self._start_arguments = (program_version(), pickle.dumps(recipe.absolute()))
            for number in range(min(place.count, most or place.count)):
                self._workers.append(self._hire(number))
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Crew:
        """The crew itself."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """End every worker."""
        self.close()

    def close(self) -> None:
        """End every worker, and the place."""
        for worker in self._workers:
            worker.seat.dismiss()
        for worker in self._workers:
            worker.seat.end()
        self._workers.clear()
        self.place.close()

    def identity(self, waiting: Callable[[], None] = lambda: None) -> Identity:
        """What the rows of these workers depend on, as soon as the first of them is ready.

        Raises IMCError as a worker refused, and WorkersLost.
        """
        losses = 0
        while self._identity is None:
            losses += len(self.wait(POLL_SECONDS, waiting))
            if losses >= MOST_LOSSES:
                raise WorkersLost(
                    f"worker processes died {MOST_LOSSES} times before they were ready: give them "
                    "more memory, or fewer --jobs"
                )
        return self._identity

    @property
    def ready(self) -> int:
        """How many have loaded the model, as far as `wait` has seen."""
        return sum(worker.ready for worker in self._workers)

    def idle(self) -> bool:
        """Whether one of them is ready and has no unit."""
        return any(worker.ready and worker.unit is None for worker in self._workers)

    def begin(self, unit: int) -> None:
        """Give one that is idle this unit."""
        worker = next(one for one in self._workers if one.ready and one.unit is None)
        worker.unit = unit
        worker.seat.measure(unit)

    def wait(self, seconds: float, alive: Callable[[], None]) -> Sequence[Measured | Lost]:
        """What has come since; empty after some `seconds` without anything."""
        by_seat = {id(one.seat): number for number, one in enumerate(self._workers)}
        asked = [one.seat for one in self._workers if not one.ready or one.unit is not None]
        came: list[Measured | Lost] = []
        for seat in self.place.ready(asked, seconds):
            number = by_seat[id(seat)]
            worker = self._workers[number]
            try:
                said, what = seat.reply()
            except WorkerDied:
                came.append(Lost(worker.unit))
                worker.seat.end()
                self._workers[number] = self._hire(number)
                continue
            if said == "ready":
                self._check(Identity(**what))
                worker.ready = True
            elif said == "measured":
                unit, worker.unit = worker.unit, None
                if unit is None:
                    raise WorkersLost("a worker measured what it was not given: please report it")
                rows, skipped, took = what
                came.append(Measured(unit, rows, skipped, took))
            else:
                raise _error(said, what)
        return came

    def _hire(self, number: int) -> _Worker:
        worker = _Worker(self.place.seat(number))
        worker.seat.start(*self._start_arguments)
        return worker

    def _check(self, identity: Identity) -> None:
        """All workers must make the same rows."""
        if self._identity is None:
            self._identity = identity
        for part in ("arguments", "versions", "model"):
            first, other = getattr(self._identity, part), getattr(identity, part)
            for name in sorted({*first, *other}):
                if first.get(name) != other.get(name):
                    raise RunRefused(
                        f"one worker has {name} {first.get(name)!r}, another {other.get(name)!r}, "
                        "and their rows would not be of one run: give --device and --dtype, and "
                        "the same files and packages on every machine"
                    )


def _error(said: str, what: Any) -> Exception:
    """What a worker could not do, as this process would have raised it."""
    if said == "refused":
        return RunRefused(str(what))
    if said == "lacking":
        return OSError(*what) if what else MemoryError()
    return WorkersLost(
        f"a worker failed: {what}; run it in one process as `imc --debug bench run ...` for the "
        "traceback, and please report it"
    )
