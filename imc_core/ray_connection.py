"""A Ray cluster that runs, or one of this machine's own: joined, watched and left.

Ray is an extra (`pip install 'imc-agents[ray]'`). A local cluster listens on the loopback address
alone, sends no statistics, asks for a token, and is gone with its files when it is closed.
"""

from __future__ import annotations

import logging
import os
import secrets
import shutil
import signal
import socket
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import cache
from importlib.util import find_spec
from typing import Any

from imc_core.errors import IMCError
from imc_core.workers import environment

LOCAL = "local"
"""Address of a cluster that is started on this machine for one command, and ended with it."""
OBJECT_BYTES = 128 * 1024**2
"""Shared memory of a local cluster where rows alone pass through it, never an image."""
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


class RayRefused(IMCError):
    """A Ray cluster cannot be used, or is gone; the message is one line."""


class RayConnection:
    """Of this process with one cluster."""

    def __init__(self, address: str, *, cores: int = 1, object_bytes: int = OBJECT_BYTES) -> None:
        """Connect, or start one.

        Args:
            address: `local`; `auto`, the cluster that this machine is part of; or `HOST:PORT`.
            cores: of this machine, for a local cluster.
            object_bytes: its shared memory; what does not fit is refused, not written to disk.

        Raises RayRefused: Ray is not installed, no cluster answers, or one of another version.
        """
        check_address(address)
        self.address = address
        self.folder: str | None = None
        """Of a local cluster's files."""
        self._silences, self._probed = 0, time.monotonic()
        self.is_gone = False
        settings = {**_LOCAL_SETTINGS, "RAY_AUTH_TOKEN": _token()} if self.is_local else {}
        with _own_signals(), _refusing(address), environment(settings):
            if self.is_local:
                self.folder = _short_folder()
            import ray
            from ray import exceptions

            self.ray: Any = ray
            self.errors: Any = exceptions
            self._silence(True)
            own: dict[str, Any] = {}
            if self.is_local:
                own = {
                    "num_cpus": cores,
                    "include_dashboard": False,
                    "object_store_memory": object_bytes,
                    "_node_ip_address": "127.0.0.1",
                    "_temp_dir": os.path.join(self.folder or "", "r"),  # Ray opens it to all
                    "_system_config": {"automatic_object_spilling_enabled": False},
                }
            try:
                ray.init(
                    address=address,
                    log_to_driver=False,
                    logging_level=logging.CRITICAL,
                    namespace="imc",
                    **own,
                )
                self.gcs = str(ray.get_runtime_context().gcs_address)
                self.nodes: list[Mapping[str, float]] = [
                    node["Resources"] for node in ray.nodes() if node["Alive"]
                ]
            except BaseException:
                self.close()
                raise

    @property
    def is_local(self) -> bool:
        """Whether it was started here."""
        return self.address == LOCAL

    def close(self) -> None:
        """Leave the cluster, which ends what was started in it; end a local one."""
        if not self.is_gone:
            with suppress(Exception):
                self.ray.shutdown()
        self._silence(False)
        if self.folder is not None:
            shutil.rmtree(self.folder, ignore_errors=True)

    def heard(self) -> None:
        """Something came from it."""
        self._silences = 0

    def probe(self) -> None:
        """Ask for a sign of life; Ray itself would wait for it for minutes. Raises RayRefused."""
        if time.monotonic() - self._probed < PROBE_SECONDS:
            return
        self._probed = time.monotonic()
        self._silences = 0 if _answers(self.gcs) else self._silences + 1
        if self._silences >= MOST_SILENCES:
            raise self.lost()

    def lost(self) -> RayRefused:
        """It is gone, in a line."""
        self.is_gone = True
        return RayRefused(
            f"--ray {self.address}: the Ray cluster at {self.gcs} is gone; what was finished is "
            "kept: start the cluster again and run the same command"
        )

    def lacking(self, error: Exception) -> RayRefused | None:
        """What a machine of the cluster lacks, where that is why something failed there."""
        if "failed to import" in str(error) or "ModuleNotFoundError" in str(error):
            return RayRefused(
                f"--ray {self.address}: a machine of the cluster has no imc-agents, or "
                "another version: install the same on every machine"
            )
        return None

    def _silence(self, on: bool) -> None:
        """Ray prints to stdout that a worker has died, whatever `log_to_driver` says; results alone
        belong there."""
        with suppress(AttributeError):  # of a Ray that has it elsewhere
            inner = self.ray._private.worker
            if on:
                self._printed, inner.print_to_stdstream = inner.print_to_stdstream, _say_nothing
            else:
                inner.print_to_stdstream = self._printed


def _say_nothing(*said: object, **more: object) -> None:
    """In place of Ray's printing."""


def check_address(address: str) -> None:
    """Refuse an address where no cluster can be. Raises RayRefused."""
    if find_spec("ray") is None:
        raise RayRefused(
            f"--ray {address}: Ray is not installed: pip install 'imc-agents[ray]', or --jobs N "
            "for processes of this machine"
        )
    if address in (LOCAL, "auto"):
        return
    host, _, port = address.rpartition(":")
    if "://" in address or not host or not port.isdigit():
        raise RayRefused(
            f"--ray {address!r}: give local, auto (the cluster that this machine is part of), or "
            "HOST:PORT of its head, such as 10.0.0.1:6379"
        )
    if not _answers(address):
        raise RayRefused(
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
    except RayRefused:
        raise
    except Exception as error:
        said = str(error).strip().splitlines()[:1]
        if "version mismatch" in str(error).lower():
            raise RayRefused(
                f"--ray {address}: the cluster has another version of Ray or Python than this "
                "command: install the same on every machine"
            ) from error
        if "timed out during startup" in str(error):
            raise RayRefused(
                f"--ray {address}: Ray did not start within its 30 s, as on a busy machine: run "
                "the same command again, or --jobs N instead"
            ) from error
        raise RayRefused(
            f"--ray {address}: Ray cannot be used ({type(error).__name__}: {''.join(said)[:160]}): "
            "run this on a machine of the cluster, start one with `ray start --head`, or give local"
        ) from error
