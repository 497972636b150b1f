"""Workers in a Ray cluster: how it is shared out, what is refused, and that it changes no row."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path
from typing import Any, cast

import pytest

from imc_bench.errors import RunRefused
from imc_bench.run.crew import Crew
from imc_bench.run.driver import drive
from imc_bench.run.ray_cluster import RayCluster, Share, share_of
from imc_core import ray_connection
from imc_core.ray_connection import LOCAL, RayRefused
from tests.imc_bench.run_fakes import WHOLE, FakeRecipe, open_store, rows_of


@pytest.mark.parametrize(
    ("nodes", "wanted", "share"),
    [
        ([(2, 0)], 2, Share(2, 1, 0)),
        ([(8, 0)], None, Share(1, 8, 0)),
        ([(8, 0)], 3, Share(3, 2, 0)),
        ([(8, 0), (4, 0)], None, Share(2, 4, 0)),
        ([(3, 0), (3, 0)], 3, Share(3, 1, 0)),  # two cores each would leave the third no room
        ([(4, 0)], 9, Share(4, 1, 0)),
        ([(32, 8)], None, Share(8, 4, 1)),
        ([(16, 2), (64, 8)], None, Share(10, 8, 1)),
        ([(16, 0), (16, 4)], None, Share(4, 4, 1)),  # a machine without a GPU has no worker
        ([(2, 4)], None, Share(2, 1, 1)),
        ([(0, 0), (4, 1)], 1, Share(1, 4, 1)),
    ],
)
def test_each_worker_has_one_gpu_or_one_group_of_cores_of_one_machine(
    nodes: list[tuple[int, int]], wanted: int | None, share: Share
) -> None:
    machines = [{"CPU": float(cores), "GPU": float(gpus)} for cores, gpus in nodes]
    assert share_of(machines, wanted=wanted) == share


def test_a_model_on_the_cpu_takes_no_gpu() -> None:
    assert share_of([{"CPU": 8.0, "GPU": 4.0}], wanted=2, use_gpus=False) == Share(2, 4, 0)


def test_a_cluster_without_cores_is_refused() -> None:
    with pytest.raises(RunRefused, match="no cores"):
        share_of([{"GPU": 1.0}])


@pytest.mark.parametrize("address", ["somewhere", "ray://head:10001", ":6379", "head:"])
def test_what_is_no_address_is_refused_before_ray_is_imported(address: str) -> None:
    with pytest.raises(RayRefused, match="give local, auto") as refused:
        RayCluster(address)
    assert "\n" not in str(refused.value)


def test_an_address_where_nothing_answers_is_refused() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
    with pytest.raises(RayRefused, match="no Ray cluster answers there.*ray start --head"):
        RayCluster(address)


def test_without_ray_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ray_connection, "find_spec", lambda name: None)
    with pytest.raises(RayRefused, match=r"imc-agents\[ray\].*--jobs"):
        RayCluster(LOCAL)


@pytest.mark.parametrize(
    ("raised", "said"),
    [
        (RuntimeError("Version mismatch: The cluster was started with:\n    Ray: 1.0"), "version"),
        (Exception("The current node timed out during startup. This could"), "busy machine"),
        (ConnectionError("Could not find any running Ray instance.\nmore"), "ray start --head"),
    ],
)
def test_whatever_ray_raises_is_one_line(raised: Exception, said: str) -> None:
    with pytest.raises(RayRefused, match=said) as refused, ray_connection._refusing("auto"):
        raise raised
    assert "\n" not in str(refused.value)


@pytest.fixture
def cluster() -> Iterator[RayCluster]:
    """Of this machine, with two workers."""
    # looked for, not imported: Ray keeps the settings that it is imported under
    if find_spec("ray") is None:
        pytest.skip("needs the extra ray")
    made = RayCluster(LOCAL, wanted=2, cores=2)
    yield made
    made.close()


@pytest.mark.slow
def test_two_actors_make_the_rows_of_one_process_and_a_killed_ones_are_made_again(
    cluster: RayCluster, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    recipe = FakeRecipe(kills=2, mark=str(tmp_path / "killed"))
    with Crew(cluster, cast("Any", recipe)) as crew:
        crew.identity()
        with open_store(tmp_path) as store:
            assert drive(store, crew).complete
            assert rows_of(store) == WHOLE
    assert (tmp_path / "killed").exists()
    assert not Path(cast("str", cluster.connection.folder)).exists()
    assert capfd.readouterr().out == ""


@pytest.mark.slow
def test_a_local_cluster_listens_on_the_loopback_address_alone_and_sends_no_statistics(
    cluster: RayCluster,
) -> None:
    assert cluster.connection.gcs.startswith("127.0.0.1:")
    started = descendants(os.getpid())
    names = {pid: Path(f"/proc/{pid}/cmdline").read_text("latin-1") for pid in started}
    of_ray = [pid for pid, name in names.items() if "/ray/" in name]
    assert of_ray
    assert all(map(silenced, of_ray))
    held = {inode for pid in started for inode in sockets(pid)}
    places = {address for inode, address in listening().items() if inode in held}
    assert places, "the cluster listens somewhere"
    assert places <= LOOPBACK
    assert TOKEN_FILE.exists() == TOKEN_BEFORE


TOKEN_FILE = Path.home() / ".ray" / "auth_token"
TOKEN_BEFORE = TOKEN_FILE.exists()
LOOPBACK = {"0100007F", "0" * 24 + "01000000", "0" * 16 + "FFFF00000100007F"}
"""127.0.0.1, ::1, and the first within IPv6, as `/proc/net` writes them."""


def silenced(pid: int) -> bool:
    """Whether a process was started with Ray's statistics off."""
    return b"RAY_USAGE_STATS_ENABLED=0" in Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")


def descendants(pid: int) -> set[int]:
    """Processes that were started by this one, and by those, with itself."""
    parents: dict[int, list[int]] = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):
            fields = stat.read_text().rpartition(")")[2].split()
            parents.setdefault(int(fields[1]), []).append(int(stat.parent.name))
    found, waiting = {pid}, [pid]
    while waiting:
        children = parents.get(waiting.pop(), [])
        found.update(children)
        waiting += children
    return found


def sockets(pid: int) -> set[str]:
    """Inodes of the sockets that a process holds."""
    found = set()
    for entry in Path(f"/proc/{pid}/fd").glob("*"):
        with suppress(OSError):
            target = os.readlink(entry)
            if target.startswith("socket:["):
                found.add(target[8:-1])
    return found


def listening() -> dict[str, str]:
    """By inode the address of every TCP socket that listens."""
    lines = [
        line.split()
        for table in ("tcp", "tcp6")
        for line in Path(f"/proc/net/{table}").read_text().splitlines()[1:]
    ]
    return {line[9]: line[1].partition(":")[0] for line in lines if line[3] == "0A"}


@pytest.mark.slow
def test_a_cluster_that_goes_away_is_one_line_and_the_store_goes_on(
    cluster: RayCluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ray_connection, "_answers", lambda address: False)
    monkeypatch.setattr(ray_connection, "PROBE_SECONDS", 0.0)
    with (
        Crew(cluster, cast("Any", FakeRecipe())) as crew,
        pytest.raises(RayRefused, match="is gone.*same command") as gone,
    ):
        for _ in range(ray_connection.MOST_SILENCES):
            cluster.connection.probe()
    assert "\n" not in str(gone.value) and not crew._workers
