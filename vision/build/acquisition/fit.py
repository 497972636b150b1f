"""Fits the acquisition half: three passes over the references, then sums and solves.

What a pass gives is kept by fold, so that a half fitted without one fold of origins is a matter of
sums and solves and no further pass: `AcquisitionFit.half(leave_out=...)`. One thing is not fitted
anew then: the trial restorations of the other folds' references, from which the benefit is
predicted, were restored by members that had met the fold left out.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import cached_property, partial
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from imc_core.plugins import load_plugins
from imc_noise.registry import own_noise_digests
from vision.acquisition.benefit import WORSE, BenefitPredictor, log_ratio
from vision.acquisition.evidence import Novelty
from vision.acquisition.half import ALPHA, AcquisitionHalf
from vision.acquisition.restorer import EnsembleRestorer, Prototypes, restorer_classes
from vision.acquisition.scales import SCALES
from vision.build.acquisition import passes
from vision.build.acquisition.landmark_fit import fit_landmarks
from vision.build.acquisition.passes import Arrays, MapMoments, Predictors
from vision.build.acquisition.references import FOLDS, OriginReferences, Reference
from vision.build.finished_steps import FinishedSteps
from vision.perceive.fourier_ridge import FoldMoments, FourierFeatures, FourierRegression
from vision.perceive.noise_density import NoiseDensity, log_priors
from vision.perceive.noise_features import fit_gaussians
from vision.perceive.pixel_classifier import PixelClassifier
from vision.report import CLEAN, UNKNOWN

Floats = NDArray[np.float64]
Progress = Callable[[str, int, int], None]
"""(name of the step, steps done, steps in all)."""

CLEAN_WEIGHT = 8.0
"""Weight of the clean class in units of one noisy class."""
MAP_RIDGE = 1e-4
"""Ridge of the pixel maps, relative to the mean square of each feature."""
OTHER_SCALES = 24.0
"""The other working scales' pictures count in a scale's map as this many of its own."""
HARM_ALLOWED = 0.03
"""Share of kept trial restorations, each origin counting alike, that may become worse."""
_SURE_FROM = 0.1
"""Share of the trials from which the share of harm is counted."""
MOST_HARM = 0.25
"""Upper bound of the probability of harm at which a restoration is kept."""
_BENEFIT = {"cosines": 400, "length_scale": 4.0}
_BENEFIT_RIDGE = 1e-2
_LOG_RATIOS = (-4.0, 1.0)
"""Log error ratios are clipped to this before they are regressed on."""
SECOND_EVERY = 3
"""Every third reference is restored twice, for the second trials."""
_CHUNK = 24
"""References whose results are one step."""

PAIRS = [(a, b) for a in range(FOLDS) for b in range(a, FOLDS)]
"""Members while fitting: without one fold (a, a), and without two."""


@dataclass
class Rows:
    """Results of a pass, concatenated over references."""

    arrays: dict[str, NDArray[np.float64]]
    references: NDArray[np.int64]
    """(n,) number of the reference, of the rows of `of`-named arrays."""


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
        self.some = every[::SECOND_EVERY]
        self.done = 0

    @property
    def steps(self) -> int:
        """Number of steps: three passes over the chunks, and one over the folds."""
        return 2 * len(_chunks(self.references.references)) + len(_chunks(self.some)) + FOLDS

    def run(self) -> AcquisitionFit:
        """Make the passes, in `jobs` processes; finished steps are loaded."""
        context = get_context("spawn")
        every = self.references.references
        begin = partial(_begin, self.plugins)
        with ProcessPoolExecutor(self.jobs, mp_context=context, initializer=begin) as pool:
            self.statistics = self._rows(pool, "statistics", self._statistics_pass, every)
            self._moments = self._map_pass(pool)
            self.first = self._rows(pool, "first", self._first_pass, every)
            self.second = self._rows(pool, "second", self._second_pass, self.some)
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
            restorer=_members_of(whole, chosen),
            novelty=Novelty.fit(self.statistics.arrays["statistics"][rows]),
            benefit=self._benefit(without),
            stripes_left=_stripes_left(self.statistics.arrays["stripes"]),
        )

    # -- the passes -----------------------------------------------------------------------------

    def _rows(
        self,
        pool: ProcessPoolExecutor,
        name: str,
        make: Callable[[], Callable[[Reference], Arrays]],
        references: Sequence[Reference],
    ) -> Rows:
        chunks = _chunks(references)
        task = None
        waiting = []
        results: list[list[dict[str, Tensor]]] = []
        for number, chunk in enumerate(chunks):
            step = f"{name} {number}"
            known = self.finished.load(step)
            if known is None and task is None:
                task = make()
            future = None if known is not None else pool.submit(_over, task, chunk)
            waiting.append((step, known, future))
        for (step, known, future), chunk in zip(waiting, chunks, strict=True):
            self._next(step)
            if future is not None:
                found = future.result()
                known = {
                    f"{i}.{key}": torch.from_numpy(np.asarray(value))
                    for i, arrays in enumerate(found)
                    for key, value in arrays.items()
                }
                self.finished.save(step, known)
            assert known is not None
            results.append([_under(f"{i}.", known) for i in range(len(chunk))])
        flat = [one for chunk in results for one in chunk]
        arrays = {key: np.concatenate([one[key].numpy() for one in flat]) for key in flat[0]}
        key = "statistics" if "statistics" in arrays else "evidence"
        numbers = [
            np.full(len(one[key]), reference.number)
            for one, reference in zip(flat, references, strict=True)
        ]
        return Rows(arrays, np.concatenate(numbers).astype(np.int64))

    def _statistics_pass(self) -> Callable[..., Arrays]:
        return partial(passes.compute_statistics, classes=self.noisy, seed=self.seed)

    def _map_pass(self, pool: ProcessPoolExecutor) -> list[MapMoments]:
        found = []
        for fold, references in enumerate(self.by_fold):
            step = f"maps {fold}"
            self._next(step)
            known = self.finished.load(step)
            if known is None:
                shares = [references[i :: self.jobs] for i in range(self.jobs)]
                task = partial(
                    _fold_moments,
                    classes=self.noisy,
                    seed=self.seed,
                    predictors=self._predictors,
                )
                parts = list(pool.map(task, shares))
                moments = parts[0]
                for part in parts[1:]:
                    moments.gram += part.gram
                    moments.cross += part.cross
                    moments.power += part.power
                known = {"gram": moments.gram, "cross": moments.cross, "power": moments.power}
                self.finished.save(step, known)
            found.append(MapMoments(known["gram"], known["cross"], known["power"]))
        return found

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
    def _scoring(self) -> _CrossFit:
        return _CrossFit(
            self._features,
            self.statistics.arrays["statistics"],
            self.statistics.arrays["labels"].astype(np.int64),
            self._fold_of_rows,
            len(self.noisy) + 1,
        )

    @cached_property
    def _residual_scoring(self) -> _CrossFit:
        """Restored draws: clean where no noise is left, else the noise that is."""
        arrays = self.first.arrays
        labels = arrays["labels"].astype(np.int64)
        left = np.where(arrays["first"] > 0.5, labels[:, 1], labels[:, 0])
        left = np.where(labels[:, 1] > 0, left, 0)
        folds = self._fold_numbers[self.first.references]
        return _CrossFit(self._features, arrays["after"], left, folds, len(self.noisy) + 1)

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
        noisy = arrays["labels"] > 0
        labels = arrays["labels"][noisy].astype(np.int64)
        pictures = torch.from_numpy(self.statistics.references[noisy])
        folds = torch.from_numpy(self._fold_of_rows[noisy])
        vectors = {n: torch.from_numpy(arrays[n]) for n in ("plain", "logarithmic", "lost", "gain")}
        kinds = np.array([kind for kind, _ in self.noisy])[labels - 1]
        found = {}
        for number, kind in enumerate([*dict.fromkeys(kinds.tolist()), UNKNOWN]):
            own = torch.from_numpy(np.flatnonzero(kinds == kind) if kind != UNKNOWN else
                                   np.arange(len(kinds))[:: max(1, len(kinds) // 4096)])
            fits = [
                fit_landmarks(
                    vectors[source][own].float(),
                    vectors[target][own].float(),
                    pictures[own],
                    folds[own],
                    PAIRS,
                    self.seed + number,
                )
                for source, target in (("plain", "lost"), ("logarithmic", "gain"))
            ]
            found[kind] = Prototypes(*fits)
        return found

    @property
    def _predictors(self) -> Predictors:
        """By kind: regressions whose member f has not met fold f."""
        single = torch.tensor([PAIRS.index((fold, fold)) for fold in range(FOLDS)])
        return {
            kind: (_chosen(known.additive, single), _chosen(known.gain, single))
            for kind, known in self._prototypes.items()
        }

    @cached_property
    def _restorer(self) -> EnsembleRestorer:
        """With a member for each of `PAIRS`."""
        gram = torch.stack([moments.gram for moments in self._moments])
        cross = torch.stack([moments.cross for moments in self._moments])
        power = torch.stack([moments.power for moments in self._moments])
        maps = [_maps(gram, cross, power, set(pair)) for pair in PAIRS]
        classes = restorer_classes(((CLEAN, 0), *self.noisy))
        return EnsembleRestorer(classes, torch.stack(maps, dim=1), self._prototypes)

    def _benefit(self, without: tuple[int, ...]) -> BenefitPredictor:
        """The predictor from the trial restorations, its threshold from folds left out in turn."""
        trials = self.trials
        folds = self._fold_numbers[trials.references]
        kept = ~np.isin(folds, without)
        origin_of = {r.number: r.origin for r in self.references.references}
        origins = np.array([origin_of[number] for number in trials.references])[kept]
        counts = {origin: int((origins == origin).sum()) for origin in set(origins.tolist())}
        weights = np.array([counts[origin] ** -0.5 for origin in origins])
        errors = trials.arrays["errors"][kept]
        ratios = log_ratio(errors[:, 0], errors[:, 1])
        worse = ratios > np.log(WORSE)
        targets = np.stack([worse, np.clip(ratios, *_LOG_RATIOS)], axis=1)
        vectors, own = trials.arrays["evidence"][kept], folds[kept]
        features = FourierFeatures.draw(torch.from_numpy(vectors), self.seed, **_BENEFIT)  # type: ignore[arg-type]
        moments = FoldMoments(features.size, 2, FOLDS)
        transformed = features(torch.from_numpy(vectors))
        moments.add(
            transformed,
            torch.from_numpy(targets).float(),
            torch.from_numpy(weights / weights.mean()).float(),
            torch.from_numpy(own),
        )
        predicted = np.zeros(targets.shape)
        for fold in set(own.tolist()):
            rows = own == fold
            solved = moments.solve((fold,), ridge=_BENEFIT_RIDGE)
            predicted[rows] = (transformed[torch.from_numpy(rows)] @ solved).numpy()
        gated = (trials.arrays["p_value"][kept] <= ALPHA) & (predicted[:, 1] < 0.0)
        most = _threshold(predicted[gated, 0], worse[gated], weights[gated] ** 2)
        regression = FourierRegression(features, moments.solve(ridge=_BENEFIT_RIDGE))
        return BenefitPredictor(regression, most)

    @cached_property
    def trials(self) -> Rows:
        """First and second trial restorations together."""
        arrays = {
            name: np.concatenate([self.first.arrays[name], self.second.arrays[name]])
            for name in self.first.arrays
        }
        return Rows(
            arrays, np.concatenate([self.first.references, self.second.references])
        )

    def _next(self, what: str) -> None:
        if self.progress is not None:
            self.progress(what, self.done, self.steps)
        self.done += 1

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


class _CrossFit:
    """Class scores by random Fourier ridge: fits without one fold, and without two."""

    def __init__(
        self,
        features: FourierFeatures,
        statistics: Floats,
        labels: NDArray[np.int64],
        folds: NDArray[np.int64],
        classes: int,
    ) -> None:
        self.features = features
        self.labels = labels
        self.folds = folds
        self.classes = classes
        self.transformed = features(torch.from_numpy(statistics))
        counts = np.maximum(np.bincount(labels, minlength=classes), 1)
        weight = 1.0 / counts[labels]
        weight[labels == 0] *= CLEAN_WEIGHT
        targets = torch.zeros(len(labels), classes)
        targets[torch.arange(len(labels)), torch.from_numpy(labels)] = 1.0
        self.moments = FoldMoments(features.size, classes, FOLDS)
        self.moments.add(
            self.transformed,
            targets,
            torch.from_numpy(weight / weight.mean()).float(),
            torch.from_numpy(folds),
        )
        self._solved: dict[tuple[int, ...], Tensor] = {}

    def classifier(
        self, without: tuple[int, ...], noisy: Sequence[tuple[str, int]]
    ) -> PixelClassifier:
        """Fitted outside the folds `without`; densities and p-values from cross-fitted scores."""
        rows = ~np.isin(self.folds, without)
        scores = np.zeros((len(self.labels), self.classes))
        for fold in set(self.folds[rows].tolist()):
            own = self.folds == fold
            weights = self._solve((*without, fold))
            scores[own] = (self.transformed[torch.from_numpy(own)] @ weights).double().numpy()
        log_prior = log_priors(self.classes)
        density = NoiseDensity(fit_gaussians(scores[rows], self.labels[rows], log_prior))
        clean = np.sort(density.nonconformity(scores[rows & (self.labels == 0)]))
        return PixelClassifier(
            ((CLEAN, 0), *noisy),
            FourierRegression(self.features, self._solve(without)),
            NoiseDensity(density.gaussians, clean),
        )

    def _solve(self, without: Sequence[int]) -> Tensor:
        key = tuple(sorted(without))
        if key not in self._solved:
            self._solved[key] = self.moments.solve(key)
        return self._solved[key]


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
        members = [i for i, pair in enumerate(PAIRS) if fold in pair and pair[0] != pair[1]]
        return self.make(
            reference,
            self.classes,
            self.seed,
            self.classifiers[fold],
            self.restorer,
            self.novelties[fold],
            torch.tensor(members),
        )


def _chunks(references: Sequence[Reference]) -> list[Sequence[Reference]]:
    return [references[start : start + _CHUNK] for start in range(0, len(references), _CHUNK)]


def _begin(plugins: Sequence[str]) -> None:
    """In a worker: one thread, and noises of one's own."""
    torch.set_num_threads(1)
    load_plugins([Path(file) for file in plugins])


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


def _maps(gram: Tensor, cross: Tensor, power: Tensor, without: set[int]) -> Tensor:
    """(scales, classes, features) ridge maps from moments by fold, without some folds.

    A scale's own pictures, and those of the other scales with the weight of `OTHER_SCALES`.
    """
    kept = [fold for fold in range(len(gram)) if fold not in without]
    moments, targets, pictures = gram[kept].sum(0), cross[kept].sum(0), power[kept].sum(0)
    share = OTHER_SCALES / pictures.sum(0).clamp_min(1.0)
    pooled = share[:, None, None] * moments.sum(0)
    pooled_targets = share[:, None] * targets.sum(0)
    solved = []
    for scale in range(len(moments)):
        whole = (moments[scale] + pooled).double()
        wanted = (targets[scale] + pooled_targets).double()
        power_of = whole.diagonal(dim1=1, dim2=2).clamp_min(1e-12)
        floor = 1e-8 * power_of.mean(dim=1, keepdim=True) + 1e-9
        whole = whole + torch.diag_embed(MAP_RIDGE * power_of + floor)
        factor = torch.linalg.cholesky(whole)
        solved.append(torch.cholesky_solve(wanted[..., None], factor)[..., 0].float())
    return torch.stack(solved)


def _chosen(regression: object, members: Tensor):  # type: ignore[no-untyped-def]
    from dataclasses import replace

    return replace(regression, weights=regression.weights[members])  # type: ignore[type-var,attr-defined]


def _members_of(whole: EnsembleRestorer, members: Tensor) -> EnsembleRestorer:
    prototypes = {
        kind: Prototypes(_chosen(known.additive, members), _chosen(known.gain, members))
        for kind, known in whole.prototypes.items()
    }
    return EnsembleRestorer(whole.classes, whole.maps[:, members], prototypes)


def _stripes_left(shares: Floats) -> float:
    """Mean share of the squared error that removing stripes leaves; 1 where none was drawn."""
    return float(np.minimum(shares, 1.0).mean()) if len(shares) else 1.0


def _threshold(harm: Floats, worse: NDArray[np.bool_], weights: Floats) -> float:
    """Largest probability of harm at which at most `HARM_ALLOWED` of what is kept becomes worse."""
    order = np.argsort(harm)
    kept = np.cumsum(weights[order])
    share = np.cumsum(weights[order] * worse[order]) / kept
    # the first few say nothing of a share
    allowed = np.flatnonzero((share <= HARM_ALLOWED) & (kept >= _SURE_FROM * kept[-1]))
    if not len(allowed):
        return 0.0
    return float(np.clip(harm[order][allowed[-1]], 0.0, MOST_HARM))


def _under(prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {key[len(prefix) :]: one for key, one in tensors.items() if key.startswith(prefix)}
