"""Which noises a run meets, by name."""

from __future__ import annotations

import numpy as np
import pytest

from imc_bench.conditions import Condition, RunRefused, make_conditions
from imc_noise import CORE_IMAGE, CORE_TEXT, EXTENDED_IMAGE, EXTENDED_TEXT, UnknownNoise


def test_clean_comes_first_and_every_noise_once_at_each_severity() -> None:
    made = make_conditions(["core", "gaussian"], [1, 3.0])
    assert made[0] == Condition()
    assert len(made) == 1 + 2 * (len(CORE_IMAGE) + len(CORE_TEXT))
    assert Condition("gaussian", 3) in made


def test_an_image_and_a_text_noise_are_joined() -> None:
    assert make_conditions(["low_dose+typo"], [3])[1] == Condition("low_dose", 3, "typo", 3)


def test_image_noises_are_put_one_upon_the_other_each_with_its_own_draw() -> None:
    stacked = make_conditions(["gaussian+low_contrast+typo"], [2.5])[1]
    assert stacked == Condition("gaussian+low_contrast", 2.5, "typo", 2.5)
    assert str(stacked) == "gaussian+low_contrast 2.5 + typo 2.5"
    rgb = np.full((16, 16, 3), 128, np.uint8)
    first = Condition("gaussian", 2.5).corrupt_image(rgb, "a", 0)
    both = Condition("low_contrast", 2.5).corrupt_image(first, "a", 0)
    assert (stacked.corrupt_image(rgb, "a", 0) == both).all()


@pytest.mark.parametrize("joined", ["typo+ocr", "gaussian+gaussian"])
def test_two_text_noises_and_one_noise_twice_are_not_joined(joined: str) -> None:
    with pytest.raises(RunRefused, match="joins"):
        make_conditions([joined], [3])


@pytest.mark.parametrize(("noise", "severity"), [("fog", 3), ("typo", 6), ("typo", 0)])
def test_what_is_unknown_is_refused(noise: str, severity: int) -> None:
    with pytest.raises(UnknownNoise):
        make_conditions([noise], [severity])


def test_controls_have_no_severity() -> None:
    assert make_conditions(["blank", "swapped"], [])[1:] == (
        Condition("blank"),
        Condition("swapped"),
    )


def test_the_same_draw_for_the_same_item_and_seed() -> None:
    rgb = np.full((16, 16, 3), 128, np.uint8)
    noisy = Condition("gaussian", 3)
    first, again = noisy.corrupt_image(rgb, "a", 0), noisy.corrupt_image(rgb, "a", 0)
    assert (first == again).all()
    assert (first != noisy.corrupt_image(rgb, "b", 0)).any()
    assert not Condition("blank").corrupt_image(rgb, "a", 0).any()


def test_the_extended_suite_stands_for_its_noises() -> None:
    found = make_conditions(["extended"], [3])
    assert len(found) == 1 + len(EXTENDED_IMAGE) + len(EXTENDED_TEXT)  # clean comes with them
