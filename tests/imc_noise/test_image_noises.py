"""What holds for every image noise: shapes, seeds, greys, growth, and each one's physics."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray

from imc_noise import CORE_IMAGE, EXTENDED_IMAGE, apply_image, noise_rng
from imc_noise.image.fields import bias_field
from imc_noise.image.kspace import ghosting, motion
from imc_noise.image.quanta import low_dose

Pixels = NDArray[np.uint8]

shapes = st.tuples(st.integers(1, 40), st.integers(1, 40)).flatmap(
    lambda size: st.sampled_from([size, (*size, 3)])
)
pictures = shapes.flatmap(lambda shape: arrays(np.uint8, shape))
ALL_IMAGE = CORE_IMAGE + EXTENDED_IMAGE
names = st.sampled_from(ALL_IMAGE)
severities = st.floats(1.0, 5.0)


def anatomy(size: int = 96) -> Pixels:
    """A round body with ribs and two lungs on black, grey (size, size)."""
    y, x = np.mgrid[-1 : 1 : size * 1j, -1 : 1 : size * 1j]
    body = (x**2 + (y / 0.9) ** 2 < 0.8) * (150.0 + 30.0 * np.cos(14.0 * y))
    for side in (-0.4, 0.4):
        body[((x - side) / 0.28) ** 2 + (y / 0.5) ** 2 < 1.0] -= 90.0
    levels: Pixels = np.clip(body, 0, 255).astype(np.uint8)
    return levels


def subject(name: str) -> Pixels:
    """A picture that has what `name` corrupts: colours, bright corners, or anatomy."""
    if name == "saturate":
        return np.stack([anatomy(), anatomy() // 2 + 30, anatomy() // 3 + 50], axis=-1)
    return 255 - anatomy() if name == "black_corner" else anatomy()


@given(names, pictures, severities, st.integers(0, 99))
@settings(max_examples=120, deadline=None)
def test_keeps_shape_and_type_and_leaves_its_input_alone(
    name: str, picture: Pixels, severity: float, seed: int
) -> None:
    before = picture.copy()
    corrupted = apply_image(name, picture, severity, np.random.default_rng(seed))
    assert corrupted.shape == picture.shape
    assert corrupted.dtype == np.uint8
    assert (picture == before).all()


@given(names, pictures, severities, st.integers(0, 99))
@settings(max_examples=60, deadline=None)
def test_the_same_seed_gives_the_same_pixels(
    name: str, picture: Pixels, severity: float, seed: int
) -> None:
    first, second = (
        apply_image(name, picture, severity, np.random.default_rng(seed)) for _ in range(2)
    )
    assert (first == second).all()


@pytest.mark.parametrize("name", ALL_IMAGE)
def test_a_grey_picture_stored_as_rgb_stays_grey_and_equal_to_its_plane(name: str) -> None:
    grey = anatomy()
    corrupted = apply_image(name, np.stack([grey] * 3, axis=-1), 4, np.random.default_rng(1))
    plane = apply_image(name, grey, 4, np.random.default_rng(1))
    assert (corrupted == plane[:, :, None]).all()


@pytest.mark.parametrize("name", ALL_IMAGE)
def test_a_coloured_marker_keeps_its_colour_and_the_rest_stays_grey(name: str) -> None:
    marked = np.stack([anatomy()] * 3, axis=-1)
    marked[40:42, 40:42] = (150, 40, 40)
    corrupted = apply_image(name, marked, 2, np.random.default_rng(1)).astype(int)
    assert np.ptp(corrupted[60:], axis=-1).max() == 0
    assert (corrupted[40:42, 40:42, 0] > corrupted[40:42, 40:42, 2]).all()


@pytest.mark.parametrize("name", ["gaussian", "low_dose", "speckle", "shot", "rician"])
def test_colour_planes_count_quanta_of_their_own(name: str) -> None:
    stained = np.full((64, 64, 3), (180, 90, 140), np.uint8)
    error = apply_image(name, stained, 5, np.random.default_rng(1)).astype(float) - stained
    assert abs(np.mean(error[..., 0] * error[..., 1])) < 0.2 * np.mean(error[..., 0] ** 2)


@pytest.mark.parametrize("name", ALL_IMAGE)
def test_distortion_grows_with_severity_whole_and_between(name: str) -> None:
    clean = subject(name)
    errors = [
        np.mean(
            [
                np.abs(apply_image(name, clean, s, np.random.default_rng(seed)) - clean.astype(int))
                for seed in range(6)
            ]
        )
        for s in (1, 1.5, 2, 2.5, 3, 3.5, 4, 4.5, 5)
    ]
    assert (np.diff(errors) > 0).all(), errors


@pytest.mark.parametrize("name", ALL_IMAGE)
@pytest.mark.parametrize("shape", [(1, 1), (1, 8000), (8000, 1), (3, 8000, 3), (7, 5)])
def test_any_size(name: str, shape: tuple[int, ...]) -> None:
    picture = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    assert apply_image(name, picture, 5, np.random.default_rng(0)).shape == shape


@pytest.mark.parametrize("level", [0, 255])
@pytest.mark.parametrize("name", ALL_IMAGE)
def test_a_black_or_white_picture_is_no_special_case(name: str, level: int) -> None:
    flat = np.full((32, 32), level, np.uint8)
    assert apply_image(name, flat, 5, np.random.default_rng(0)).shape == flat.shape


def test_a_view_that_is_not_contiguous_is_corrupted_like_its_copy() -> None:
    colour = np.random.default_rng(0).integers(0, 256, (20, 30, 3), dtype=np.uint8)
    view = colour[::2, ::-1]
    for name in ALL_IMAGE:
        first = apply_image(name, view, 3, noise_rng("v", name, 3))
        second = apply_image(name, view.copy(), 3, noise_rng("v", name, 3))
        assert (first == second).all()


@pytest.mark.parametrize(
    "picture",
    [
        np.zeros((4, 4), np.float32),
        np.zeros((4, 4, 4), np.uint8),
        np.zeros((0, 4), np.uint8),
        np.zeros(4, np.uint8),
    ],
    ids=["float", "RGBA", "empty", "one axis"],
)
def test_what_is_no_picture_is_refused(picture: NDArray[np.uint8]) -> None:
    with pytest.raises(ValueError, match="convert the image first"):
        apply_image("gaussian", picture, 1, np.random.default_rng(0))


def test_low_dose_is_noisier_where_less_comes_through() -> None:
    halves = np.full((1, 128, 128), 0.1, np.float32)
    halves[:, :, 64:] = 0.9
    noise = low_dose(halves, 0.05, np.random.default_rng(0)) - halves
    assert noise[:, :, 72:].std() > 2.0 * noise[:, :, :56].std()


def test_motion_with_no_displacement_is_no_change() -> None:
    planes = np.random.default_rng(0).random((1, 32, 24), dtype=np.float32)
    still = motion(planes, 0.0, np.random.default_rng(3))
    assert np.allclose(still, planes, atol=1e-5)


def test_motion_keeps_the_energy_of_k_space() -> None:
    planes = np.random.default_rng(0).random((1, 32, 24), dtype=np.float32)
    moved = motion(planes, 0.1, np.random.default_rng(3))
    assert np.isclose(np.sum(moved**2), np.sum(planes**2), rtol=1e-4)


def test_ghosting_puts_copies_along_one_axis_only() -> None:
    point = np.zeros((1, 64, 64), np.float32)
    point[0, 20, 30] = 1.0
    ghosts = ghosting(point, 1.0, np.random.default_rng(5))[0] > 0.05
    assert ghosts.sum() > 2
    assert min(len(set(axis)) for axis in np.nonzero(ghosts)) == 1


def test_a_bias_field_is_smooth_and_multiplies() -> None:
    flat = np.full((1, 64, 64), 0.5, np.float32)
    field = bias_field(flat, 2.0, np.random.default_rng(0)) / flat
    twice = bias_field(flat / 2.0, 2.0, np.random.default_rng(0)) / (flat / 2.0)
    assert np.allclose(field, twice, rtol=1e-5)
    assert np.abs(np.diff(np.log(field[0]), axis=0)).max() < 0.15
