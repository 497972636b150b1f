"""The pieces of `benchmarks/pdc_ablations.py` that could be wrong without a word."""

from __future__ import annotations

import sys
from collections.abc import Callable

import numpy as np
import pytest
import torch

from imc_noise import CORE_IMAGE
from tests.conftest import REPOSITORY

sys.path.append(str(REPOSITORY / "benchmarks"))

from ablations import plan  # noqa: E402
from ablations.cells import BETWEEN, EVERY, GRID, Cell, of_kind  # noqa: E402
from ablations.layer_maps import (  # noqa: E402
    TokenMoments,
    mean_shift,
    mean_std,
    nearest,
    ridge,
    whitening_colouring,
    with_context,
    with_one,
)
from ablations.layers import Layers, Standard, codebook, keyed, linear  # noqa: E402
from ablations.posteriors import deranged, true_weights  # noqa: E402

from vision.encoder.token_layout import infer_layout  # noqa: E402

CLASSES = [("clean", 0), *((kind, severity) for kind in CORE_IMAGE for severity in (1, 3, 5))]
TAPS = ("embed", "block.0", "projector")


def tokens(seed: int, *, spread: float = 1.0, mean: float = 0.0) -> torch.Tensor:
    """Correlated tokens (2000, 4)."""
    draw = torch.Generator().manual_seed(seed)
    mixed = torch.randn(4, 4, generator=draw, dtype=torch.float64)
    return mean + spread * torch.randn(2000, 4, generator=draw, dtype=torch.float64) @ mixed


NOISY, CLEAN = tokens(1, spread=2.0, mean=3.0), tokens(2, mean=-1.0)


def mapped(make: Callable[[TokenMoments, TokenMoments], torch.Tensor]) -> TokenMoments:
    """Moments of the noisy tokens with the map's change added."""
    change = make(TokenMoments.of(NOISY), TokenMoments.of(CLEAN))
    return TokenMoments.of(NOISY + with_one(NOISY) @ change.double())


def test_mean_shift_moves_every_token_by_the_difference_of_the_means() -> None:
    change = mean_shift(TokenMoments.of(NOISY), TokenMoments.of(CLEAN)).double()
    moved = with_one(NOISY) @ change
    expected = (CLEAN.mean(0) - NOISY.mean(0)).expand_as(NOISY)
    torch.testing.assert_close(moved, expected, atol=1e-5, rtol=1e-5)


def test_mean_std_gives_each_channel_the_clean_mean_and_spread() -> None:
    found, clean = mapped(mean_std), TokenMoments.of(CLEAN)
    torch.testing.assert_close(found.mean, clean.mean, atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(
        found.covariance.diagonal(), clean.covariance.diagonal(), atol=1e-4, rtol=1e-4
    )


def test_whitening_colouring_maps_the_noisy_covariance_to_the_clean_one() -> None:
    found, clean = mapped(whitening_colouring), TokenMoments.of(CLEAN)
    torch.testing.assert_close(found.mean, clean.mean, atol=1e-3, rtol=1e-3)
    torch.testing.assert_close(found.covariance, clean.covariance, atol=1e-2, rtol=1e-2)


def test_a_ridge_finds_what_noise_took_linearly() -> None:
    phi = with_one(NOISY)
    taken = torch.randn(5, 4, generator=torch.Generator().manual_seed(3), dtype=torch.float64)
    found = ridge(phi.T @ phi, phi.T @ (phi @ taken))
    assert float((phi @ (found - taken)).norm() / (phi @ taken).norm()) < 0.05


def test_context_begins_with_the_token_and_holds_a_one() -> None:
    layout = infer_layout(17)
    patches = torch.randn(2, 1, 16, 4)
    phi = with_context(patches, torch.zeros(2, 1, 1, 4), layout)
    assert phi.shape == (2, 1, 16, 4 * 4 + 10)
    torch.testing.assert_close(phi[..., :4], patches)
    assert bool((phi[..., 16] == 1.0).all())


def test_maps_are_mixed_by_their_weights_and_leave_others_alone() -> None:
    up, down = torch.zeros(2, 5, 4)
    up[-1], down[-1] = 1.0, -3.0
    features = torch.randn(3, 1, 16, 4)
    change = linear(torch.stack([up, down]), context=False)
    layers = Layers({"projector": (Standard(torch.zeros(4), torch.ones(4)), change)})
    weights = torch.tensor([[1.0, 0.0], [0.5, 0.5], [0.0, 0.0]])
    intervene = layers.intervention(weights, (4, 4))
    changed = intervene("projector", features)
    assert changed is not None
    steps = (changed - features)[:, 0, 0, 0]
    torch.testing.assert_close(steps, torch.tensor([1.0, -1.0, 0.0]), atol=1e-5, rtol=1e-5)
    assert intervene("embed", features) is None
    assert layers.intervention(torch.zeros(3, 2), (4, 4))("projector", features) is None


def test_retrieval_takes_the_nearest_code_and_the_nearest_keys_residual() -> None:
    layout, patches = infer_layout(16), torch.full((1, 1, 16, 2), 0.9)
    codes = torch.tensor([[0.0, 0.0], [1.0, 1.0]])
    assert nearest(patches[0, 0], codes).tolist() == [1] * 16
    replaced = codebook(codes)(patches, None, layout, torch.tensor([[1.0]]))
    torch.testing.assert_close(patches + replaced, torch.ones_like(patches))
    added = keyed(codes[None], 10.0 * codes[None])(patches, None, layout, torch.tensor([[0.5]]))
    torch.testing.assert_close(added, torch.full_like(patches, 5.0))


def test_the_wrong_kind_is_never_the_right_one() -> None:
    order = deranged(CLASSES)
    assert sorted(order) == list(range(len(CLASSES) + 1))
    assert order[0] == 0 and order[-1] == len(CLASSES)
    for place, (kind, severity) in enumerate(CLASSES[1:], start=1):
        source_kind, source_severity = CLASSES[order[place]]
        assert source_kind != kind and source_severity == severity
    with pytest.raises(ValueError, match="nothing to swap"):
        deranged([("clean", 0), ("gaussian", 1)])


def test_the_truth_lies_between_the_severities_that_a_bank_knows() -> None:
    weights = true_weights(CLASSES, Cell((("motion", 3.5),)))
    assert weights[CLASSES.index(("motion", 3))] == 0.75
    assert weights[CLASSES.index(("motion", 5))] == 0.25
    both = true_weights(CLASSES, Cell((("low_contrast", 3), ("gaussian", 5))))
    assert both[CLASSES.index(("gaussian", 5))] == both[CLASSES.index(("low_contrast", 3))] == 0.5
    assert true_weights(CLASSES, Cell()).tolist() == [1.0, *np.zeros(len(CLASSES))]


def test_every_row_of_every_table_has_a_run_that_measures_its_cells() -> None:
    runs = plan.make_runs(TAPS)
    for part in plan.make_parts(TAPS, 192):
        assert len({line.label for line in part.lines}) == len(part.lines)
        for name, cells in plan.needed(part).items():
            assert cells <= set(runs[name].cells), (part.letter, name)


def test_a_kind_left_out_is_measured_on_that_kind() -> None:
    (part,) = (one for one in plan.make_parts(TAPS, 192) if one.letter == "e")
    for line in part.lines:
        for cell, run in line.runs.items():
            assert run in {"usual bank", f"without {cell.noises[0][0]}"}
    assert len(GRID) == 12 and len(of_kind("motion")) == 2
    assert len({cell.name for cell in (*EVERY, *BETWEEN)}) == len(EVERY) + len(BETWEEN)
