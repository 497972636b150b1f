"""Ridge regression on random Fourier features, fold by fold."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from vision.perceive.fourier_ridge import CLIP, FoldMoments, FourierFeatures, FourierRegression

ROWS, STATISTICS = 600, 3


def drawn(rows: int = ROWS, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    """Statistics, and two targets that are no linear function of them."""
    statistics = torch.randn(rows, STATISTICS, generator=torch.Generator().manual_seed(seed))
    first, second, third = statistics.T
    return statistics, torch.stack([first.square(), second * third], dim=1)


@pytest.fixture(scope="module")
def features() -> FourierFeatures:
    return FourierFeatures.draw(drawn()[0], 0, cosines=200)


@pytest.fixture(scope="module")
def regression(features: FourierFeatures) -> FourierRegression:
    statistics, targets = drawn()
    moments = FoldMoments(features.size, 2, 1)
    moments.add(features(statistics), targets, torch.ones(ROWS), torch.zeros(ROWS).long())
    return FourierRegression(features, moments.solve())


def test_leaving_a_fold_out_equals_a_fit_without_its_rows(features: FourierFeatures) -> None:
    statistics, targets = drawn()
    transformed, folds = features(statistics), torch.arange(ROWS) % 3
    weights = 0.5 + torch.rand(ROWS, generator=torch.Generator().manual_seed(1))
    whole = FoldMoments(features.size, 2, 3)
    whole.add(transformed, targets, weights, folds)
    kept = folds != 1
    apart = FoldMoments(features.size, 2, 1)
    apart.add(transformed[kept], targets[kept], weights[kept], torch.zeros(int(kept.sum())).long())

    wanted = transformed @ apart.solve(ridge=0.1)

    assert torch.allclose(transformed @ whole.solve((1,), ridge=0.1), wanted, atol=1e-3)
    assert not torch.allclose(transformed @ whole.solve(ridge=0.1), wanted, atol=1e-2)


def test_rows_count_by_their_weight(features: FourierFeatures) -> None:
    """A row of weight two is that row twice."""
    statistics, targets = drawn(200)
    once, twice = FoldMoments(features.size, 2, 1), FoldMoments(features.size, 2, 1)
    fold = torch.zeros(200).long()
    once.add(features(statistics), targets, torch.ones(200).index_fill(0, fold[:1], 2.0), fold)
    more, wanted = torch.cat([statistics, statistics[:1]]), torch.cat([targets, targets[:1]])
    twice.add(features(more), wanted, torch.ones(201), torch.zeros(201).long())
    assert torch.allclose(once.gram, twice.gram, atol=1e-3)
    assert torch.allclose(once.cross, twice.cross, atol=1e-3)


def test_it_predicts_what_is_not_linear_on_new_rows(regression: FourierRegression) -> None:
    statistics, targets = drawn(300, seed=7)
    left = regression(statistics.numpy()) - targets.numpy()
    assert (left.var(axis=0) < 0.2 * targets.numpy().var(axis=0)).all()


def test_statistics_far_off_are_clipped(regression: FourierRegression) -> None:
    edge = regression.features.centre + CLIP * regression.features.scale
    far = regression(np.full((1, STATISTICS), 1e12))
    assert np.allclose(far, regression(edge[None].numpy()), atol=1e-3)


def test_equal_seeds_draw_equal_features() -> None:
    statistics = drawn(50)[0]
    one, other, another = (FourierFeatures.draw(statistics, seed, cosines=8) for seed in (3, 3, 4))
    assert torch.equal(one(statistics), other(statistics))
    assert not torch.equal(one(statistics), another(statistics))


def test_it_is_the_same_after_storing(regression: FourierRegression) -> None:
    statistics = drawn(20, seed=2)[0].numpy()
    again = FourierRegression.from_tensors(regression.to_tensors())
    assert np.array_equal(again(statistics), regression(statistics))


@pytest.mark.parametrize(
    ("name", "shape"),
    [("scale", (2,)), ("frequencies", (3, 5)), ("weights", (7, 2)), ("weights", (204,))],
)
def test_arrays_that_do_not_fit_together_are_refused(
    regression: FourierRegression, name: str, shape: tuple[int, ...]
) -> None:
    with pytest.raises(ValueError, match="do not fit together"):
        FourierRegression.from_tensors({**regression.to_tensors(), name: torch.ones(shape)})
