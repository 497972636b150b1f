"""The physics of each extended image noise, on planes with a known answer."""

from __future__ import annotations

import math

import numpy as np
import pytest
from numpy.typing import NDArray

from imc_noise import apply_image
from imc_noise.image import acquisition, fields, kspace, objects, optics, sensor, tone
from imc_noise.image.planes import ImageCorruption

Planes = NDArray[np.float32]


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def texture(channels: int = 1, size: int = 48) -> Planes:
    return rng(7).random((channels, size, size), dtype=np.float32)


def point(size: int = 65) -> Planes:
    planes = np.zeros((1, size, size), np.float32)
    planes[0, size // 2, size // 2] = 1.0
    return planes


def flat(grey: float, size: int = 128) -> Planes:
    return np.full((1, size, size), grey, np.float32)


@pytest.mark.parametrize("corrupt", [sensor.speckle, sensor.shot])
def test_grain_leaves_black_black_and_the_mean_as_it_was(corrupt: ImageCorruption) -> None:
    assert (corrupt(flat(0.0), 0.2, rng()) == 0.0).all()
    assert float(corrupt(flat(0.5), 0.2, rng()).mean()) == pytest.approx(0.5, abs=0.01)


def test_speckle_grows_with_the_grey_and_shot_with_its_root() -> None:
    for corrupt, ratio in ((sensor.speckle, 4.0), (sensor.shot, 2.0)):
        bright, dark = (float(corrupt(flat(g), 0.1, rng()).std()) for g in (0.8, 0.2))
        assert bright / dark == pytest.approx(ratio, rel=0.05)


def test_impulses_hit_their_share_half_black_half_white_and_stay() -> None:
    weak, strong = (sensor.impulse(flat(0.5), share, rng()) for share in (0.05, 0.2))
    assert float(np.mean(strong == 0.0)) == pytest.approx(0.1, abs=0.01)
    assert float(np.mean(strong == 1.0)) == pytest.approx(0.1, abs=0.01)
    assert (strong[weak != 0.5] == weak[weak != 0.5]).all()


def test_defocus_makes_an_even_disc_of_its_radius() -> None:
    disc = optics.defocus(point(), 0.1, rng())[0]
    assert float(disc.sum()) == pytest.approx(1.0, abs=1e-4)
    assert np.count_nonzero(disc > 0.5 * disc.max()) == pytest.approx(math.pi * 6.5**2, rel=0.06)


@pytest.mark.parametrize("seed", range(4))
def test_motion_blur_makes_a_line_of_its_length_in_one_direction(seed: int) -> None:
    line = optics.motion_blur(point(), 0.3, rng(seed))[0]
    assert float(line.sum()) == pytest.approx(1.0, abs=1e-4)
    places = np.argwhere(line > 0.0) - 32.0
    weights = line[line > 0.0]
    assert np.allclose(np.average(places, axis=0, weights=weights), 0.0, atol=0.01)
    spreads = np.linalg.eigvalsh(np.cov(places.T, aweights=weights))
    # An even line of length L has a variance of L² / 12; pixels add less than one.
    assert spreads[1] == pytest.approx((0.3 * 65) ** 2 / 12.0, rel=0.1)
    assert spreads[0] < 0.5


def test_zoom_keeps_the_centre_and_smears_the_border() -> None:
    change = np.abs(optics.zoom(texture(), 0.2, rng()) - texture())[0]
    assert change[22:26, 22:26].mean() < 0.5 * change[:4].mean()
    assert np.allclose(optics.zoom(flat(0.3), 0.5, rng()), 0.3, atol=1e-5)


def test_pixelate_has_blocks_of_one_grey_and_the_mean_as_it_was() -> None:
    blocks = optics.pixelate(texture(), 1.0 / 6.0, rng())[0]
    assert len(np.unique(blocks)) == 36
    assert (blocks[:8, :8] == blocks[0, 0]).all()
    assert float(blocks.mean()) == pytest.approx(float(texture().mean()), abs=1e-4)


@pytest.mark.parametrize("strength", [1.0, 3.0, 7.0, 13.0, 26.0])
def test_jpeg_keeps_black_black_at_every_strength(strength: float) -> None:
    assert (optics.jpeg(flat(0.0), strength, rng()) == 0.0).all()


def test_jpeg_of_a_colour_picture_keeps_planes_in_their_place() -> None:
    reddish = np.concatenate([flat(0.8), flat(0.2), flat(0.4)])
    assert np.allclose(optics.jpeg(reddish, 1.0, rng()), reddish, atol=0.04)


@pytest.mark.parametrize(
    "corrupt",
    [
        tone.brightness_up,
        tone.brightness_down,
        tone.contrast_up,
        tone.contrast_down,
        tone.gamma_up,
        tone.gamma_down,
        tone.saturate,
        sensor.impulse,
        optics.defocus,
        optics.motion_blur,
        optics.zoom,
        optics.pixelate,
        fields.shading,
        kspace.gibbs,
        acquisition.rician,
        acquisition.kspace_spike,
        acquisition.undersampling,
        acquisition.sparse_view,
        objects.characters,
        objects.bubble,
    ],
)
def test_no_strength_is_no_change(corrupt: ImageCorruption) -> None:
    assert np.allclose(corrupt(texture(3), 0.0, rng()), texture(3), atol=1e-5)


def test_tone_curves_keep_the_order_of_greys_and_go_their_way() -> None:
    ramp = np.linspace(0.0, 1.0, 64, dtype=np.float32).reshape(1, 8, 8)
    for up, down in ((tone.brightness_up, tone.brightness_down), (tone.gamma_down, tone.gamma_up)):
        lighter, darker = up(ramp, 0.5, rng()), down(ramp, 0.5, rng())
        assert (np.diff(lighter.ravel()) >= 0).all()
        assert (np.diff(darker.ravel()) >= 0).all()
        assert lighter.mean() > ramp.mean() > darker.mean()
    wide, narrow = tone.contrast_down(ramp, 0.5, rng()), tone.contrast_up(ramp, 0.5, rng())
    assert wide.std() < ramp.std() < narrow.std()


def test_saturate_keeps_lightness_and_leaves_grey_pictures_alone() -> None:
    luma = np.asarray(tone.LUMA, np.float32)
    before, after = texture(3), tone.saturate(texture(3), 0.7, rng())
    kept = [np.tensordot(luma, planes, axes=1) for planes in (before, after)]
    assert np.allclose(*kept, atol=1e-5)
    assert np.ptp(after, axis=0).mean() > 1.5 * np.ptp(before, axis=0).mean()
    grey = rng().integers(0, 256, (16, 16), dtype=np.uint8)
    assert (apply_image("saturate", grey, 5, rng()) == grey).all()


@pytest.mark.parametrize("seed", range(4))
def test_a_stain_covers_its_share_and_grows_from_where_it_was(seed: int) -> None:
    small, large = (objects.stain(flat(0.8), s, rng(seed)) < 0.5 for s in (0.1, 0.3))
    assert float(large.mean()) == pytest.approx(0.3, abs=0.04)
    assert float(small.mean()) == pytest.approx(0.1, abs=0.03)
    assert (large | ~small).all()


def test_bubbles_cover_about_their_share() -> None:
    touched = [np.mean(objects.bubble(flat(0.1), 0.2, rng(s)) != np.float32(0.1)) for s in range(8)]
    # Overlaps and those over the border cover less than was drawn.
    assert 0.1 < float(np.mean(touched)) < 0.21


def test_black_corners_take_their_share_and_leave_the_middle() -> None:
    seen = objects.black_corner(flat(0.8), 0.25, rng())[0]
    assert float(np.mean(seen < 0.4)) == pytest.approx(0.25, abs=0.02)
    assert (seen[48:80, 48:80] == np.float32(0.8)).all()
    assert max(seen[0, 0], seen[0, -1], seen[-1, 0], seen[-1, -1]) == 0.0


def test_characters_are_white_and_stay_as_more_are_written() -> None:
    few, many = (objects.characters(flat(0.2), n, rng()) for n in (2.0, 9.5))
    assert few.max() > 0.99
    assert (many >= few - 1e-6).all()
    assert 0.005 < float(np.mean(few > 0.3)) < float(np.mean(many > 0.3)) < 0.5


def test_rician_noise_has_a_floor_where_it_is_black() -> None:
    assert float(acquisition.rician(flat(0.0), 0.1, rng()).mean()) == pytest.approx(
        0.1 * math.sqrt(math.pi / 2.0), rel=0.02
    )


def test_spikes_are_stripes_of_one_size_all_over() -> None:
    stripes = acquisition.kspace_spike(flat(0.5), 0.05, rng())[0] - 0.5
    spectrum = np.abs(np.fft.fft2(stripes)) ** 2
    assert np.sort(spectrum.ravel())[-24:].sum() > 0.7 * spectrum.sum()
    # The real half of each complex stripe lies along the signal.
    assert float(stripes.std()) == pytest.approx(0.05 / math.sqrt(2.0), rel=0.1)


def test_undersampling_keeps_the_centre_of_k_space_and_loses_more_the_stronger() -> None:
    planes = flat(0.5, 64) + 0.1 * texture(1, 64)
    energies = [
        float(np.sum(acquisition.undersampling(planes, s, rng(2)) ** 2)) for s in (0.1, 0.5, 2, 8)
    ]
    assert (np.diff(energies) < 0).all()
    assert float(acquisition.undersampling(planes, 8.0, rng(2)).mean()) == pytest.approx(
        float(planes.mean()), rel=0.01
    )


def test_sparse_views_streak_from_a_point_along_as_many_rays() -> None:
    streaks = acquisition.sparse_view(point(129), 129.0 * math.pi / 12.0, rng())[0]
    turns = np.linspace(0.0, 2.0 * math.pi, 720, endpoint=False)
    ring = streaks[
        np.rint(64 + 50 * np.sin(turns)).astype(int), np.rint(64 + 50 * np.cos(turns)).astype(int)
    ]
    spectrum = np.abs(np.fft.rfft(ring - ring.mean()))
    assert spectrum[24] > 2.0 * np.median(spectrum[1:60])
    assert streaks[64, 64] > 5.0 * np.abs(ring).max()


@pytest.mark.parametrize("seed", range(4))
def test_gibbs_leaves_nothing_beyond_its_radius_and_rings_beside_edges(seed: int) -> None:
    step = flat(0.2, 64)
    step[:, 16:48, 16:48] = 0.8
    seen = kspace.gibbs(step, 1.0, rng(seed))
    spectrum = np.abs(np.fft.fft2(seen[0]))
    axes = [spectrum[30:34, :3].max(), spectrum[:3, 30:34].max()]
    assert min(axes) < 1e-3 * spectrum[:3, :3].max()
    assert seen.max() > 0.82
    assert float(seen.mean()) == pytest.approx(float(step.mean()), abs=1e-3)


def test_gibbs_loses_more_the_stronger() -> None:
    energies = [float(np.sum(kspace.gibbs(texture(), s, rng(3)) ** 2)) for s in (0.0, 0.5, 1, 2, 4)]
    assert (np.diff(energies) < 0).all()


def test_shading_is_a_smooth_factor_of_its_size_both_ways() -> None:
    shares = []
    for seed in range(8):
        log_field = np.log(fields.shading(flat(0.5, 64), 0.6, rng(seed))[0] / 0.5)
        assert float(np.sqrt(np.mean(log_field**2))) == pytest.approx(0.6, rel=1e-3)
        assert np.abs(np.diff(log_field, axis=0)).max() < 0.3
        shares.append(float(np.mean(log_field > 0.0)))
    assert 0.25 < float(np.mean(shares)) < 0.75
    assert (fields.shading(flat(0.0), 0.6, rng()) == 0.0).all()
