"""Which noise an image carries: two witnesses, their fusion, and the conformal gate."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import logsumexp
from scipy.stats import norm

from vision.perceive.noise_features import (
    Gaussians,
    Labels,
    Reduction,
    fit_gaussians,
    fit_reduction,
)
from vision.perceive.statistics_network import StatisticsNetwork, fit_network
from vision.report import CLEAN, UNKNOWN, NoisePerception

Floats = NDArray[np.float64]

WITNESSES = ("encoder", "pixels")

PRIOR_CLEAN = 0.5
"""Half of the images are expected clean; the other half is spread over kinds and severities."""

PRIOR_UNKNOWN = 0.02
_UNKNOWN_SPREAD = 3.0
"""The unknown class is a Gaussian this many times wider around the nearest prototype."""

Reader = Reduction | StatisticsNetwork
READERS: Mapping[str, type[Reduction] | type[StatisticsNetwork]] = {
    "encoder": Reduction,
    "pixels": StatisticsNetwork,
}
"""How each witness reads its statistics: the encoder's are many, the pixels' few."""
_FITS: Mapping[str, Callable[..., Reader]] = {"encoder": fit_reduction, "pixels": fit_network}

_FOLDS = 4
"""Parts of the references: the scores behind densities and p-values come from fits that have not
seen the reference."""

_ENOUGH_FOR_CONFORMAL = 200
"""Held-out clean scores below which no p-value reaches .005: then the tail is modelled."""


@dataclass(frozen=True)
class Perceived:
    """One image's perception with everything calibration needs."""

    weights: Floats
    """(classes + 1,) posterior over clean, every (kind, severity), and unknown (last)."""
    clean_p_value: float
    witnesses: dict[str, Floats]
    """The same posterior by each witness alone."""


@dataclass(frozen=True)
class Perceiver:
    """Statistics of an image -> posterior over {clean, kind x severity, unknown}."""

    classes: tuple[tuple[str, int], ...]
    """Clean first, as ("clean", 0); then every (kind, severity)."""
    reductions: dict[str, Reader]
    """By witness; `encoder` is missing where the tower gives no features to look at."""
    densities: dict[str, Gaussians]
    """By witness, and `joint` over their scores side by side."""
    clean_scores: dict[str, Floats]
    """Sorted non-conformity scores of held-out clean references, by witness and `joint`."""

    def perceive(self, statistics: Mapping[str, Floats]) -> list[Perceived]:
        """Perceive n images from each witness's statistics (n, p).

        Witnesses may be missing (only `encoder` when features are perceived again after a
        calibration): then those present decide.
        """
        scores = {name: self.reductions[name](statistics[name]) for name in self._of(statistics)}
        alone = {name: self._posterior(name, value) for name, value in scores.items()}
        if len(scores) == len(self.reductions) and len(scores) > 1:
            decisive = "joint"
            joint = np.concatenate([scores[name] for name in self._of(statistics)], axis=1)
        else:
            decisive = next(iter(scores))
            joint = scores[decisive]
        fused = self._posterior(decisive, joint)
        p_values = self._p_values(decisive, joint)
        return [
            Perceived(fused[i], float(p_values[i]), {name: alone[name][i] for name in alone})
            for i in range(len(fused))
        ]

    def _of(self, statistics: Mapping[str, Floats]) -> list[str]:
        return [name for name in WITNESSES if name in statistics and name in self.reductions]

    def _log_joint(self, name: str, scores: Floats) -> Floats:
        """Log joint of every class and, in the last column, of `unknown`."""
        density = self.densities[name]
        squared = density.squared_distances(scores)
        known = density.log_joint(scores, squared)
        # Whether the scores are like those of any class is for the Gaussians alone to say.
        tempered = squared / float(density.temperature[0])
        unknown = (
            np.log(PRIOR_UNKNOWN)
            - scores.shape[1] * np.log(_UNKNOWN_SPREAD)
            - 0.5 * tempered.min(axis=1) / _UNKNOWN_SPREAD**2
        )
        odds = unknown - logsumexp(density.log_prior - 0.5 * tempered, axis=1)
        return np.concatenate([known, (logsumexp(known, axis=1) + odds)[:, None]], axis=1)

    def _posterior(self, name: str, scores: Floats) -> Floats:
        joint = self._log_joint(name, scores)
        return np.asarray(np.exp(joint - logsumexp(joint, axis=1, keepdims=True)))

    def nonconformity(self, name: str, scores: Floats) -> Floats:
        """How unlike clean: log odds of "anything but clean", (n,)."""
        joint = self._log_joint(name, scores)
        return np.asarray(logsumexp(joint[:, 1:], axis=1) - joint[:, 0])

    def _p_values(self, name: str, scores: Floats) -> Floats:
        """Conformal p-values of "clean" (n,); where there are too few scores, a modelled tail."""
        known = self.clean_scores[name]
        found = self.nonconformity(name, scores)
        if len(known) >= _ENOUGH_FOR_CONFORMAL:
            at_least = len(known) - np.searchsorted(known, found, side="left")
            return np.asarray((1.0 + at_least) / (len(known) + 1.0))
        spread = max(float(known.std()), 1e-6)
        return np.asarray(norm.sf((found - known.mean()) / spread))

    @property
    def p_values_are_modelled(self) -> bool:
        """Whether too few references made the p-values a modelled tail instead of conformal."""
        return min(len(scores) for scores in self.clean_scores.values()) < _ENOUGH_FOR_CONFORMAL

    def report(self, perceived: Perceived, *, alpha: float) -> NoisePerception:
        """The perception in plain values; at p-values above `alpha` the kind is clean."""
        posterior = self._by_kind(perceived.weights)
        if perceived.clean_p_value > alpha:
            kind, severity = CLEAN, 0
        else:
            kind = max((k for k in posterior if k != CLEAN), key=lambda k: posterior[k])
            severity = self._severity(perceived.weights, kind)
        return NoisePerception(
            kind=kind,
            severity=severity,
            probability=posterior[kind],
            clean_p_value=perceived.clean_p_value,
            posterior=posterior,
            witnesses={name: self._by_kind(w) for name, w in perceived.witnesses.items()},
        )

    def named(self, weights: Floats) -> str:
        """The likeliest noise under posterior `weights`, as `low_contrast 4`."""
        posterior = self._by_kind(weights)
        kind = max((k for k in posterior if k != CLEAN), key=lambda k: posterior[k])
        return f"{kind} {self._severity(weights, kind)}"

    def _by_kind(self, weights: Floats) -> dict[str, float]:
        posterior: dict[str, float] = {}
        for (kind, _), weight in zip(self.classes, weights, strict=False):
            posterior[kind] = posterior.get(kind, 0.0) + float(weight)
        posterior[UNKNOWN] = float(weights[-1])
        return posterior

    def _severity(self, weights: Floats, kind: str) -> int:
        """Posterior mean severity of `kind`, rounded; over all kinds where it is unknown."""
        chosen = [
            (severity, float(weight))
            for (name, severity), weight in zip(self.classes, weights, strict=False)
            if severity > 0 and (name == kind or kind == UNKNOWN)
        ]
        total = sum(weight for _, weight in chosen)
        if total <= 0.0:
            return 3
        mean = sum(severity * weight for severity, weight in chosen) / total
        return min(5, max(1, round(mean)))


def fit_perceiver(
    statistics: Mapping[str, Floats],
    labels: Labels,
    images: Labels,
    classes: Sequence[tuple[str, int]],
    rng: np.random.Generator,
) -> Perceiver:
    """Fit from statistics (n, p) by witness, class numbers (n,) and reference numbers (n,).

    The encoder's many statistics are read by a kernel regression, the pixels' few by a network.
    Densities and conformal scores are cross-fitted (Vovk 2015): each reference, with all its
    draws and clean views, is scored by a regression on the others.
    """
    folds = rng.permutation(int(images.max()) + 1) % _FOLDS
    log_prior = np.full(len(classes), np.log((1.0 - PRIOR_CLEAN) / max(len(classes) - 1, 1)))
    log_prior[0] = np.log(PRIOR_CLEAN)
    reductions: dict[str, Reader] = {}
    scores: dict[str, Floats] = {}
    for name, values in statistics.items():
        scores[name] = np.zeros((len(values), len(classes)))
        for fold in range(_FOLDS):
            held = folds[images] == fold
            part = _FITS[name](values[~held], labels[~held], len(classes), rng)
            scores[name][held] = part(values[held])
        reductions[name] = _FITS[name](values, labels, len(classes), rng)
    if len(scores) > 1:
        scores["joint"] = np.concatenate([scores[name] for name in WITNESSES], axis=1)
    densities = {
        name: fit_gaussians(value, labels, log_prior, log_odds=name != "encoder")
        for name, value in scores.items()
    }
    perceiver = Perceiver(tuple(classes), reductions, densities, {})
    clean = labels == 0
    conformal = {
        name: np.sort(perceiver.nonconformity(name, value[clean])) for name, value in scores.items()
    }
    return Perceiver(tuple(classes), reductions, densities, conformal)
