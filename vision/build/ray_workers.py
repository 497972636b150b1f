"""Work on references that needs no model, on the cores of a Ray cluster.

What tasks share lies in the cluster's memory, once for each machine. A task whose machine has died
is done again elsewhere.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import torch

from imc_core.plugins import load_plugins
from imc_core.ray_connection import PROBE_SECONDS, RayConnection, RayRefused
from imc_core.sources import program_digest
from vision.build.workers import Found, Shared, Task, ahead

OBJECT_BYTES = 2 * 1024**3
"""Shared memory of a local cluster: references, reduced, and their draws pass through it."""


class RayWorkers:
    """One task on each core of a cluster."""

    def __init__(self, connection: RayConnection, plugins: Sequence[str] = ()) -> None:
        """On a cluster.

        Args:
            connection: with it.
            plugins: files that register noises of one's own, at the same paths on every machine.

        Raises RayRefused where the cluster has no cores.
        """
        self.connection = connection
        self.plugins = tuple(plugins)
        self.jobs = int(sum(node.get("CPU", 0) for node in connection.nodes))
        if self.jobs < 1:
            raise RayRefused("the Ray cluster has no cores; add machines to it with `ray start`")

    def results(
        self, work: Callable[[Shared, Task], Found], shared: Shared, tasks: Iterable[Task]
    ) -> Generator[Found, None, None]:
        """As `vision.build.workers.Workers` has it. Raises RayRefused where the cluster is gone."""
        ray = self.connection.ray
        given = ray.put(shared)
        remote = ray.remote(_in_a_worker).options(num_cpus=1)

        def begin(task: Task) -> Any:
            return remote.remote(program_digest(), self.plugins, work, given, task)

        yield from ahead(begin, self._result, tasks, self.jobs)

    def _result(self, asked: Any) -> Any:
        ray, errors = self.connection.ray, self.connection.errors
        try:
            while not ray.wait([asked], timeout=PROBE_SECONDS)[0]:
                self.connection.probe()
            self.connection.heard()
            return ray.get(asked)
        except errors.RayTaskError as error:
            raise self.connection.lacking(error) or error.cause from error
        except (errors.LocalRayletDiedError, errors.RaySystemError, ConnectionError) as error:
            raise self.connection.lost() from error
        except errors.RayError as error:
            raise self.connection.lacking(error) or RayRefused(
                f"--ray {self.connection.address}: a task of the build could not be done "
                f"({type(error).__name__}), as where memory is short: run the same command again, "
                "or --jobs N instead; what was finished is kept"
            ) from error


@cache
def _prepare(digest: str, plugins: tuple[str, ...]) -> None:
    if program_digest() != digest:
        raise RayRefused(
            "a machine of the Ray cluster has another version of imc-agents: install the same on "
            "every machine"
        )
    torch.set_num_threads(1)
    load_plugins([Path(file) for file in plugins])


def _in_a_worker(
    digest: str,
    plugins: tuple[str, ...],
    work: Callable[[Shared, Task], Found],
    shared: Shared,
    task: Task,
) -> Found:
    _prepare(digest, plugins)
    with torch.inference_mode():
        return work(shared, task)
