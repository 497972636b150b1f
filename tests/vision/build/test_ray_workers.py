"""Work on a Ray cluster is that of one process, in order, also where a worker dies."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest
import torch

from imc_core import ray_connection
from imc_core.ray_connection import LOCAL, RayConnection, RayRefused
from tests.vision.build.test_workers import refuses, squared
from vision.build.ray_workers import RayWorkers
from vision.build.workers import IN_PROCESS

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def connection() -> Iterator[RayConnection]:
    """With a cluster of this machine, of two cores."""
    # looked for, not imported: Ray keeps the settings that it is imported under
    if find_spec("ray") is None:
        pytest.skip("needs the extra ray")
    made = RayConnection(LOCAL, cores=2)
    yield made
    made.close()


def doubled(shared: torch.Tensor, task: int) -> torch.Tensor:
    return shared * task


def dies_once(mark: str, task: int) -> int:
    if task == 2 and not Path(mark).exists():
        Path(mark).touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return task


def test_results_are_those_of_one_process(connection: RayConnection) -> None:
    workers = RayWorkers(connection)
    assert workers.jobs == 2
    shared = torch.arange(5.0)
    by_ray = list(workers.results(doubled, shared, range(7)))
    here = list(IN_PROCESS.results(doubled, shared, range(7)))
    assert all(torch.equal(a, b) for a, b in zip(by_ray, here, strict=True))
    made = list(workers.results(squared, 1, range(9)))
    assert [value for value, _, _ in made] == [1 + number**2 for number in range(9)]
    assert {threads for _, threads, _ in made} == {1}
    assert os.getpid() not in {process for _, _, process in made}


def test_a_task_whose_worker_dies_is_done_again(connection: RayConnection, tmp_path: Path) -> None:
    mark = tmp_path / "killed"
    found = RayWorkers(connection).results(dies_once, str(mark), range(5))
    assert list(found) == list(range(5))
    assert mark.exists()


def test_an_error_of_the_work_is_raised_as_it_is(connection: RayConnection) -> None:
    results = RayWorkers(connection).results(refuses, None, range(8))
    assert [next(results) for _ in range(3)] == [0, 1, 2]
    with pytest.raises(ValueError, match="the third"):
        next(results)


def test_a_cluster_that_goes_away_is_one_line(
    connection: RayConnection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ray_connection, "_answers", lambda address: False)
    monkeypatch.setattr(ray_connection, "PROBE_SECONDS", 0.0)
    with pytest.raises(RayRefused, match="is gone.*same command") as gone:
        for _ in range(ray_connection.MOST_SILENCES):
            connection.probe()
    assert "\n" not in str(gone.value)
    connection.is_gone = False  # it is there: the fixture ends it
