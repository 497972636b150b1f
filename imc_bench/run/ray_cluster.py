"""Workers as actors of a Ray cluster: one GPU, or one group of cores, for each.

Ray finds a machine for every worker, says when one has died and with which machine; rows come back
through it, so that no disk is shared. A model, its data and plug-ins are read at the same paths on
every machine.
"""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from imc_bench.errors import RunRefused
from imc_bench.run.worker import Reply, UnitWorker, WorkerDied
from imc_core.ray_connection import RayConnection


@dataclass(frozen=True)
class Share:
    """What each worker is given of a cluster."""

    workers: int
    cores: int
    gpus: int


def share_of(
    nodes: Sequence[Mapping[str, float]], *, wanted: int | None = None, use_gpus: bool = True
) -> Share:
    """How many workers a cluster holds, and how many cores each has.

    Args:
        nodes: `CPU` and `GPU` of every machine, as Ray counts them.
        wanted: workers; fewer where the cluster holds no more. None: one for each GPU where there
            are some, else one for each machine.
        use_gpus: give each worker a GPU where there are some.

    Raises RunRefused where there is no core at all.
    """
    machines = [
        (math.floor(node.get("CPU", 0)), math.floor(node.get("GPU", 0)) if use_gpus else 0)
        for node in nodes
    ]
    gpus = sum(of_one for cores, of_one in machines if cores)
    if not any(cores for cores, _ in machines):
        raise RunRefused("the Ray cluster has no cores; add machines to it with `ray start`")
    per_worker = 1 if gpus else 0

    def held(cores: int) -> int:
        return sum(min(own // cores, of_one if gpus else own) for own, of_one in machines)

    workers = min(wanted or gpus or sum(bool(cores) for cores, _ in machines), held(1))
    cores = max(
        count for count in range(1, max(own for own, _ in machines) + 1) if held(count) >= workers
    )
    return Share(workers, cores, per_worker)


class RayCluster:
    """A place for workers: a cluster that runs, or one of this machine's own."""

    def __init__(
        self, address: str, *, wanted: int | None = None, use_gpus: bool = True, cores: int = 1
    ) -> None:
        """Connect, or start one.

        Args:
            address: `local`; `auto`, the cluster that this machine is part of; or `HOST:PORT`.
            wanted: workers; None: as `share_of` says.
            use_gpus: give each worker a GPU where the cluster has some.
            cores: of this machine, for a local cluster.

        Raises RayRefused: Ray is not installed, no cluster answers, or one of another version.
        Raises RunRefused where the cluster has no cores.
        """
        self.connection = RayConnection(address, cores=max(cores, wanted or 1))
        try:
            self.share = share_of(self.connection.nodes, wanted=wanted, use_gpus=use_gpus)
        except RunRefused:
            self.close()
            raise
        self._actors = self.connection.ray.remote(UnitWorker)

    @property
    def count(self) -> int:
        """How many workers there are."""
        return self.share.workers

    def seat(self, number: int) -> RaySeat:
        """A new actor; Ray waits for room where there is none now."""
        actor = self._actors.options(
            num_cpus=self.share.cores,
            num_gpus=self.share.gpus,
            max_restarts=0,  # it would come back without its model
            max_task_retries=0,
        ).remote()
        return RaySeat(self, actor)

    def ready(self, seats: Sequence[RaySeat], seconds: float) -> Sequence[RaySeat]:
        """Those that have replied or died. Raises RayRefused where the cluster is gone."""
        waiting = {seat.asked: seat for seat in seats if seat.asked is not None}
        if not waiting:
            time.sleep(seconds)
            return ()
        try:
            found, _ = self.connection.ray.wait(list(waiting), num_returns=1, timeout=seconds)
        except (self.connection.errors.RayError, ConnectionError, RuntimeError) as error:
            raise self.connection.lost() from error
        if not found:
            self.connection.probe()
        else:
            self.connection.heard()
        return [waiting[one] for one in found]

    def value(self, asked: Any) -> Reply:
        """What an actor replied. Raises WorkerDied, and RayRefused where none can be had here."""
        try:
            said, what = self.connection.ray.get(asked)
        except self.connection.errors.LocalRayletDiedError as error:
            raise self.connection.lost() from error
        except self.connection.errors.RayError as error:
            raise (self.connection.lacking(error) or WorkerDied()) from error
        if said == "refused" and not self.connection.is_local:
            what = f"a worker of the Ray cluster: {what}"
        return said, what

    def stop(self, actor: Any) -> None:
        """End an actor, if it is not gone yet."""
        if not self.connection.is_gone:
            with suppress(Exception):  # a cluster that is gone has no actors either
                self.connection.ray.kill(actor)

    def close(self) -> None:
        """Leave the cluster, which ends what was started in it; end a local one."""
        self.connection.close()


class RaySeat:
    """One actor."""

    def __init__(self, cluster: RayCluster, actor: Any) -> None:
        self._cluster, self._actor = cluster, actor
        self.asked: Any = None
        """Ray's name for what it was asked last."""

    def start(self, wanted: str, recipe: bytes) -> None:
        """Ask it to prepare."""
        self.asked = self._actor.start.remote(wanted, recipe)

    def measure(self, unit: int) -> None:
        """Ask it for a unit."""
        self.asked = self._actor.measure.remote(unit)

    def reply(self) -> Reply:
        """What it said. Raises WorkerDied."""
        return self._cluster.value(self.asked)

    def dismiss(self) -> None:
        """End it; Ray waits for nothing."""
        self._cluster.stop(self._actor)

    def end(self) -> None:
        """End it, if it is not gone yet."""
        self._cluster.stop(self._actor)
