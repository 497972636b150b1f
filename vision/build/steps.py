"""The steps of building a bank: statistics, pixel stage, calibration maps; each can be resumed."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial

import numpy as np
import torch
from torch import Tensor

from vision.build.cascade_fit import CascadeFit
from vision.build.finished_steps import FinishedSteps
from vision.build.references import References
from vision.build.residual_training import ResidualTrainingSet
from vision.build.restorer_fit import fit_restorer
from vision.report import UNKNOWN
from vision.restore.restorer import PixelRestorer, restorer_classes

Progress = Callable[[str, int, int], None]
"""(name of the step, steps done, steps in all)."""

_MANY_REFERENCES = 192
"""From this many references on, each class is drawn once per reference; below, twice."""

_PROTOTYPE_DRAWS = 2
"""Draws of every class that the prototypes of the pixel stage are taken from."""


class BuildSteps:
    """The long steps of one build, in order: reported, computed once, stored and loaded again."""

    def __init__(
        self,
        references: References,
        noisy: Sequence[tuple[str, int]],
        rank: int,
        finished: FinishedSteps,
        progress: Progress | None,
    ) -> None:
        self.references = references
        self.noisy = noisy
        self.rank = rank
        self.finished = finished
        self.progress = progress
        self.done = 0
        self.of = 2 * len(noisy) + len({kind for kind, _ in noisy}) + 3
        """Steps: clean references, each class twice, each kind and `unknown`, mixtures."""
        self.draws = 1 if len(references.images) >= _MANY_REFERENCES else 2

    def next(self, what: str) -> None:
        """Report the next step and count it."""
        if self.progress is not None:
            self.progress(what, self.done, self.of)
        self.done += 1

    def compute_statistics(self) -> None:
        """Compute the statistics of clean references and of every class's draws."""
        found = self._step("clean references", self.references.compute_clean)
        self.references.load_clean(found)
        for label, (kind, severity) in enumerate(self.noisy, start=1):
            compute = partial(self.references.compute_noisy, kind, severity, label, self.draws)
            self.references.rows.extend(self._step(f"perceive {kind} {severity}", compute))

    def noisy_means(self) -> Tensor | None:
        """(classes, s) mean statistics at the perception tap of every class, unrestored."""
        rows = self.references.rows
        if not rows.encoder:
            return None
        statistics, labels = np.concatenate(rows.encoder), np.array(rows.labels)
        means = [
            statistics[labels == label].mean(axis=0, dtype=np.float64)
            for label in range(1, len(self.noisy) + 1)
        ]
        return torch.from_numpy(np.stack(means))

    def restorers(self) -> tuple[PixelRestorer, list[PixelRestorer]]:
        """The restorer, and for each fold of references one whose prototypes exclude the fold."""
        known = self.finished.load("restore")
        order = restorer_classes(tuple(self.noisy))
        if known is not None:
            for kind in (UNKNOWN, *dict.fromkeys(kind for kind, _ in self.noisy)):
                self.next(f"restore {kind}")
            parts = sorted({name.split(".")[0] for name in known}, key=int)
            whole, *folded = [
                PixelRestorer.from_tensors(order, _under(f"{part}.", known)) for part in parts
            ]
            return whole, folded
        whole, folded = fit_restorer(
            self.references.clean_pictures,
            self.references.pictures,
            self.noisy,
            draws=_PROTOTYPE_DRAWS,
            seed=self.references.seed,
            progress=lambda kind: self.next(f"restore {kind}"),
        )
        self.finished.save(
            "restore",
            {
                f"{part}.{name}": tensor
                for part, restorer in enumerate((whole, *folded))
                for name, tensor in restorer.to_tensors().items()
            },
        )
        return whole, folded

    def cascade(self, residual: ResidualTrainingSet) -> tuple[CascadeFit, dict[str, float]]:
        """Fit the maps of every class.

        Adds the statistics of restored draws to `residual.rows`. Returns the fits, and by kind the
        share of the squared error that the pixel stage removes.
        """
        fits = CascadeFit(self.references, self.rank)
        shares: dict[str, list[float]] = {}
        names = [f"calibrate {kind} {severity}" for kind, severity in self.noisy]
        known = next((i for i, name in enumerate(names) if not self.finished.has(name)), len(names))
        pooled = self.finished.load(f"pooled {known}")
        if pooled is not None:
            fits.load_pooled(pooled)
        for label, (kind, severity) in enumerate(self.noisy, start=1):
            self.next(name := names[label - 1])
            found = self.finished.load(name) if label <= known else None
            if found is None:
                found = self._calibrate(kind, severity, label, fits, residual)
                # pooled moments first, so that they always include every finished step
                self.finished.save(f"pooled {label}", fits.pooled_tensors())
                self.finished.save(name, found)
                self.finished.remove(f"pooled {label - 1}")
            fits.load_step(kind, found)
            residual.rows.extend(_under("rows.", found))
            shares.setdefault(kind, []).append(float(found["restored"]))
        return fits, {kind: round(float(np.mean(of)), 4) for kind, of in shares.items()}

    def _calibrate(
        self, kind: str, severity: int, label: int, fits: CascadeFit, residual: ResidualTrainingSet
    ) -> dict[str, Tensor]:
        """The maps of one class, and the statistics of its restored draws."""
        own = ResidualTrainingSet(self.references, residual.folded, residual.noise_classifier)
        drawn = own.restored_draws(kind, severity, label, self.draws)
        found = fits.fit(kind, drawn) if self.references.taps else {}
        share = torch.tensor(own.shares()[kind], dtype=torch.float64)
        rows = {f"rows.{name}": tensor for name, tensor in own.rows.to_tensors().items()}
        return {**found, **rows, "restored": share}

    def _step(self, name: str, make: Callable[[], dict[str, Tensor]]) -> dict[str, Tensor]:
        self.next(name)
        found = self.finished.load(name)
        if found is None:
            found = make()
            self.finished.save(name, found)
        return found


def _under(prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {
        name.removeprefix(prefix): tensor
        for name, tensor in tensors.items()
        if name.startswith(prefix)
    }
