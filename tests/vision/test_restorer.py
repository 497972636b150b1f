"""The pixel stage: contexts, prototypes, thumbnails and what is restored."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from tests.vision.conftest import KINDS, scan, spoilt
from vision.bank import PrototypeBank
from vision.encoder import VisionEncoder
from vision.landmarks import fit_landmarks
from vision.pixel_context import CHANNELS, pixel_context
from vision.restorer import Working, restorations
from vision.thumbnails import brightened, gain, loss, thumbnail

HELD_OUT = range(500, 512)


def picture(side: int = 40) -> torch.Tensor:
    return Working(scan(1, side), (side, side)).grey


def test_every_pixel_has_its_context() -> None:
    found = pixel_context(torch.stack([picture(), picture().flip(0)]))
    assert found.shape == (2, CHANNELS, 40, 40)
    assert bool(torch.isfinite(found).all())
    assert torch.equal(found[0, 40], picture())  # the middle of the raw neighbourhood


def test_a_batch_has_the_contexts_of_its_pictures() -> None:
    both = torch.stack([picture(), picture().flip(1)])
    together = pixel_context(both)
    for i in range(2):
        assert torch.allclose(together[i], pixel_context(both[i : i + 1])[0], atol=1e-5)


def test_a_smooth_gain_is_found_and_undone() -> None:
    clean = 0.1 + 0.5 * picture()
    across = torch.linspace(0.0, 1.0, 40)[None, :]
    noisy = clean * torch.exp(-0.8 * (1.0 - torch.cos(torch.pi * across)))
    found = brightened(noisy[None], gain(clean[None], noisy[None]))[0]
    assert float((found - clean).abs().mean()) < 0.3 * float((noisy - clean).abs().mean())


def test_what_a_cell_lost_is_its_mean_difference() -> None:
    clean = picture(28)[None]
    assert torch.allclose(loss(clean, 0.5 * clean), 0.5 * thumbnail(clean).flatten(1), atol=1e-6)


def test_prototypes_tell_of_images_like_them() -> None:
    draw = torch.Generator().manual_seed(0)
    vectors = torch.randn(400, 6, generator=draw)
    targets = torch.stack([vectors[:, 0].sin(), vectors[:, 1] ** 2], dim=1)
    folds = torch.arange(400) % 3
    regression, without = fit_landmarks(vectors, targets, folds, 128, seed=0)
    new = torch.randn(200, 6, generator=draw)
    wanted = torch.stack([new[:, 0].sin(), new[:, 1] ** 2], dim=1)
    for told in (regression, *without):
        assert float((told(new) - wanted).square().mean()) < 0.4 * float(wanted.var())
    assert len(without) == 3


@pytest.mark.parametrize("kind", KINDS)
def test_restored_pictures_are_nearer_to_clean(
    bank: PrototypeBank, encoder: VisionEncoder, kind: str
) -> None:
    assert bank.restorer is not None
    chosen = torch.zeros(1, len(bank.restorer.classes))
    chosen[0, bank.restorer.classes.index((kind, 5))] = 1.0
    left, taken = [], []
    for number in HELD_OUT:
        clean = Working.of(scan(number), encoder)
        noisy = Working.of(spoilt(clean.image, kind, 5), encoder)
        change = restorations(bank.restorer, [noisy], chosen)[0]
        left.append(float((noisy.grey + change - clean.grey).square().mean()))
        taken.append(float((noisy.grey - clean.grey).square().mean()))
    assert np.mean(left) < 0.5 * np.mean(taken)
    assert bank.restored["pixels"][kind] > 0.5


def test_no_posterior_no_change(bank: PrototypeBank, encoder: VisionEncoder) -> None:
    assert bank.restorer is not None
    working = Working.of(spoilt(scan(500), KINDS[0], 5), encoder)
    nothing = torch.zeros(1, len(bank.restorer.classes))
    assert float(restorations(bank.restorer, [working], nothing)[0].abs().max()) == 0.0


def test_a_picture_too_small_for_a_context_is_left_alone(bank: PrototypeBank) -> None:
    assert bank.restorer is not None
    tiny = Working(scan(1, 12), (12, 12))
    everything = torch.ones(1, len(bank.restorer.classes))
    assert float(restorations(bank.restorer, [tiny], everything)[0].abs().max()) == 0.0


def test_a_small_change_is_enlarged_for_a_large_image() -> None:
    large = scan(1, 80)
    restored = Working(large, (40, 40)).restored(torch.full((40, 40), 0.1))
    assert (restored.height, restored.width) == (80, 80)
    added = restored.rgb.astype(int) - large.rgb
    assert 24 <= int(np.median(added)) <= 27
