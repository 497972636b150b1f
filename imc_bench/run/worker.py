"""A worker of a run, in a process of its own: measures the units that it is given, opens no store.

What it is given and what it says are plain values, so that a worker of another version is known as
one. Importing this module imports no model library: the process is prepared first.
"""

from __future__ import annotations

import pickle
import socket
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Any, Literal

from imc_core.errors import IMCError, where_raised
from imc_core.quiet import keep_on_this_machine, silence_libraries
from imc_core.sources import program_digest

if TYPE_CHECKING:
    from imc_bench.run.runner import Runner

Said = Literal["ready", "measured", "refused", "lacking", "failed"]
Reply = tuple[Said, Any]
"""What a worker says, of built-in types.

`ready`: the parts of its `Identity` by name; `measured`: rows, skipped items, seconds; `refused`: a
refusal's line; `lacking`: the arguments of an OSError, or () where memory was short; `failed`: the
type of another error and where it was raised.
"""


class WorkerDied(Exception):
    """The process that was to answer is gone."""


def program_version() -> str:
    """This program's version and the digest of its source files."""
    try:
        number = version("imc-agents")
    except PackageNotFoundError:
        number = "not installed"
    return f"{number}, source {program_digest()}"


class UnitWorker:
    """Measures units; every call returns a `Reply`, and raises nothing that it can say."""

    def __init__(self) -> None:
        """Load nothing yet."""
        self._runner: Runner | None = None

    def start(self, wanted: str, recipe: bytes) -> Reply:
        """Prepare, which loads the model.

        Args:
            wanted: `program_version` of the driver; another one is refused.
            recipe: a pickled `imc_bench.run.recipe.RunRecipe`.
        """
        keep_on_this_machine()
        silence_libraries()
        if (own := program_version()) != wanted:
            return "refused", (
                f"the worker on {socket.gethostname()} is of another version of imc-agents "
                f"({own}) than this command ({wanted}): install the same on every machine"
            )
        return _said(lambda: ("ready", self._prepare(recipe)))

    def measure(self, unit: int) -> Reply:
        """Measure one unit, after `start`."""
        return _said(lambda: ("measured", self._measure(unit)))

    def _prepare(self, recipe: bytes) -> dict[str, Any]:
        self._runner, identity = pickle.loads(recipe).prepare()
        return {
            "arguments": dict(identity.arguments),
            "versions": dict(identity.versions),
            "model": dict(identity.model),
        }

    def _measure(self, unit: int) -> tuple[Any, Any, float]:
        from imc_bench.run.driver import measured

        if self._runner is None:
            raise RuntimeError("a worker measures after it has started")
        done = measured(self._runner, unit)
        return list(done.rows), list(done.skipped), done.seconds


def _said(work: Callable[[], Reply]) -> Reply:
    """What `work` returns, or what went wrong; a message of foreign code may hold a question."""
    try:
        return work()
    except IMCError as error:
        return "refused", str(error)
    except MemoryError:
        return "lacking", ()
    except OSError as error:
        return "lacking", (error.errno, error.strerror, error.filename)
    except Exception as error:
        return "failed", where_raised(error)
