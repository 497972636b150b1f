"""A noise of a user's own: registered by one call, tried at once, then as good as any other."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import pytest

from imc_noise import (
    NOISES,
    NoiseRefused,
    UnknownNoise,
    apply_image,
    apply_text,
    get_noise,
    noise_rng,
    register_noise,
)
from imc_noise.registry import own_noise_digests

pytestmark = pytest.mark.usefixtures("forget_plugins")

RGB = np.full((4, 5, 3), 100, np.uint8)
CALLS = itertools.count()
Pixels = np.ndarray[Any, Any]


def darken(rgb: Pixels, factor: float, rng: np.random.Generator) -> Pixels:
    return (rgb * factor).astype(np.uint8)


def speckle(rgb: Pixels, share: float, rng: np.random.Generator) -> Pixels:
    return np.where(rng.random(rgb.shape) < share, np.uint8(0), rgb)


def test_its_strengths_are_those_of_severities_1_to_5_and_linear_between_them() -> None:
    register_noise("dark", darken, strengths=(0.9, 0.8, 0.7, 0.6, 0.5))
    seen = [apply_image("dark", RGB, severity, noise_rng("a", "dark", 1)) for severity in (1, 2.5)]
    assert [int(noisy[0, 0, 0]) for noisy in seen] == [90, 75]
    assert get_noise("dark").modality == "image" and "dark" in NOISES


def test_without_strengths_it_is_given_the_severity() -> None:
    register_noise("shout", lambda text, level, rng: text + "!" * int(level), modality="text")
    assert apply_text("shout", "Mass?", 3, noise_rng("a", "shout", 3)) == "Mass?!!!"


def test_a_grey_image_stays_grey_and_its_input_is_left_as_it_was() -> None:
    register_noise("speckles", partial(speckle), strengths=(0.1, 0.2, 0.3, 0.4, 0.5))
    grey = RGB[..., 0].copy()
    noisy = apply_image("speckles", grey, 5, noise_rng("a", "speckles", 5))
    assert noisy.shape == grey.shape and (noisy != grey).any() and (grey == 100).all()
    again = apply_image("speckles", grey, 5, noise_rng("a", "speckles", 5))
    assert (noisy == again).all()


def in_place(rgb: Pixels, strength: float, rng: np.random.Generator) -> Pixels:
    rgb[0] = 0
    return rgb


@pytest.mark.parametrize(
    ("corrupt", "why"),
    [
        (lambda rgb, level, rng: rgb / 2, r"test_own_noises.py:\d+\) must return uint8 .* float64"),
        (lambda rgb, level, rng: rgb[:2], r"shape given, not uint8 of the shape \(2, 32, 3\)"),
        (lambda rgb, level, rng: None, "not a NoneType"),
        (in_place, r"changes its input in place \(test_own_noises.py:\d+\); start from a copy"),
        (lambda rgb, level, rng: rgb + np.uint8(next(CALLS)), "two results from equal generators"),
        (
            lambda rgb, level, rng: np.random.default_rng().integers(0, 9, rgb.shape, np.uint8),
            "two results from equal generators",
        ),
        (lambda rgb, level, rng: int("Is there a mass?"), r"failed: ValueError at test_own_noises"),
        (lambda rgb: rgb, "failed: TypeError"),
        ("darken", "corrupt is a str, no function"),
    ],
)
def test_what_cannot_be_repeated_or_gives_no_pixels_is_refused_when_it_is_registered(
    corrupt: Callable[..., Any], why: str
) -> None:
    with pytest.raises(NoiseRefused, match=why) as refused:
        register_noise("mine", corrupt)
    assert "mass" not in str(refused.value) and "\n" not in str(refused.value)
    assert "mine" not in NOISES


@pytest.mark.parametrize("text", [b"Mass?", "", None])
def test_a_text_noise_must_give_a_text(text: object) -> None:
    with pytest.raises(NoiseRefused, match="must return a text that is not blank"):
        register_noise("mine", lambda question, level, rng: text, modality="text")  # type: ignore


@pytest.mark.parametrize("name", ["gaussian", "clean", "blank", "core", "two+noises", "a,b", ""])
def test_a_name_that_is_taken_or_cannot_be_listed_is_refused(name: str) -> None:
    with pytest.raises(NoiseRefused, match="name"):
        register_noise(name, darken)


@pytest.mark.parametrize("strengths", [(1, 2, 3), (1, 2, 3, 4, float("nan")), "12345x", 3])
def test_strengths_are_five_finite_numbers(strengths: Any) -> None:
    with pytest.raises(NoiseRefused, match="five finite numbers"):
        register_noise("mine", darken, strengths=strengths)


def test_an_unknown_noise_is_refused_with_registered_ones_among_the_known() -> None:
    register_noise("dark", darken, strengths=(0.9, 0.8, 0.7, 0.6, 0.5))
    with pytest.raises(UnknownNoise, match="dark"):
        get_noise("fog")
    with pytest.raises(UnknownNoise, match="unknown text noise 'dark'"):
        get_noise("dark", "text")


def test_a_digest_tells_a_noise_from_another_of_its_name() -> None:
    assert own_noise_digests(["gaussian"]) == {}
    made = []
    for last in (0.5, 0.4):
        register_noise(f"dark{last:.0%}"[:-1], darken, strengths=(0.9, 0.8, 0.7, 0.6, last))
        made += own_noise_digests(NOISES).values()
    assert len(set(made)) == 2
