"""Workers in processes of their own: what they are given, what they say, and how they die."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast

import pytest

from imc_bench.conditions import RunRefused
from imc_bench.errors import WorkersLost
from imc_bench.run import processes
from imc_bench.run.crew import Crew
from imc_bench.run.driver import drive
from imc_bench.run.processes import GPU_VARIABLE, Processes, gpu_names
from imc_bench.run.worker import UnitWorker, program_version
from tests.imc_bench.run_fakes import WHOLE, FakeRecipe, open_store, rows_of


@contextmanager
def crew_of(
    recipe: FakeRecipe, environments: Sequence[Mapping[str, str]] = ({}, {})
) -> Iterator[Crew]:
    with Crew(Processes(environments), cast("Any", recipe)) as crew:
        yield crew


def test_two_processes_make_the_rows_of_one_and_a_killed_ones_are_made_again(
    tmp_path: Path,
) -> None:
    recipe = FakeRecipe(kills=2, mark=str(tmp_path / "killed"))
    with crew_of(recipe) as crew:
        crew.identity()
        with open_store(tmp_path) as store:
            assert drive(store, crew).complete
            assert rows_of(store) == WHOLE
    assert (tmp_path / "killed").exists()


def test_each_worker_has_its_own_gpu_and_threads_before_it_imports_anything() -> None:
    variables = ("OMP_NUM_THREADS", GPU_VARIABLE)
    for gpu in ("0", "1"):
        environment = {"OMP_NUM_THREADS": "3", GPU_VARIABLE: gpu}
        with crew_of(FakeRecipe(variables=variables), [environment]) as crew:
            model = crew.identity().model
        assert (model["OMP_NUM_THREADS"], model[GPU_VARIABLE]) == ("3", gpu)
    assert os.environ.get(GPU_VARIABLE) is None


def test_workers_whose_rows_would_differ_are_refused_by_what_differs(tmp_path: Path) -> None:
    environments = [{"IMC_TEST_DEVICE": "cpu"}, {"IMC_TEST_DEVICE": "cuda"}]
    with (
        crew_of(FakeRecipe(variables=("IMC_TEST_DEVICE",)), environments) as crew,
        pytest.raises(RunRefused, match="IMC_TEST_DEVICE '(cpu|cuda)'.*--device") as refused,
    ):
        crew.identity()
        for _ in range(100):
            crew.wait(1.0, lambda: None)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("error", "raised", "said"),
    [
        ("refused", RunRefused, "plug-in 'dust.py': it is gone"),
        ("disk", OSError, "No space left on device"),
        ("memory", MemoryError, "^$"),
        ("fault", WorkersLost, "KeyError at run_fakes.py"),
    ],
)
def test_what_a_worker_cannot_do_is_raised_here_without_its_words(
    tmp_path: Path, error: str, raised: type[Exception], said: str
) -> None:
    with crew_of(FakeRecipe(raises={1: error}), [{}]) as crew:
        crew.identity()
        with open_store(tmp_path) as store:
            with pytest.raises(raised, match=said) as caught:
                drive(store, crew)
            assert store.progress().working == 0
    assert "lesion" not in str(caught.value) and "\n" not in str(caught.value)


def test_a_model_that_is_refused_is_refused_here() -> None:
    with (
        crew_of(FakeRecipe(raises={-1: "refused"})) as crew,
        pytest.raises(RunRefused, match="has no image side"),
    ):
        crew.identity()


def test_workers_that_die_before_they_are_ready_are_not_started_for_ever() -> None:
    with (
        crew_of(FakeRecipe(raises={-1: "dies"})) as crew,
        pytest.raises(WorkersLost, match="before they were ready"),
    ):
        crew.identity()


def test_a_worker_of_another_version_is_refused_before_it_reads_what_it_is_told() -> None:
    said, why = UnitWorker().start("0.0.9, source 0123456789abcdef", b"no pickle of this version")
    assert said == "refused"
    assert "0.0.9" in why and program_version() in why and "\n" not in why


def test_no_worker_outlives_its_crew() -> None:
    with crew_of(FakeRecipe()) as crew:
        crew.identity()
        running = [cast("Any", worker.seat).process for worker in crew._workers]
        assert all(one.is_alive() for one in running)
    assert not any(one.is_alive() for one in running)


def test_a_crew_that_cannot_be_hired_leaves_nothing_behind(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    started: list[Any] = []
    original = processes.ProcessSeat

    class Second(original):  # type: ignore[misc,valid-type]
        """The second one cannot be started."""

        def __init__(self, changes: Mapping[str, str]) -> None:
            if started:
                raise OSError(11, "Resource temporarily unavailable")
            super().__init__(changes)
            started.append(self.process)

    monkeypatch.setattr(processes, "ProcessSeat", Second)
    with pytest.raises(OSError, match="temporarily unavailable"):
        Crew(Processes([{}, {}]), cast("Any", FakeRecipe()))
    assert not started[0].is_alive()


def test_gpus_are_those_that_this_process_may_use(monkeypatch: pytest.MonkeyPatch) -> None:
    import torch

    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    assert gpu_names(None) == ["0", "1"]
    assert gpu_names("5,7") == ["5", "7"]
    assert gpu_names("GPU-a1, GPU-b2") == ["GPU-a1", "GPU-b2"]
    assert gpu_names(None, "cpu") == []
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
    assert gpu_names("") == []


def test_fewer_workers_where_fewer_are_needed() -> None:
    with Crew(Processes([{}] * 3), cast("Any", FakeRecipe()), most=1) as crew:
        assert len(crew._workers) == 1
        assert crew.identity().run_key


def test_a_worker_whose_pipe_is_closed_dies_of_a_later_signal_in_silence(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Torn down, it is no more interrupted: that would print a traceback."""

    class Closed:
        def recv(self) -> object:
            raise EOFError

    monkeypatch.setattr(processes, "follow", lambda parent: signal.signal(
        signal.SIGTERM, signal.default_int_handler
    ))
    before = signal.getsignal(signal.SIGTERM)
    try:
        processes._work(cast("Any", Closed()), os.getpid())
        assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL
    finally:
        signal.signal(signal.SIGTERM, before)
