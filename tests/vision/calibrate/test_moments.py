"""A class has a map where a map brings held-out references back, of the rank that this takes."""

from __future__ import annotations

import pytest
import torch

from vision.calibrate.class_maps import ClassMaps, calibration_weights
from vision.calibrate.moments import FittedMap, Moments
from vision.calibrate.token_context import Context, FeatureScaler
from vision.encoder.token_layout import infer_layout

DIM = 8
TOKENS = 16


def context_of(patches: torch.Tensor) -> Context:
    return Context(patches, patches.mean(dim=2))


def moments_of(noise: float, *, rank: int = 3, images: int = 64) -> Moments:
    """What is missing is a map of that rank of the patches, and noise of its own."""
    draw = torch.Generator().manual_seed(0)
    patches = torch.randn(images, 1, TOKENS, DIM, generator=draw)
    truth = torch.randn(DIM, rank, generator=draw) @ torch.randn(rank, DIM, generator=draw)
    lost = patches @ truth / truth.norm() + noise * torch.randn(patches.shape, generator=draw)
    moments = Moments(2 * DIM, DIM)
    moments.add(context_of(patches), lost, torch.arange(images) % 2)
    return moments


def test_a_map_has_the_rank_of_what_is_missing() -> None:
    fitted = moments_of(noise=0.01).solve(rank=6)
    assert fitted.rank == 3
    assert fitted.gain > 0.9


def test_a_map_is_never_of_more_rank_than_asked() -> None:
    assert moments_of(noise=0.01).solve(rank=2).rank == 2


def test_a_map_that_explains_too_little_is_left_out() -> None:
    draw = torch.Generator().manual_seed(1)
    patches, lost = torch.randn(2, 64, 1, TOKENS, DIM, generator=draw)
    moments = Moments(2 * DIM, DIM)
    moments.add(context_of(patches), lost, torch.arange(64) % 2)
    fitted = moments.solve(rank=6)
    assert fitted.rank == 0
    assert fitted.left.shape == (2 * DIM, 0)


def test_moments_are_those_of_the_whole_context() -> None:
    draw = torch.Generator().manual_seed(2)
    patches, lost = torch.randn(2, 6, 2, TOKENS, DIM, generator=draw)
    context = context_of(patches)
    moments = Moments(2 * DIM, DIM)
    moments.add(context, lost, torch.tensor([0, 1, 0, 1, 0, 1]))
    shared = context.constant[:, :, None].expand(-1, -1, TOKENS, -1)
    phi = torch.cat([context.varying, shared], dim=-1).reshape(-1, 2 * DIM).double()
    assert torch.allclose(moments.gram.sum(0), phi.T @ phi, atol=1e-3)
    assert torch.allclose(moments.cross.sum(0), phi.T @ lost.reshape(-1, DIM).double(), atol=1e-3)


@pytest.fixture
def maps() -> ClassMaps:
    """Two classes without a map beside one and the pooled one, on a grid of 4 x 4 tokens."""
    standard = FeatureScaler(torch.zeros(DIM), torch.ones(DIM))
    layout = infer_layout(TOKENS)
    size = standard.context(torch.zeros(1, 1, TOKENS, DIM), layout).size
    draw = torch.Generator().manual_seed(3)

    def fitted(rank: int) -> FittedMap:
        left = 0.1 * torch.randn(size, rank, generator=draw)
        return FittedMap(left, torch.randn(rank, DIM, generator=draw), 0.1 * rank)

    return ClassMaps.of_maps(standard, [fitted(0), fitted(2), fitted(0), fitted(1)], cap=9.0)


def test_classes_without_a_map_change_nothing(maps: ClassMaps) -> None:
    features = torch.randn(2, 1, TOKENS, DIM)
    weights = torch.tensor([[0.6, 0.0, 0.4, 0.0], [0.5, 0.5, 0.0, 0.0]])
    assert maps.has_map_for(weights).tolist() == [False, True]
    change = maps.change(features, infer_layout(TOKENS), weights)
    assert not change[0].any()
    assert change[1].any()


def test_a_mixture_is_the_mean_of_its_maps(maps: ClassMaps) -> None:
    features = torch.randn(1, 1, TOKENS, DIM)
    layout = infer_layout(TOKENS)
    one, other = torch.eye(4)[[1]], torch.eye(4)[[3]]
    apart = 0.25 * maps.change(features, layout, one) + 0.75 * maps.change(features, layout, other)
    together = maps.change(features, layout, 0.25 * one + 0.75 * other)
    assert torch.allclose(apart, together, atol=1e-5)


def test_maps_are_the_same_after_storing(maps: ClassMaps) -> None:
    again = ClassMaps.from_tensors(maps.to_tensors(), classes=4)
    features, weights = torch.randn(1, 1, TOKENS, DIM), torch.full((1, 4), 0.25)
    layout = infer_layout(TOKENS)
    assert torch.equal(
        again.change(features, layout, weights), maps.change(features, layout, weights)
    )


@pytest.mark.parametrize(
    ("name", "shape"),
    [("left", (3, 3)), ("right", (3, DIM + 1)), ("ranks", (5,)), ("scale", (DIM + 1,))],
)
def test_maps_that_do_not_fit_are_refused(
    maps: ClassMaps, name: str, shape: tuple[int, ...]
) -> None:
    tensors = {**maps.to_tensors(), name: torch.ones(shape)}
    with pytest.raises(ValueError, match="wrong shape"):
        ClassMaps.from_tensors(tensors, classes=4)


def test_a_change_is_scaled_down_to_the_cap(maps: ClassMaps) -> None:
    features = torch.randn(1, 1, TOKENS, DIM)
    layout, weights = infer_layout(TOKENS), torch.eye(4)[[1]]
    capped = ClassMaps(maps.scaler, maps.ranks, maps.left, maps.right, cap=1e-3)
    change = capped.change(features, layout, weights)
    assert float(change.norm() / features.norm()) == pytest.approx(1e-3, rel=1e-3)


def test_small_probabilities_have_no_weight_and_clean_has_no_map() -> None:
    posterior = torch.tensor([[0.5, 0.3, 0.18, 0.02], [1.0, 0.0, 0.0, 0.0], [0.0, 0.0, 0.0, 1.0]])
    weights = calibration_weights(posterior)
    assert weights.shape == (3, 3)
    assert weights[0].tolist() == pytest.approx([0.3 / 0.98, 0.18 / 0.98, 0.0])
    assert weights[1].tolist() == [0.0, 0.0, 0.0]
    assert weights[2].tolist() == [0.0, 0.0, 1.0]


def test_a_map_whose_first_directions_explain_nothing_is_none(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The whole map explains a little of the other half, what the rank allows of it only harms."""
    moments = moments_of(noise=0.01)
    explained = torch.full((DIM,), -1e-3, dtype=torch.float64)
    explained[-1] = 1e-3
    monkeypatch.setattr(Moments, "_best_strength", lambda self, *_: (1e-2, explained[:4]))
    assert moments.solve(rank=4).rank == 0
