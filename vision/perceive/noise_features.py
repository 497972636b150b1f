"""Class scores from many statistics by kernel regression, and Gaussian densities of the scores.

Random-Fourier-feature ridge regression onto the classes (Rahimi and Recht 2007) reduces the
statistics to one score per class; Gaussians with one shared, shrunk covariance over those scores
(fitted on images that the regression was not fitted on) give densities, distances and posteriors.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import cho_factor, cho_solve, solve_triangular
from scipy.special import logsumexp

Floats = NDArray[np.float64]
Labels = NDArray[np.int64]

_FOURIER = 768
"""Number of random features: enough for a few hundred references; cost is quadratic in it."""
_SHORT = 96
"""Statistics longer than this are first reduced to the directions that separate the classes."""
_SHRINK = 0.3
"""Default weight of the diagonal in the within-class covariance behind those directions."""
_RIDGE = 1e-2
_CLIP = 12.0
"""Standard deviations at which a statistic is clipped."""


@dataclass(frozen=True)
class ClassScorer:
    """Statistics (n, p) -> one score per class (n, classes)."""

    centre: Floats
    """(p,) mean of the references' statistics."""
    scale: Floats
    """(p,) their standard deviation, floored."""
    project: Floats
    """(p, r) whitened linear discriminants; identity when p is small."""
    frequencies: Floats
    """(r, fourier) random directions."""
    phases: Floats
    """(fourier,)."""
    weights: Floats
    """(1 + r + fourier, classes)."""

    def __call__(self, statistics: Floats) -> Floats:
        """Scores (n, classes) of statistics (n, p)."""
        return self._features(statistics) @ self.weights

    def _features(self, statistics: Floats) -> Floats:
        standard = np.clip((statistics - self.centre) / self.scale, -_CLIP, _CLIP)
        reduced = standard @ self.project
        waves = np.cos(reduced @ self.frequencies + self.phases)
        return np.concatenate([np.ones((len(reduced), 1)), reduced, waves], axis=1)

    def to_tensors(self) -> dict[str, Floats]:
        """Every array by name."""
        return {field.name: getattr(self, field.name) for field in fields(self)}

    @classmethod
    def from_tensors(cls, tensors: Mapping[str, Floats]) -> ClassScorer:
        """Rebuild from `to_tensors`; KeyError where an array is missing."""
        return cls(**{field.name: tensors[field.name] for field in fields(cls)})


def fit_class_scorer(
    statistics: Floats,
    labels: Labels,
    classes: int,
    rng: np.random.Generator,
    *,
    shrink: float = _SHRINK,
) -> ClassScorer:
    """Fit on statistics (n, p) with class numbers (n,).

    `shrink` is the weight of the diagonal in the within-class covariance behind the discriminants.

    Every class has the same weight, except clean (class 0), which has that of five classes: of all
    severities of one kind.
    """
    centre = statistics.mean(axis=0)
    scale: Floats = np.maximum(statistics.std(axis=0), 1e-6)
    standard = np.clip((statistics - centre) / scale, -_CLIP, _CLIP)
    project = _directions(standard, labels, classes, shrink)
    reduced = standard @ project
    spread = np.sqrt(2.0 * reduced.var(axis=0).sum()) + 1e-9
    frequencies = rng.normal(size=(reduced.shape[1], _FOURIER)) / spread
    phases = rng.uniform(0.0, 2.0 * np.pi, size=_FOURIER)
    empty = np.zeros((1 + reduced.shape[1] + _FOURIER, classes))
    scorer = ClassScorer(centre, scale, project, frequencies, phases, empty)
    features = scorer._features(statistics)
    counts = np.maximum(np.bincount(labels, minlength=classes), 1)
    weight = 1.0 / counts[labels]
    weight[labels == 0] *= 5.0
    weight /= weight.mean()
    targets = np.zeros((len(labels), classes))
    targets[np.arange(len(labels)), labels] = 1.0
    gram = features.T @ (features * weight[:, None])
    gram[np.diag_indices_from(gram)] += _RIDGE * np.trace(gram) / len(gram)
    weights = cho_solve(cho_factor(gram), features.T @ (targets * weight[:, None]))
    return ClassScorer(centre, scale, project, frequencies, phases, weights.astype(np.float64))


def _directions(standard: Floats, labels: Labels, classes: int, shrink: float) -> Floats:
    """Identity for short statistics; for long ones the linear discriminants (Fisher 1936)."""
    if standard.shape[1] <= _SHORT:
        return np.eye(standard.shape[1])
    present = [k for k in range(classes) if (labels == k).any()]
    means = np.zeros((classes, standard.shape[1]))
    for k in present:
        means[k] = standard[labels == k].mean(axis=0)
    within = standard - means[labels]
    covariance = within.T @ within / len(within)
    covariance = (1.0 - shrink) * covariance + shrink * np.diag(np.diag(covariance))
    covariance[np.diag_indices_from(covariance)] += 1e-4
    factor = np.linalg.cholesky(covariance)
    between = solve_triangular(factor, (means[present] - means[present].mean(axis=0)).T, lower=True)
    kept = max(len(present) - 1, 1)
    discriminants = np.linalg.svd(between.T, full_matrices=False)[2][:kept]
    return np.asarray(solve_triangular(factor.T, discriminants.T), dtype=np.float64)


@dataclass(frozen=True)
class Gaussians:
    """One Gaussian per class over scores, with a shared covariance."""

    means: Floats
    """(classes, dims)."""
    precision: Floats
    """(dims, dims) inverse of the shared shrunk covariance."""
    log_prior: Floats
    """(classes,)."""
    temperature: Floats
    """(1,) divisor of the log densities; fitted, so that posteriors are calibrated."""

    def squared_distances(self, scores: Floats) -> Floats:
        """Squared Mahalanobis distances (n, classes) of scores (n, dims)."""
        difference = scores[:, None, :] - self.means[None]
        return np.asarray(
            np.einsum("nkd,de,nke->nk", difference, self.precision, difference, optimize=True)
        )

    def log_joint(self, scores: Floats, squared: Floats | None = None) -> Floats:
        """Log prior + tempered log density (n, classes), up to a constant of each row.

        Args:
            scores: (n, dims).
            squared: their `squared_distances`, if computed already.
        """
        squared = self.squared_distances(scores) if squared is None else squared
        return np.asarray(self.log_prior - 0.5 * squared / float(self.temperature[0]))

    def to_tensors(self) -> dict[str, Floats]:
        """Every array by name."""
        return {field.name: getattr(self, field.name) for field in fields(self)}

    @classmethod
    def from_tensors(cls, tensors: Mapping[str, Floats]) -> Gaussians:
        """Rebuild from `to_tensors`; KeyError where an array is missing."""
        return cls(**{field.name: tensors[field.name] for field in fields(cls)})


_TEMPERATURES = (0.5, 0.7, 1.0, 1.4, 2.0, 2.8, 4.0, 5.6, 8.0)


def fit_gaussians(scores: Floats, labels: Labels, log_prior: Floats) -> Gaussians:
    """Fit class means, a shared covariance shrunk towards its diagonal, and the temperature.

    Args:
        scores: (n, dims).
        labels: (n,) class numbers.
        log_prior: (classes,).
    """
    classes = len(log_prior)
    means = np.stack(
        [
            scores[labels == k].mean(axis=0) if (labels == k).any() else scores.mean(axis=0)
            for k in range(classes)
        ]
    )
    residual = scores - means[labels]
    covariance = residual.T @ residual / max(len(scores) - classes, 1)
    shrink = min(0.5, 0.02 + covariance.shape[0] / max(len(scores), 1))
    diagonal = np.diag(np.diag(covariance))
    covariance = (1.0 - shrink) * covariance + shrink * diagonal
    covariance += np.eye(len(covariance)) * 1e-4 * np.trace(covariance) / len(covariance)
    raw = Gaussians(means, np.linalg.inv(covariance), log_prior, np.ones(1))
    squared = raw.squared_distances(scores)

    def loss(temperature: float) -> float:
        tempered = replace(raw, temperature=np.array([temperature]))
        return _negative_log_likelihood(tempered.log_joint(scores, squared), labels, log_prior)

    return replace(raw, temperature=np.array([min(_TEMPERATURES, key=loss)]))


def _negative_log_likelihood(joint: Floats, labels: Labels, log_prior: Floats) -> float:
    chosen = joint[np.arange(len(labels)), labels] - logsumexp(joint, axis=1)
    counts = np.maximum(np.bincount(labels, minlength=len(log_prior)), 1)
    weight = np.exp(log_prior[labels]) / counts[labels]
    return float(-(weight * chosen).sum())
