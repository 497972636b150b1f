"""Fits the acquisition half: three passes over the references, then sums and solves.

What a pass gives is kept by fold, so that a half fitted without one fold of origins is a matter of
sums and solves and no further pass: `AcquisitionFit.half(leave_out=...)`. One thing is not fitted
anew then: the trial restorations of the other folds' references, from which the benefit is
predicted, were restored by members that had met the fold left out.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from functools import cached_property, partial
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from imc_noise.registry import own_noise_digests
from vision.acquisition.benefit import BenefitPredictor
from vision.acquisition.evidence import Novelty
from vision.acquisition.half import AcquisitionHalf
from vision.acquisition.restorer import EnsembleRestorer, Prototypes, restorer_classes
from vision.acquisition.scales import SCALES
from vision.build.acquisition import passes
from vision.build.acquisition.benefit_fit import fit_benefit
from vision.build.acquisition.cross_fit import CrossFit
from vision.build.acquisition.landmark_fit import FEW_LANDMARKS, LANDMARKS
from vision.build.acquisition.members import pairs_of, single, without_two
from vision.build.acquisition.pass_runner import PassRunner, Progress, Rows, chunk_count
from vision.build.acquisition.passes import Arrays, Predictors
from vision.build.acquisition.pixel_maps import solve_maps
from vision.build.acquisition.prototype_fit import fit_prototypes
from vision.build.acquisition.references import FOLDS, OriginReferences, Reference
from vision.build.finished_steps import FinishedSteps
from vision.perceive.fourier_ridge import FourierFeatures
from vision.perceive.pixel_classifier import PixelClassifier
from vision.report import CLEAN, UNKNOWN

Floats = NDArray[np.float64]
TRIED_EACH = 60
"""References of each origin on which restorations are tried: origins count alike in the benefit."""
SECOND_EVERY = 2
"""Every second of them is restored twice, for the second trials."""
PAIRS = pairs_of(FOLDS)


class AcquisitionFit:
    """The fit on one set of references; `run` makes the passes, `half` the result."""

    def __init__(
        self,
        references: OriginReferences,
        classes: Sequence[tuple[str, int]],
        *,
        seed: int = 0,
        jobs: int = 1,
        plugins: Sequence[str] = (),
        unfinished: Path | None = None,
        progress: Progress | None = None,
    ) -> None:
        """Prepare.

        Args:
            references: clean images by origin.
            classes: noisy classes.
            seed: of every draw.
            jobs: worker processes.
            plugins: files that register noises of one's own, for the workers.
            unfinished: folder for the results of finished steps, from which a stopped fit resumes.
            progress: called before every step.

        Raises BankRefused where `unfinished` holds something else.
        """
        self.references = references
        self.noisy = tuple(classes)
        self.seed = seed
        self.jobs = jobs
        self.plugins = tuple(plugins)
        self.progress = progress
        self.finished = FinishedSteps(unfinished, self._identity())
        every = references.references
        self.by_fold = [[r for r in every if r.fold == fold] for fold in range(FOLDS)]
        self.tried = _first_of_each(every, TRIED_EACH)
        self.some = self.tried[::SECOND_EVERY]

    def run(self) -> AcquisitionFit:
        """Make the passes, in `jobs` processes; finished steps are loaded."""
        every = self.references.references
        steps = sum(map(chunk_count, (every, self.tried, self.some))) + FOLDS
        with PassRunner(
            self.jobs, self.plugins, self.finished, self.progress, steps
        ) as runner:
            self.statistics = runner.rows("statistics", self._statistics_pass, every)
            self._moments = runner.moments(
                self.by_fold, self.noisy, self.seed, lambda: self._predictors
            )
            self.first = runner.rows("first", self._first_pass, self.tried)
            self.second = runner.rows("second", self._second_pass, self.some)
        return self

    def half(self, leave_out: str | None = None) -> AcquisitionHalf:
        """The half fitted on all origins, or on those outside the fold of `leave_out`.

        Raises KeyError where no origin has that name.
        """
        fold = None if leave_out is None else self.references.fold_of(leave_out)
        without = () if fold is None else (fold,)
        kept = [r for r in self.references.references if r.fold not in without]
        counts: dict[str, int] = {}
        for reference in kept:
            counts[reference.origin] = counts.get(reference.origin, 0) + 1
        members = [
            (other, other) if fold is None else (min(fold, other), max(fold, other))
            for other in range(FOLDS)
            if other != fold
        ]
        chosen = torch.tensor([PAIRS.index(pair) for pair in members])
        whole = self._restorer
        rows = ~np.isin(self._fold_of_rows, without)
        return AcquisitionHalf(
            origins=counts,
            seed=self.seed,
            classifier=self._classifier(without),
            residual_classifier=self._residual(without),
            restorer=whole.of_members(chosen),
            novelty=Novelty.fit(self.statistics.arrays["statistics"][rows]),
            benefit=self._benefit(without),
            stripes_left=_stripes_left(self.statistics.arrays["stripes"]),
        )

    # -- the passes -----------------------------------------------------------------------------

    def _statistics_pass(self) -> Callable[..., Arrays]:
        return partial(passes.compute_statistics, classes=self.noisy, seed=self.seed)

    def _first_pass(self) -> Callable[..., Arrays]:
        return _ByFold(
            passes.first_trials,
            self.noisy,
            self.seed,
            [self._classifier_of_fold(fold) for fold in range(FOLDS)],
            self._restorer,
            self._novelties,
        )

    def _second_pass(self) -> Callable[..., Arrays]:
        pairs = [
            (self._classifier_of_fold(fold), self._residual((fold,))) for fold in range(FOLDS)
        ]
        return _ByFold(
            passes.second_trials, self.noisy, self.seed, pairs, self._restorer, self._novelties
        )

    # -- the fits -------------------------------------------------------------------------------

    @cached_property
    def _fold_numbers(self) -> NDArray[np.int64]:
        return np.array([r.fold for r in self.references.references], dtype=np.int64)

    @property
    def _fold_of_rows(self) -> NDArray[np.int64]:
        return np.asarray(self._fold_numbers[self.statistics.references])

    @cached_property
    def _features(self) -> FourierFeatures:
        return FourierFeatures.draw(
            torch.from_numpy(self.statistics.arrays["statistics"]), self.seed
        )

    @cached_property
    def _scoring(self) -> CrossFit:
        return CrossFit(
            self._features,
            self.statistics.arrays["statistics"],
            self.statistics.arrays["labels"].astype(np.int64),
            self._fold_of_rows,
            len(self.noisy) + 1,
        )

    @cached_property
    def _residual_scoring(self) -> CrossFit:
        """Restored draws: clean where no noise is left, else the noise that is."""
        arrays = self.first.arrays
        labels = arrays["labels"].astype(np.int64)
        left = np.where(arrays["first"] > 0.5, labels[:, 1], labels[:, 0])
        left = np.where(labels[:, 1] > 0, left, 0)
        folds = self._fold_numbers[self.first.references]
        return CrossFit(self._features, arrays["after"], left, folds, len(self.noisy) + 1)

    def _classifier(self, without: tuple[int, ...]) -> PixelClassifier:
        return self._scoring.classifier(without, self.noisy)

    def _residual(self, without: tuple[int, ...]) -> PixelClassifier:
        return self._residual_scoring.classifier(without, self.noisy)

    def _classifier_of_fold(self, fold: int) -> PixelClassifier:
        return self._classifier((fold,))

    @cached_property
    def _novelties(self) -> list[Novelty]:
        statistics, folds = self.statistics.arrays["statistics"], self._fold_of_rows
        return [Novelty.fit(statistics[folds != fold]) for fold in range(FOLDS)]

    @cached_property
    def _prototypes(self) -> dict[str, Prototypes]:
        arrays = self.statistics.arrays
        labels = arrays["drawn"].astype(np.int64)
        numbers = self.statistics.of_drawn
        pictures = torch.from_numpy(numbers)
        folds = torch.from_numpy(self._fold_numbers[numbers])
        vectors = {n: torch.from_numpy(arrays[n]) for n in ("plain", "logarithmic", "lost", "gain")}
        kinds = np.array([kind for kind, _ in self.noisy])[labels - 1]
        found = {}
        toned = (*passes.TONE_KINDS, UNKNOWN)
        for number, kind in enumerate([*dict.fromkeys(kinds.tolist()), UNKNOWN]):
            own = torch.from_numpy(np.flatnonzero(kinds == kind) if kind != UNKNOWN else
                                   np.arange(len(kinds))[:: max(1, len(kinds) // 4096)])
            found[kind] = fit_prototypes(
                {name: rows[own].float() for name, rows in vectors.items()},
                pictures[own],
                folds[own],
                PAIRS,
                self.seed + number,
                most=LANDMARKS if kind in toned else FEW_LANDMARKS,
            )
        return found

    @property
    def _predictors(self) -> Predictors:
        """By kind: regressions whose member f has not met fold f."""
        alone = single(PAIRS)
        return {kind: known.of_members(alone) for kind, known in self._prototypes.items()}

    @cached_property
    def _restorer(self) -> EnsembleRestorer:
        """With a member for each of `PAIRS`."""
        maps = [solve_maps(self._moments, pair) for pair in PAIRS]
        classes = restorer_classes(((CLEAN, 0), *self.noisy))
        return EnsembleRestorer(classes, torch.stack(maps, dim=1), self._prototypes)

    def _benefit(self, without: tuple[int, ...]) -> BenefitPredictor:
        trials = self.trials
        folds = self._fold_numbers[trials.references]
        kept = ~np.isin(folds, without)
        origins = np.array([one.origin for one in self.references.references])
        arrays = trials.arrays
        return fit_benefit(
            arrays["evidence"][kept],
            arrays["errors"][kept],
            arrays["p_value"][kept],
            origins[trials.references][kept],
            folds[kept],
            self.seed,
        )

    @cached_property
    def trials(self) -> Rows:
        """First and second trial restorations together."""
        arrays = {
            name: np.concatenate([self.first.arrays[name], self.second.arrays[name]])
            for name in self.first.arrays
        }
        references = np.concatenate([self.first.references, self.second.references])
        return Rows(arrays, references, self.first.of_drawn)

    def _identity(self) -> dict[str, object]:
        digest = hashlib.sha256()
        for reference in self.references.references:
            digest.update(f"{reference.origin} {reference.fold} ".encode())
            digest.update(hashlib.sha256(reference.file.read_bytes()).digest())
        own = own_noise_digests(dict.fromkeys(kind for kind, _ in self.noisy))
        return {
            **({"own_noises": own} if own else {}),
            "format": "imc-unfinished-acquisition-1",
            "images": digest.hexdigest(),
            "classes": [list(pair) for pair in self.noisy],
            "scales": list(SCALES),
            "seed": self.seed,
        }


def _first_of_each(references: Sequence[Reference], most: int) -> list[Reference]:
    """At most so many references of each origin."""
    counts: dict[str, int] = {}
    found = []
    for reference in references:
        counts[reference.origin] = counts.get(reference.origin, 0) + 1
        if counts[reference.origin] <= most:
            found.append(reference)
    return found


class _ByFold:
    """A pass over one reference with the fits that have not met its fold; goes to workers."""

    def __init__(
        self,
        make: Callable[..., Arrays],
        classes: Sequence[tuple[str, int]],
        seed: int,
        classifiers: Sequence[object],
        restorer: EnsembleRestorer,
        novelties: Sequence[Novelty],
    ) -> None:
        self.make = make
        self.classes = classes
        self.seed = seed
        self.classifiers = classifiers
        self.restorer = restorer
        self.novelties = novelties

    def __call__(self, reference: Reference) -> Arrays:
        fold = reference.fold
        return self.make(
            reference,
            self.classes,
            self.seed,
            self.classifiers[fold],
            self.restorer,
            self.novelties[fold],
            without_two(PAIRS, fold),
        )


def _stripes_left(shares: Floats) -> float:
    """Mean share of the squared error that removing stripes leaves; 1 where none was drawn."""
    return float(np.minimum(shares, 1.0).mean()) if len(shares) else 1.0
