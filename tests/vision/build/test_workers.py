"""Work by several processes is the work of one, in order; they end with what they serve."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from imc_noise import get_noise
from vision.build.workers import IN_PROCESS, LocalWorkers

PLUGIN = Path(__file__).parents[3] / "examples" / "dust.py"


def tasks(asked: list[int]) -> Iterator[int]:
    for number in range(12):
        asked.append(number)
        yield number


def squared(added: int, number: int) -> tuple[int, int, int]:
    return added + number**2, torch.get_num_threads(), os.getpid()


def refuses(_: None, number: int) -> int:
    if number == 3:
        raise ValueError("the third")
    return number


def knows_noise(name: str, _: int) -> bool:
    return get_noise(name, "image") is not None


@pytest.mark.parametrize("jobs", [1, 2])
def test_results_come_in_order_each_made_on_one_thread(jobs: int) -> None:
    before = torch.get_num_threads()
    found = list(LocalWorkers(jobs).results(squared, 5, tasks([])))
    assert [value for value, _, _ in found] == [5 + number**2 for number in range(12)]
    assert {threads for _, threads, _ in found} == {1}
    assert torch.get_num_threads() == before
    assert (os.getpid() in {process for _, _, process in found}) == (jobs == 1)


def test_tasks_are_taken_as_workers_are_free_for_them() -> None:
    asked: list[int] = []
    results = LocalWorkers(2).results(squared, 0, tasks(asked))
    assert asked == []
    next(results)
    assert 2 <= len(asked) < 12
    asked.clear()
    next(IN_PROCESS.results(squared, 0, tasks(asked)))
    assert asked == [0]


def test_an_error_is_raised_where_the_result_is_asked_for() -> None:
    for workers in (IN_PROCESS, LocalWorkers(2)):
        results = workers.results(refuses, None, range(8))
        assert [next(results) for _ in range(3)] == [0, 1, 2]
        with pytest.raises(ValueError, match="the third"):
            next(results)


def test_workers_know_noises_of_ones_own() -> None:
    workers = LocalWorkers(2, (str(PLUGIN),))
    assert list(workers.results(knows_noise, "dust", [0])) == [True]
