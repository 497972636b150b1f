"""The driver of a run: hands out the units of a store, and writes what comes back.

It claims a unit for whichever of its workers is idle, holds the claim while that works, and is the
only one of them all that opens the store. Several drivers on one machine may share a store.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Protocol

from imc_bench.errors import WorkersLost
from imc_bench.store.units import LEASE_SECONDS, RunProgress

if TYPE_CHECKING:
    from imc_bench.plan import Plan, Unit
    from imc_bench.store.result_store import Store
    from imc_bench.store.schema import ResultRow

POLL_SECONDS = 0.5
"""How often a driver whose workers are all busy, or without work, looks what is left to do."""
MOST_LOSSES = 5
"""How often a unit may end the worker that has it, or workers end before they are ready: more is no
accident, and the run is stopped."""

Advance = Callable[[RunProgress], None]
"""Called with how far the run has come."""


@dataclass(frozen=True)
class Measured:
    """The rows of one unit."""

    unit: int
    rows: Sequence[ResultRow]
    skipped: Sequence[ResultRow]
    """Items that had to be left out, with the reason."""
    seconds: float


@dataclass(frozen=True)
class Lost:
    """A worker has ended."""

    unit: int | None
    """What it was measuring; None where it was not ready yet."""


class Workers(Protocol):
    """Whoever measures units, wherever that is."""

    def idle(self) -> bool:
        """Whether one of them has no unit."""

    def begin(self, unit: int) -> None:
        """Give one that is idle this unit."""

    def wait(self, seconds: float, alive: Callable[[], None]) -> Sequence[Measured | Lost]:
        """What has come since; empty after some `seconds` without anything.

        Args:
            seconds: to wait for the first.
            alive: to be called while this process measures itself, between batches.

        Raises IMCError where a worker refuses to go on, WorkersLost where one failed.
        """


class Measures(Protocol):
    """What measures a unit: `imc_bench.run.runner.Runner`."""

    @property
    def plan(self) -> Plan:
        """What its units are."""

    def measure(
        self, unit: Unit, alive: Callable[[], None]
    ) -> tuple[Sequence[ResultRow], Sequence[ResultRow]]:
        """The rows of one unit, and the items left out; `alive` between batches."""


class ThisProcess:
    """The one worker of a run without any other: the driver itself."""

    def __init__(self, runner: Measures) -> None:
        self._runner = runner
        self._unit: int | None = None

    def idle(self) -> bool:
        """Whether it has no unit."""
        return self._unit is None

    def begin(self, unit: int) -> None:
        """Measure this one next."""
        self._unit = unit

    def wait(self, seconds: float, alive: Callable[[], None]) -> Sequence[Measured | Lost]:
        """Measure the unit, or sleep."""
        unit, self._unit = self._unit, None
        if unit is None:
            time.sleep(seconds)
            return ()
        return (measured(self._runner, unit, alive),)


def measured(runner: Measures, unit: int, alive: Callable[[], None] = lambda: None) -> Measured:
    """Measure one unit and say how long it took."""
    start = time.perf_counter()
    rows, skipped = runner.measure(runner.plan.unit(unit), alive)
    return Measured(unit, rows, skipped, time.perf_counter() - start)


def drive(store: Store, workers: Workers, advance: Advance = lambda progress: None) -> RunProgress:
    """Work until the whole run is done, by these workers and whoever else shares its store.

    Raises:
        StoreRefused: the store cannot be written; what was written is safe.
        WorkersLost: workers end again and again, or one failed.
        IMCError: as a worker refused.
    """
    held: set[int] = set()
    losses: Counter[int | None] = Counter()
    renewed = time.monotonic()
    renew = partial(_renew, store, held)
    try:
        while True:
            progress = store.progress()
            advance(progress)
            if progress.complete:
                return progress
            while workers.idle() and (unit := store.units.claim()) is not None:
                workers.begin(unit)
                held.add(unit)
            for one in workers.wait(POLL_SECONDS, renew):
                if isinstance(one, Measured):
                    store.finish(one.unit, one.rows, one.skipped, one.seconds)
                    losses[None] = 0
                else:
                    _count(losses, one.unit)
                    if one.unit is not None:
                        store.units.give_back(one.unit)
                if one.unit is not None:
                    held.discard(one.unit)
            if time.monotonic() - renewed > LEASE_SECONDS / 4:
                renew()
                renewed = time.monotonic()
    finally:
        store.units.release()


def _count(losses: Counter[int | None], unit: int | None) -> None:
    losses[unit] += 1
    if losses[unit] >= MOST_LOSSES:
        over = "before they were ready" if unit is None else "over the same part of the run"
        raise WorkersLost(
            f"worker processes died {MOST_LOSSES} times {over}: give them more memory, or a "
            "smaller --batch-size; the same command goes on with the rows that are missing"
        )


def _renew(store: Store, held: set[int]) -> None:
    for unit in held:
        store.units.renew(unit)
