"""Noises of a user's own stand beside those of the registry."""

from __future__ import annotations

import numpy as np
import pytest

from imc_bench import noises
from imc_bench.conditions import Condition, make_conditions
from imc_bench.errors import NoiseRefused
from imc_bench.noises import find_noise, register_noise
from imc_noise import Noise, UnknownNoise

INVERT = Noise("invert", "image", "Read out upside down.", recoverable=True)
SHOUT = Noise("shout", "text", "Typed with the caps lock on.", recoverable=True)
RGB = np.full((4, 5, 3), 100, np.uint8)


@pytest.fixture(autouse=True)
def _no_others(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each test registers its own, which are forgotten after it."""
    monkeypatch.setattr(noises, "_OWN", {})


def test_a_noise_of_ones_own_makes_conditions_alone_and_joined() -> None:
    register_noise(INVERT, lambda rgb, severity, rng: 255 - rgb)
    register_noise(SHOUT, lambda text, severity, rng: text.upper())
    alone, joined = make_conditions(["invert", "invert+shout"], [2])[1:]
    assert (alone.corrupt_image(RGB, "a", 0) == 155).all()
    assert joined == Condition("invert", 2, "shout", 2)
    assert joined.corrupt_text("Is there a mass?", "item", 0) == "IS THERE A MASS?"


def test_its_draws_come_from_the_item_and_the_seed_and_its_input_is_a_copy() -> None:
    def speckle(rgb: np.ndarray, severity: float, rng: np.random.Generator) -> np.ndarray:
        rgb[rng.random(rgb.shape[:2]) < 0.5] = 0
        return rgb

    register_noise(INVERT, speckle)
    condition = Condition("invert", 1)
    first = condition.corrupt_image(RGB, "a", 0)
    assert (first == condition.corrupt_image(RGB, "a", 0)).all()
    assert (first != condition.corrupt_image(RGB, "b", 0)).any()
    assert (RGB == 100).all()


@pytest.mark.parametrize("name", ["gaussian", "two+noises", "a,b", ""])
def test_a_name_that_is_taken_or_cannot_be_listed_is_refused(name: str) -> None:
    with pytest.raises(NoiseRefused):
        register_noise(Noise(name, "image", "", recoverable=True), lambda rgb, severity, rng: rgb)


def test_what_gives_no_pixels_or_no_text_is_refused_when_it_is_used() -> None:
    register_noise(INVERT, lambda rgb, severity, rng: rgb / 2)
    register_noise(SHOUT, lambda text, severity, rng: text.encode())  # type: ignore[return-value]
    with pytest.raises(NoiseRefused, match="uint8"):
        Condition("invert", 1).corrupt_image(RGB, "a", 0)
    with pytest.raises(NoiseRefused, match="not a bytes"):
        Condition("", 0, "shout", 1).corrupt_text("Is there a mass?", "item", 0)


def test_an_unknown_noise_is_refused_with_ones_own_among_the_known() -> None:
    register_noise(INVERT, lambda rgb, severity, rng: 255 - rgb)
    with pytest.raises(UnknownNoise, match="invert"):
        find_noise("fog")
