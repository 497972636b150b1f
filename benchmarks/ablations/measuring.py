"""Measures what is not measured yet, in one process or several."""

from __future__ import annotations

import multiprocessing
import os
import time
from collections.abc import Mapping, Sequence

import torch

from ablations.cells import CLEAN, Cell
from ablations.plan import LAYERS, NONE, SHIPPED, USUAL, Part, Run, make_runs, needed
from ablations.store import Answers
from ablations.workshop import Settings, Workshop

Tasks = list[tuple[str, list[Cell]]]
"""Runs of one group, each with its cells that are still to be measured."""

_LONG = (LAYERS, "bank of 512", "bank of 256")
"""Groups that begin first, so that no process is left with one of them at the end, ..."""
_QUICK = (NONE, SHIPPED, USUAL, "perception", "stages")
"""... and those that build nothing, which go last."""


class MeasuringFailed(RuntimeError):
    """A process of the measurement ended before its work; its own message stands above."""


def measure(shop: Workshop, answers: Answers, parts: Sequence[Part], jobs: int) -> None:
    """Measure every cell that `parts` want and `answers` lacks.

    Raises MeasuringFailed where a process ended early.
    """
    runs = make_runs(shop.taps)
    tasks = _tasks(runs, answers, parts)
    if jobs <= 1 or len(tasks) <= 1:
        for one in tasks:
            _carry_out(shop, answers, runs, one)
        return
    if any(group in {LAYERS, USUAL} for group in _groups(runs, tasks)):
        shop.banks.usual()  # several groups read it: build it once
    context = multiprocessing.get_context("spawn")
    queue = context.Queue()
    for one in tasks:
        queue.put(one)
    for _ in range(jobs):
        queue.put([])
    threads = max(1, (os.cpu_count() or 1) // jobs)
    workers = [
        context.Process(target=_work, args=(shop.settings, answers, queue, threads))
        for _ in range(jobs)
    ]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    if any(worker.exitcode for worker in workers):
        raise MeasuringFailed("a process failed: what was measured is kept, run it again")


def is_measured(answers: Answers, part: Part) -> bool:
    """Whether every cell of a table is there."""
    return all(
        answers.get(run, cell.name) is not None
        for run, cells in needed(part).items()
        for cell in cells
    )


def say(line: str) -> None:
    """Print with the time of day."""
    print(f"{time.strftime('%H:%M:%S')} {line}", flush=True)


def _work(
    settings: Settings,
    answers: Answers,
    queue: multiprocessing.Queue[Tasks],
    threads: int,
) -> None:
    """A process: takes tasks until an empty one says that there are no more."""
    torch.set_num_threads(threads)
    shop = Workshop(settings, say)
    runs = make_runs(shop.taps)
    while tasks := queue.get():
        _carry_out(shop, answers, runs, tasks)


def _carry_out(shop: Workshop, answers: Answers, runs: Mapping[str, Run], tasks: Tasks) -> None:
    for name, cells in tasks:
        start, spent = time.monotonic(), time.process_time()
        for cell in cells:
            answers.put(name, cell.name, runs[name].show(shop, cell))
        say(
            f"{name}: {len(cells)} cells in {time.monotonic() - start:.0f} s, "
            f"{time.process_time() - spent:.0f} s of CPU"
        )


def _tasks(runs: Mapping[str, Run], answers: Answers, parts: Sequence[Part]) -> list[Tasks]:
    """By group; the longest first."""
    wanted: dict[str, set[Cell]] = {}
    for part in parts:
        for name, cells in needed(part).items():
            wanted.setdefault(name, set()).update(cells)
    grouped: dict[str, Tasks] = {}
    for name, run in runs.items():
        missing = [
            cell
            for cell in sorted(wanted.get(name, ()), key=lambda cell: (cell != CLEAN, cell.name))
            if answers.get(name, cell.name) is None
        ]
        if missing:
            grouped.setdefault(run.group, []).append((name, missing))
    long = [group for group in _LONG if group in grouped]
    quick = [group for group in _QUICK if group in grouped]
    rest = [group for group in grouped if group not in {*long, *quick}]
    return [grouped[group] for group in (*long, *rest, *quick)]


def _groups(runs: Mapping[str, Run], tasks: Sequence[Tasks]) -> set[str]:
    return {runs[name].group for one in tasks for name, _ in one}
