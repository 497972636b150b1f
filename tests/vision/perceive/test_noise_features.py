"""Statistics of pixels and tokens, and the scorers that classify noise from them."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch.nn import functional

from tests.vision.conftest import corrupted, scan
from vision.perceive.acquisition_statistics import acquisition_statistics, grey_image
from vision.perceive.artefact_statistics import artefact_statistics
from vision.perceive.medians import median
from vision.perceive.noise_features import ClassScorer, fit_class_scorer
from vision.restore.pixel_context import CHANNELS, MEANS, pixel_context

Rows = tuple[NDArray[np.float64], NDArray[np.int64]]


@pytest.fixture(scope="module")
def clusters() -> Rows:
    """Three classes of five statistics, two of which tell them apart."""
    rng = np.random.default_rng(0)
    labels = rng.integers(3, size=600)
    statistics = rng.normal(size=(600, 5))
    statistics[:, 1] += 3.0 * (labels == 1)
    statistics[:, 3] += 3.0 * (labels == 2)
    return statistics, labels


def test_a_scorer_names_rows_that_it_was_not_fitted_on(clusters: Rows) -> None:
    statistics, labels = clusters
    scorer = fit_class_scorer(statistics[:400], labels[:400], 3, np.random.default_rng(0))

    predicted = scorer(statistics[400:]).argmax(axis=1)

    assert (predicted == labels[400:]).mean() > 0.85


def test_a_scorer_is_the_same_after_storing(clusters: Rows) -> None:
    statistics, labels = clusters
    scorer = fit_class_scorer(statistics, labels, 3, np.random.default_rng(0))

    again = ClassScorer.from_tensors(scorer.to_tensors())

    assert np.array_equal(again(statistics), scorer(statistics))


@pytest.mark.parametrize(("kind", "part"), [("pixelate", slice(0, 2)), ("ghosting", slice(2, 22))])
def test_an_artefact_raises_its_own_statistics(kind: str, part: slice) -> None:
    raised = []
    for number in range(6):
        clean = scan(number, side=112)
        before, after = (
            artefact_statistics(grey_image(image.rgb, 112))[part]
            for image in (clean, corrupted(clean, kind, 4))
        )
        raised.append(after.max() > before.max())

    assert sum(raised) >= 5


def test_statistics_of_a_flat_picture_are_finite() -> None:
    assert np.isfinite(acquisition_statistics(np.zeros((112, 112)))).all()
    assert np.isfinite(acquisition_statistics(np.ones((64, 64)))).all()


def test_non_local_means_remove_noise_and_keep_edges() -> None:
    draw = torch.Generator().manual_seed(0)
    clean = torch.zeros(1, 48, 48)
    clean[:, :, 24:] = 0.8
    noisy = clean + 0.05 * torch.randn(clean.shape, generator=draw)
    first = CHANNELS - 6 - len(MEANS)

    mean = noisy + pixel_context(noisy)[:, first]

    assert float((mean - clean).square().mean()) < 0.5 * float((noisy - clean).square().mean())
    assert float((mean - clean)[:, :, 23:25].abs().max()) < 0.3


@pytest.mark.parametrize("side", [3, 5])
def test_the_median_is_the_median_of_the_neighbourhood(side: int) -> None:
    picture = torch.rand(2, 1, 12, 17, generator=torch.Generator().manual_seed(0))
    around = functional.pad(picture, (side // 2,) * 4, mode="replicate")
    around = around.unfold(2, side, 1).unfold(3, side, 1).flatten(4)

    assert torch.equal(median(picture, side), around.median(dim=4).values)
