"""Workers as actors of a Ray cluster: one GPU, or one group of cores, for each.

Ray is an extra (`pip install 'imc-agents[ray]'`). It finds a machine for every worker, says when
one has died and with which machine; rows come back through it, so that no disk is shared. A model,
its data and plug-ins are read at the same paths on every machine.
"""

from __future__ import annotations

import logging
import math
import os
import secrets
import shutil
import signal
import socket
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from typing import Any

from imc_bench.errors import RunRefused
from imc_bench.run.worker import Reply, UnitWorker, WorkerDied
from imc_core.workers import environment

LOCAL = "local"
"""Address of a cluster that is started on this machine for the run, and ended with it."""
OBJECT_BYTES = 128 * 1024**2
"""Shared memory of a local cluster: rows of a few units pass through it, never an image."""
PROBE_SECONDS = 2.0
"""How often a cluster from which nothing comes is asked whether it is there."""
MOST_SILENCES = 5
"""So many times without an answer in a row, and it counts as gone."""
_LOCAL_SETTINGS = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",  # with this Ray binds to the loopback address alone
    "RAY_AUTH_MODE": "token",
    "RAY_agent_register_timeout_ms": "100000",  # a busy machine starts Ray's processes slowly
}


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

        Raises RunRefused: Ray is not installed, no cluster answers, or one of another version.
        """
        _check_address(address)
        self._address = address
        self._folder: str | None = None
        self._silences, self._probed = 0, time.monotonic()
        self._gone = False
        settings = {**_LOCAL_SETTINGS, "RAY_AUTH_TOKEN": _token()} if address == LOCAL else {}
        with _own_signals(), _refusing(address), environment(settings):
            if address == LOCAL:
                self._folder = _short_folder()
            import ray
            from ray import exceptions

            self._ray, self._errors = ray, exceptions
            self._silence(True)
            own: dict[str, Any] = {}
            if address == LOCAL:
                own = {
                    "num_cpus": max(cores, wanted or 1),
                    "include_dashboard": False,
                    "object_store_memory": OBJECT_BYTES,
                    "_node_ip_address": "127.0.0.1",
                    "_temp_dir": self._folder,
                }
            try:
                ray.init(
                    address=address,
                    log_to_driver=False,
                    logging_level=logging.CRITICAL,
                    namespace="imc",
                    **own,
                )
                self._gcs = str(ray.get_runtime_context().gcs_address)
                nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]
                self.share = share_of(nodes, wanted=wanted, use_gpus=use_gpus)
            except BaseException:
                self.close()
                raise
        self._actors = ray.remote(UnitWorker)

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
        """Those that have replied or died. Raises RunRefused where the cluster is gone."""
        waiting = {seat.asked: seat for seat in seats if seat.asked is not None}
        if not waiting:
            time.sleep(seconds)
            return ()
        try:
            found, _ = self._ray.wait(list(waiting), num_returns=1, timeout=seconds)
        except (self._errors.RayError, ConnectionError, RuntimeError) as error:
            raise self._lost() from error
        if not found:
            self._probe()
        else:
            self._silences = 0
        return [waiting[one] for one in found]

    def value(self, asked: Any) -> Reply:
        """What an actor replied. Raises WorkerDied, and RunRefused where none can be had here."""
        try:
            said, what = self._ray.get(asked)
        except self._errors.LocalRayletDiedError as error:
            raise self._lost() from error
        except self._errors.RayError as error:
            if "failed to import" in str(error) or "ModuleNotFoundError" in str(error):
                raise RunRefused(
                    f"--ray {self._address}: a machine of the cluster has no imc-agents, or "
                    "another version: install the same on every machine"
                ) from error
            raise WorkerDied from error
        if said == "refused" and self._address != LOCAL:
            what = f"a worker of the Ray cluster: {what}"
        return said, what

    def stop(self, actor: Any) -> None:
        """End an actor, if it is not gone yet."""
        if not self._gone:
            with suppress(Exception):  # a cluster that is gone has no actors either
                self._ray.kill(actor)

    def close(self) -> None:
        """Leave the cluster, which ends what was started in it; end a local one."""
        if not self._gone:
            with suppress(Exception):
                self._ray.shutdown()
        self._silence(False)
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)

    def _silence(self, on: bool) -> None:
        """Ray prints to stdout that a worker has died, whatever `log_to_driver` says; results alone
        belong there."""
        with suppress(AttributeError):  # of a Ray that has it elsewhere
            inner = self._ray._private.worker
            if on:
                self._printed, inner.print_to_stdstream = inner.print_to_stdstream, _say_nothing
            else:
                inner.print_to_stdstream = self._printed

    def _probe(self) -> None:
        """Ask for a sign of life; Ray itself would wait for it for minutes."""
        if time.monotonic() - self._probed < PROBE_SECONDS:
            return
        self._probed = time.monotonic()
        self._silences = 0 if _answers(self._gcs) else self._silences + 1
        if self._silences >= MOST_SILENCES:
            raise self._lost()

    def _lost(self) -> RunRefused:
        self._gone = True
        return RunRefused(
            f"--ray {self._address}: the Ray cluster at {self._gcs} is gone; what was measured "
            "is in the store: start the cluster again and run the same command"
        )


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


def _say_nothing(*said: object, **more: object) -> None:
    """In place of Ray's printing."""


def _check_address(address: str) -> None:
    if find_spec("ray") is None:
        raise RunRefused(
            f"--ray {address}: Ray is not installed: pip install 'imc-agents[ray]', or --jobs N "
            "for processes of this machine"
        )
    if address in (LOCAL, "auto"):
        return
    host, _, port = address.rpartition(":")
    if "://" in address or not host or not port.isdigit():
        raise RunRefused(
            f"--ray {address!r}: give local, auto (the cluster that this machine is part of), or "
            "HOST:PORT of its head, such as 10.0.0.1:6379"
        )
    if not _answers(address):
        raise RunRefused(
            f"--ray {address}: no Ray cluster answers there: start one with `ray start --head`, or "
            "give local"
        )


def _answers(address: str) -> bool:
    host, _, port = address.rpartition(":")
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=5.0).close()
    except (OSError, ValueError):
        return False
    return True


@cache
def _token() -> str:
    """What a local cluster asks of whoever talks to it; without one Ray writes its own to ~/.ray,
    and it keeps the first that a process has."""
    return secrets.token_hex(32)


def _short_folder() -> str:
    """A folder for Ray's sockets, whose paths may have 100 characters."""
    return tempfile.mkdtemp(prefix="imc-ray-", dir="/tmp" if os.path.isdir("/tmp") else None)


@contextmanager
def _own_signals() -> Iterator[None]:
    """Ray takes SIGTERM for itself; after the block it is handled as before."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.getsignal(signal.SIGTERM)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


@contextmanager
def _refusing(address: str) -> Iterator[None]:
    """Say in a line why a cluster cannot be used; Ray raises many types, some of them bare."""
    try:
        yield
    except RunRefused:
        raise
    except Exception as error:
        said = str(error).strip().splitlines()[:1]
        if "version mismatch" in str(error).lower():
            raise RunRefused(
                f"--ray {address}: the cluster has another version of Ray or Python than this "
                "command: install the same on every machine"
            ) from error
        if "timed out during startup" in str(error):
            raise RunRefused(
                f"--ray {address}: Ray did not start within its 30 s, as on a busy machine: run "
                "the same command again, or --jobs N instead"
            ) from error
        raise RunRefused(
            f"--ray {address}: Ray cannot be used ({type(error).__name__}: {''.join(said)[:160]}): "
            "run this on a machine of the cluster, start one with `ray start --head`, or give local"
        ) from error
