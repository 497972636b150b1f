"""What is seen is compared apart from noise: discs with noise are discs, bars are not."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from imc_noise import apply_image, noise_rng
from vision.monitor import UNLIKE_BELOW
from vision.perceive.content import ContentReferences, KnownContent, content_statistics
from vision.reading.medical_image import MedicalImage

SIDE = 48


def disc(seed: int) -> NDArray[np.uint8]:
    """A bright disc near the middle, of varying place, size and brightness."""
    rng = np.random.default_rng(seed)
    row, column = np.ogrid[:SIDE, :SIDE]
    centre = SIDE / 2 + rng.normal(scale=2.0, size=2)
    inside = np.hypot(row - centre[0], column - centre[1]) < rng.uniform(12, 18)
    grey = np.where(inside, rng.integers(150, 200), rng.integers(20, 40))
    return np.repeat(grey[..., None], 3, axis=2).astype(np.uint8)


def bars(seed: int) -> NDArray[np.uint8]:
    """The left part bright."""
    rng = np.random.default_rng(seed)
    rgb = np.full((SIDE, SIDE, 3), 30, dtype=np.uint8)
    rgb[:, : rng.integers(14, 20)] = rng.integers(150, 200)
    return rgb


@pytest.fixture(scope="module")
def discs() -> ContentReferences:
    references = ContentReferences(20)
    for seed in range(20):
        references.add(MedicalImage.from_rgb(disc(seed)))
    return references


def unlike(references: ContentReferences, pictures: list[NDArray[np.uint8]]) -> float:
    """Share of pictures whose content is unlike."""
    p_values = [references.p_value(MedicalImage.from_rgb(rgb)) for rgb in pictures]
    return float(np.mean([p is not None and p <= UNLIKE_BELOW for p in p_values]))


@pytest.mark.parametrize("kind", ["gaussian", "bias_field", "low_contrast", "motion"])
def test_noise_is_no_other_content(discs: ContentReferences, kind: str) -> None:
    rng = noise_rng("disc", kind, 4)
    assert unlike(discs, [apply_image(kind, disc(seed), 4, rng) for seed in range(50, 70)]) <= 0.2


def test_other_pictures_are_unlike(discs: ContentReferences) -> None:
    assert unlike(discs, [disc(seed) for seed in range(50, 70)]) <= 0.2
    assert unlike(discs, [bars(seed) for seed in range(20)]) == 1.0
    coloured = [disc(seed) * np.array([1, 0, 0], dtype=np.uint8) for seed in range(50, 60)]
    assert unlike(discs, coloured) == 1.0
    wide = [np.repeat(disc(seed), 2, axis=1) for seed in range(50, 60)]
    assert unlike(discs, wide) == 1.0


def test_statistics_are_those_of_the_picture_whatever_its_brightness_and_contrast() -> None:
    dim = (disc(3) // 4 * 2 + 20).astype(np.uint8)
    assert np.abs(content_statistics(dim) - content_statistics(disc(3))).max() < 0.1


def test_there_are_no_p_values_before_all_references_are_there() -> None:
    references = ContentReferences(3)
    for seed in range(2):
        references.add(MedicalImage.from_rgb(disc(seed)))
        assert references.p_value(MedicalImage.from_rgb(disc(9))) is None
    references.complete()
    assert references.p_value(MedicalImage.from_rgb(disc(9))) is not None


@pytest.fixture(scope="module")
def known() -> KnownContent:
    return KnownContent.of([MedicalImage.from_rgb(disc(seed)) for seed in range(20)])


def members(known: KnownContent, pictures: list[NDArray[np.uint8]]) -> float:
    return float(np.mean([MedicalImage.from_rgb(rgb) in known for rgb in pictures]))


@pytest.mark.parametrize("kind", ["gaussian", "bias_field", "low_contrast", "motion"])
def test_pictures_of_the_domain_are_members_also_with_noise(known: KnownContent, kind: str) -> None:
    rng = noise_rng("disc", kind, 4)
    assert members(known, [disc(seed) for seed in range(50, 70)]) >= 0.8
    noisy = [apply_image(kind, disc(seed), 4, rng) for seed in range(50, 70)]
    assert members(known, noisy) >= 0.8


def test_other_pictures_are_no_members(known: KnownContent) -> None:
    assert members(known, [bars(seed) for seed in range(20)]) == 0.0
    coloured = [disc(seed) * np.array([1, 0, 0], dtype=np.uint8) for seed in range(50, 60)]
    assert members(known, coloured) == 0.0


def test_known_content_is_kept_as_arrays(known: KnownContent) -> None:
    again = KnownContent.from_tensors(known.to_tensors())
    for name, array in vars(known).items():
        assert np.array_equal(vars(again)[name], array)
    arrays = known.to_tensors() | {"centres": torch.zeros(3)}
    with pytest.raises(ValueError, match="content"):
        KnownContent.from_tensors(arrays)
