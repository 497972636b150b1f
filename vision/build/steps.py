"""The steps of building a bank: looking, restoring, calibrating; finished ones are recalled."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial

import numpy as np
import torch
from torch import Tensor

from vision.build.cascade_fit import CascadeFit
from vision.build.finished_steps import FinishedSteps
from vision.build.references import References
from vision.build.residual_training import SecondSight
from vision.build.restorer_fit import fit_restorer
from vision.report import UNKNOWN
from vision.restore.restorer import PixelRestorer, unknown_last

Progress = Callable[[str, int, int], None]
"""(what, done, of all)."""

_PLENTY = 192
"""References from which one draw per class is enough; fewer get two."""

_PROTOTYPE_DRAWS = 2
"""Draws of every class that the pixel stage's prototypes are taken from."""


class BuildSteps:
    """The long steps of one build, in order; each is told of, made once, and then recalled."""

    def __init__(
        self,
        references: References,
        noisy: Sequence[tuple[str, int]],
        rank: int,
        finished: FinishedSteps,
        tell: Progress | None,
    ) -> None:
        self.references = references
        self.noisy = noisy
        self.rank = rank
        self.finished = finished
        self.tell = tell
        self.done = 0
        self.of = 2 * len(noisy) + len({kind for kind, _ in noisy}) + 3
        """Clean references, each class twice, each kind and the unknown one, mixtures."""
        self.draws = 1 if len(references.images) >= _PLENTY else 2

    def next(self, what: str) -> None:
        """Another step begins."""
        if self.tell is not None:
            self.tell(what, self.done, self.of)
        self.done += 1

    def look(self) -> None:
        """Clean references and every class's draws, seen by both witnesses."""
        found = self._step("clean references", self.references.look_at_clean)
        self.references.take_clean(found)
        for label, (kind, severity) in enumerate(self.noisy, start=1):
            see = partial(self.references.look_at_noisy, kind, severity, label, self.draws)
            self.references.rows.extend(self._step(f"perceive {kind} {severity}", see))

    def noisy_means(self) -> Tensor | None:
        """(classes, s) mean statistics at the perception tap of every class as drawn."""
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
        """The pixel stage, and of each fold of references the one that has not seen it."""
        known = self.finished.recall("restore")
        order = unknown_last(tuple(self.noisy))
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
            tell=lambda kind: self.next(f"restore {kind}"),
        )
        self.finished.keep(
            "restore",
            {
                f"{part}.{name}": tensor
                for part, restorer in enumerate((whole, *folded))
                for name, tensor in restorer.to_tensors().items()
            },
        )
        return whole, folded

    def cascade(self, second: SecondSight) -> tuple[CascadeFit, dict[str, float]]:
        """The maps of every class, and by kind the share that the pixel stage restores.

        What restored draws look like is left in `second.rows`.
        """
        fits = CascadeFit(self.references, self.rank)
        shares: dict[str, list[float]] = {}
        names = [f"calibrate {kind} {severity}" for kind, severity in self.noisy]
        known = next((i for i, name in enumerate(names) if not self.finished.has(name)), len(names))
        pooled = self.finished.recall(f"pooled {known}")
        if pooled is not None:
            fits.take_pooled(pooled)
        for label, (kind, severity) in enumerate(self.noisy, start=1):
            self.next(name := names[label - 1])
            found = self.finished.recall(name) if label <= known else None
            if found is None:
                found = self._calibrate(kind, severity, label, fits, second)
                # pooled moments first: a step that is finished has been pooled
                self.finished.keep(f"pooled {label}", fits.pooled_tensors())
                self.finished.keep(name, found)
                self.finished.forget(f"pooled {label - 1}")
            fits.take(kind, found)
            second.rows.extend(_under("rows.", found))
            shares.setdefault(kind, []).append(float(found["restored"]))
        return fits, {kind: round(float(np.mean(of)), 4) for kind, of in shares.items()}

    def _calibrate(
        self, kind: str, severity: int, label: int, fits: CascadeFit, second: SecondSight
    ) -> dict[str, Tensor]:
        """One class's maps, and what restored draws of it look like."""
        sight = SecondSight(self.references, second.folded, second.perceiver)
        drawn = sight.restored_draws(kind, severity, label, self.draws)
        found = fits.fit(kind, drawn) if self.references.taps else {}
        share = torch.tensor(sight.shares()[kind], dtype=torch.float64)
        rows = {f"rows.{name}": tensor for name, tensor in sight.rows.to_tensors().items()}
        return {**found, **rows, "restored": share}

    def _step(self, name: str, make: Callable[[], dict[str, Tensor]]) -> dict[str, Tensor]:
        self.next(name)
        found = self.finished.recall(name)
        if found is None:
            found = make()
            self.finished.keep(name, found)
        return found


def _under(prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {
        name.removeprefix(prefix): tensor
        for name, tensor in tensors.items()
        if name.startswith(prefix)
    }
