"""Runs the passes over references in worker processes; finished steps are loaded."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from vision.build.acquisition import passes
from vision.build.acquisition.passes import Arrays, Predictors
from vision.build.acquisition.pixel_maps import MapMoments
from vision.build.acquisition.references import Reference
from vision.build.finished_steps import FinishedSteps
from vision.build.workers import LocalWorkers

Progress = Callable[[str, int, int], None]
"""(name of the step, steps done, steps in all)."""
Task = Callable[[Reference], Arrays]

_CHUNK = 24
"""References whose results are one step."""


@dataclass
class Rows:
    """Results of a pass, concatenated over references."""

    arrays: dict[str, NDArray[np.float64]]
    references: NDArray[np.int64]
    """(n,) number of the reference of each row."""
    of_drawn: NDArray[np.int64]
    """(m,) the same of the rows of `drawn`, where a pass has such."""


class PassRunner:
    """Worker processes, results of finished steps, and the count of steps; closed at the end."""

    def __init__(
        self,
        jobs: int,
        plugins: Sequence[str],
        finished: FinishedSteps,
        progress: Progress | None,
        steps: int,
    ) -> None:
        """Start.

        Args:
            jobs: worker processes.
            plugins: files that register noises of one's own, for the workers.
            finished: results of the steps of an earlier run.
            progress: called before every step.
            steps: number of steps of all passes.
        """
        self.jobs = jobs
        self.finished = finished
        self.progress = progress
        self.steps = steps
        self.done = 0
        self.pool = LocalWorkers(jobs, plugins).pool()

    def __enter__(self) -> PassRunner:
        return self

    def __exit__(self, *_: object) -> None:
        self.pool.shutdown(wait=True, cancel_futures=True)

    def rows(
        self, name: str, make: Callable[[], Task], references: Sequence[Reference]
    ) -> Rows:
        """The arrays of every reference; `make` gives the task where a step is not finished."""
        chunks = _chunks(references)
        task: Callable[[Reference], Arrays] | None = None
        waiting: list[tuple[str, dict[str, Tensor] | Future[list[Arrays]]]] = []
        results: list[list[dict[str, Tensor]]] = []
        for number, chunk in enumerate(chunks):
            step = f"{name} {number}"
            known = self.finished.load(step)
            if known is not None:
                waiting.append((step, known))
                continue
            task = make() if task is None else task
            waiting.append((step, self.pool.submit(_over, task, chunk)))
        for (step, begun), chunk in zip(waiting, chunks, strict=True):
            self._next(step)
            if isinstance(begun, Future):
                known = {
                    f"{i}.{key}": torch.from_numpy(np.asarray(value))
                    for i, arrays in enumerate(begun.result())
                    for key, value in arrays.items()
                }
                self.finished.save(step, known)
            else:
                known = begun
            results.append([_under(f"{i}.", known) for i in range(len(chunk))])
        flat = [one for chunk in results for one in chunk]
        arrays = {key: np.concatenate([one[key].numpy() for one in flat]) for key in flat[0]}
        key = "statistics" if "statistics" in arrays else "evidence"

        def numbers(of: str) -> NDArray[np.int64]:
            counted = [
                np.full(len(one[of]) if of in one else 0, reference.number)
                for one, reference in zip(flat, references, strict=True)
            ]
            return np.concatenate(counted).astype(np.int64)

        return Rows(arrays, numbers(key), numbers("drawn"))

    def moments(
        self,
        by_fold: Sequence[Sequence[Reference]],
        classes: Sequence[tuple[str, int]],
        seed: int,
        predictors: Callable[[], Predictors],
    ) -> list[MapMoments]:
        """Moments of the pixel maps of each fold's references."""
        found = []
        for fold, references in enumerate(by_fold):
            step = f"maps {fold}"
            self._next(step)
            known = self.finished.load(step)
            if known is None:
                shares = [references[i :: self.jobs] for i in range(self.jobs)]
                task = partial(
                    _fold_moments,
                    classes=classes,
                    seed=seed,
                    predictors=predictors(),
                )
                parts = list(self.pool.map(task, shares))
                moments = parts[0]
                for part in parts[1:]:
                    moments.merge(part)
                known = {"gram": moments.gram, "cross": moments.cross, "power": moments.power}
                self.finished.save(step, known)
            found.append(MapMoments(known["gram"], known["cross"], known["power"]))
        return found

    def _next(self, what: str) -> None:
        if self.progress is not None:
            self.progress(what, self.done, self.steps)
        self.done += 1


def chunk_count(references: Sequence[Reference]) -> int:
    """Number of steps of one pass over these."""
    return len(_chunks(references))


def _chunks(references: Sequence[Reference]) -> list[Sequence[Reference]]:
    return [references[start : start + _CHUNK] for start in range(0, len(references), _CHUNK)]


def _over(task: Callable[[Reference], Arrays], references: Sequence[Reference]) -> list[Arrays]:
    with torch.inference_mode():
        return [task(reference) for reference in references]


def _fold_moments(
    references: Sequence[Reference],
    classes: Sequence[tuple[str, int]],
    seed: int,
    predictors: Predictors,
) -> MapMoments:
    moments = MapMoments.empty(len(classes))
    with torch.inference_mode():
        for reference in references:
            passes.map_moments(reference, classes, seed, predictors, moments)
    return moments


def _under(prefix: str, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    return {key[len(prefix) :]: one for key, one in tensors.items() if key.startswith(prefix)}
