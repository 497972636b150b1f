"""Work on references that needs no model, on the cores of a Ray cluster.

What tasks share lies in the cluster's memory once for each machine, and passes by no disk of ours.
A task whose machine has died is done again elsewhere.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import torch

from imc_core.plugins import load_plugins
from imc_core.ray_connection import PROBE_SECONDS, RayConnection
from vision.build.workers import AHEAD, Found, Shared, Task

OBJECT_BYTES = 2 * 1024**3
"""Shared memory of a local cluster: references, reduced, and their draws pass through it."""


class RayWorkers:
    """One task on each core of a cluster."""

    def __init__(self, connection: RayConnection, plugins: Sequence[str] = ()) -> None:
        """On a cluster.

        Args:
            connection: with it.
            plugins: files that register noises of one's own, at the same paths on every machine.
        """
        self.connection = connection
        self.plugins = tuple(plugins)
        self.jobs = max(1, int(sum(node.get("CPU", 0) for node in connection.nodes)))

    def results(
        self, work: Callable[[Shared, Task], Found], shared: Shared, tasks: Iterable[Task]
    ) -> Iterator[Found]:
        """As `vision.build.workers.Workers` has it. Raises RayRefused where the cluster is gone."""
        ray = self.connection.ray
        given = ray.put(shared)
        remote = ray.remote(_in_a_worker).options(num_cpus=1)
        left, begun = iter(tasks), deque[Any]()

        def submit() -> None:
            for task in left:
                begun.append(remote.remote(self.plugins, work, given, task))
                return

        for _ in range(AHEAD * self.jobs):
            submit()
        while begun:
            found = self._result(begun.popleft())
            submit()
            yield found

    def _result(self, asked: Any) -> Any:
        ray, errors = self.connection.ray, self.connection.errors
        try:
            while not ray.wait([asked], timeout=PROBE_SECONDS)[0]:
                self.connection.probe()
            self.connection.heard()
            return ray.get(asked)
        except errors.RayTaskError as error:
            raise self.connection.lacking(error) or error.cause from error
        except (errors.RayError, ConnectionError) as error:
            raise self.connection.lacking(error) or self.connection.lost() from error


@cache
def _prepare(plugins: tuple[str, ...]) -> None:
    torch.set_num_threads(1)
    load_plugins([Path(file) for file in plugins])


def _in_a_worker(
    plugins: tuple[str, ...], work: Callable[[Shared, Task], Found], shared: Shared, task: Task
) -> Found:
    _prepare(plugins)
    with torch.inference_mode():
        return work(shared, task)
