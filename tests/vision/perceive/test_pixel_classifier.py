"""The classifier of pixels: posteriors over the classes, conformal p-values, and their report."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from vision.perceive.fourier_ridge import FoldMoments, FourierFeatures, FourierRegression
from vision.perceive.noise_density import MIN_CONFORMAL_SCORES, NoiseDensity, log_priors
from vision.perceive.noise_features import fit_gaussians
from vision.perceive.pixel_classifier import PixelClassifier

CLASSES = (("clean", 0), ("gaussian", 2), ("gaussian", 4), ("motion", 3))
CENTRES = np.array([[0, 0, 0], [3, 0, 0], [6, 0, 0], [0, 5, 0]], dtype=np.float64)

Rows = tuple[NDArray[np.float64], NDArray[np.int64]]


def rows(count: int, seed: int) -> Rows:
    """Statistics around a centre for each class, and the class numbers."""
    rng = np.random.default_rng(seed)
    labels = np.arange(count) % len(CLASSES)
    return CENTRES[labels] + rng.normal(size=(count, 3)), labels


@pytest.fixture(scope="module")
def classifier() -> PixelClassifier:
    """Densities and clean scores are of rows that a scorer was not fitted on."""
    statistics, labels = rows(1200, 0)
    features = FourierFeatures.draw(torch.from_numpy(statistics), 0, cosines=60)
    transformed = features(torch.from_numpy(statistics))
    targets = torch.eye(len(CLASSES))[torch.from_numpy(labels)]
    folds = torch.arange(1200) // 4 % 2
    moments = FoldMoments(features.size, len(CLASSES), 2)
    moments.add(transformed, targets, torch.ones(1200), folds)
    scores = np.zeros((1200, len(CLASSES)))
    for fold in (0, 1):
        own = (folds == fold).numpy()
        scores[own] = (transformed[folds == fold] @ moments.solve((fold,))).numpy()
    density = NoiseDensity(fit_gaussians(scores, labels, log_priors(len(CLASSES))))
    clean = np.sort(density.nonconformity(scores[labels == 0]))
    scorer = FourierRegression(features, moments.solve())
    return PixelClassifier(CLASSES, scorer, replace(density, clean_scores=clean))


def test_new_pictures_are_given_their_class(classifier: PixelClassifier) -> None:
    statistics, labels = rows(400, 1)
    found = np.array([one.probabilities.argmax() for one in classifier.predict(statistics)])
    assert (found == labels).mean() > 0.85


def test_p_values_of_clean_pictures_are_no_smaller_than_they_say(
    classifier: PixelClassifier,
) -> None:
    statistics, labels = rows(1600, 2)
    p_values = np.array([one.clean_p_value for one in classifier.predict(statistics)])
    for level in (0.02, 0.1, 0.5):
        assert (p_values[labels == 0] <= level).mean() <= level + 0.04
    assert (p_values[labels == 2] <= 0.02).mean() > 0.9


def test_few_clean_scores_give_p_values_by_a_normal_approximation(
    classifier: PixelClassifier,
) -> None:
    few = classifier.density.clean_scores[:: 300 // (MIN_CONFORMAL_SCORES - 50)]
    approximate = replace(classifier, density=replace(classifier.density, clean_scores=few))
    assert (classifier.density.is_approximate, approximate.density.is_approximate) == (False, True)
    clean, strong = approximate.predict(CENTRES[[0, 2]])
    assert strong.clean_p_value < 0.001 < 0.1 < clean.clean_p_value
    # a conformal p-value cannot be below one over their number plus one
    assert strong.clean_p_value < 1 / (1 + len(few))


def test_scores_unlike_every_class_are_unknown(classifier: PixelClassifier) -> None:
    far = classifier.density.gaussians.means.mean(axis=0, keepdims=True) + 50.0
    posterior = classifier.density.posterior(far)[0]
    assert posterior.argmax() == len(CLASSES)
    assert posterior.sum() == pytest.approx(1.0)


def test_the_report_sums_severities_and_says_clean_above_the_level(
    classifier: PixelClassifier,
) -> None:
    (posterior,) = classifier.predict(CENTRES[[1]])
    named = classifier.report(posterior, alpha=0.999)
    assert named.kind == "gaussian"
    assert named.severity in (2, 3)
    both = posterior.probabilities[1] + posterior.probabilities[2]
    assert named.probability == pytest.approx(both)
    assert named.posterior.keys() == {"clean", "gaussian", "motion", "unknown"}
    assert named.witnesses["pixels"] == named.posterior
    kept = classifier.report(posterior, alpha=posterior.clean_p_value / 2)
    assert (kept.kind, kept.severity) == ("clean", 0)
    assert classifier.most_likely_noise(posterior.probabilities).split()[0] == "gaussian"
