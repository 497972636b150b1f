"""Runs without a model: workers that measure by arithmetic, in whatever place."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from imc_bench.run.driver import Lost, Measured
from imc_bench.store.result_store import Store
from imc_bench.store.schema import Identity, NewRun
from imc_core.errors import IMCError
from imc_core.plugins import PluginRefused
from tests.imc_bench.small_store import IDENTITY, row

UNITS = 12
NEW = NewRun(
    [(f"q{n}", "g", "topic", True, "yes", (), None) for n in range(UNITS)],
    units=UNITS,
    expected=UNITS,
)


def rows_of(store: Store) -> list[dict[str, Any]]:
    return list(store.rows())


def open_store(folder: Path) -> Store:
    return Store.open(folder / "run.db", IDENTITY, NEW)


def row_of(unit: int) -> dict[str, Any]:
    return row(f"q{unit}", ms=float(unit))


WHOLE = sorted((row_of(unit) for unit in range(UNITS)), key=lambda one: str(one["item_id"]))
"""The rows of the whole run, as a store returns them."""


@dataclass
class Workers:
    """Workers of this process, of which some die."""

    count: int = 2
    dies: Callable[[int], bool] = lambda unit: False
    at_work: list[int] = field(default_factory=list)
    log: list[int] = field(default_factory=list)

    def idle(self) -> bool:
        return len(self.at_work) < self.count

    def begin(self, unit: int) -> None:
        self.at_work.append(unit)
        self.log.append(unit)

    def wait(self, seconds: float, alive: Callable[[], None]) -> list[Measured | Lost]:
        if not self.at_work:
            return []
        unit = self.at_work.pop()  # the last first: results come in any order
        return [Lost(unit) if self.dies(unit) else Measured(unit, [row_of(unit)], (), 0.5)]


@dataclass(frozen=True)
class Plan:
    """Its units are their numbers."""

    def unit(self, number: int) -> int:
        return number


class Runner:
    """Measures a unit as `row_of` says, and fails as it was asked to."""

    plan = Plan()

    def __init__(self, recipe: FakeRecipe) -> None:
        self.recipe = recipe

    def measure(self, unit: int, alive: Callable[[], None]) -> tuple[list[Any], list[Any]]:
        if unit == self.recipe.kills and _once(self.recipe.mark):
            os.kill(os.getpid(), signal.SIGKILL)
        time.sleep(self.recipe.seconds)
        error = self.recipe.raises.get(unit)
        if error == "refused":
            raise PluginRefused("plug-in 'dust.py': it is gone")
        if error == "disk":
            raise OSError(28, "No space left on device", "/tmp/file")
        if error == "memory":
            raise MemoryError
        if error == "fault":
            raise KeyError("Is there a lesion?")
        return [row_of(unit)], []


@dataclass(frozen=True)
class FakeRecipe:
    """In place of `imc_bench.run.recipe.RunRecipe`."""

    kills: int | None = None
    """A unit that kills its worker, the first time."""
    mark: str = ""
    """The file that remembers the first time."""
    raises: dict[int, str] = field(default_factory=dict)
    variables: tuple[str, ...] = ()
    """Those of the environment that the identity holds."""

    seconds: float = 0.0
    """How long a unit takes."""

    def absolute(self) -> FakeRecipe:
        return self

    def prepare(self) -> tuple[Runner, Identity]:
        if self.raises.get(-1) == "dies":
            os.kill(os.getpid(), signal.SIGKILL)
        if self.raises.get(-1) == "refused":
            raise IMCError("model m has no image side: give another")
        held = {name: os.environ.get(name, "") for name in self.variables}
        return Runner(self), Identity(
            IDENTITY.arguments, IDENTITY.versions, {**IDENTITY.model, **held}
        )


def _once(mark: str) -> bool:
    try:
        Path(mark).touch(exist_ok=False)
    except FileExistsError:
        return False
    return True
