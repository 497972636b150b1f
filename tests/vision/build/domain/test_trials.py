"""Draws that were restored once are labelled by what is left."""

from __future__ import annotations

import numpy as np
import pytest

from vision.build.domain.trials import _left, _of_another_kind

CLASSES = (("clean", 0), ("gaussian", 2), ("gaussian", 4), ("low_contrast", 3))


@pytest.mark.parametrize(
    ("noises", "corrected", "left"),
    [
        ([1], "gaussian 3", 0),
        ([1], "", 1),
        ([1, 3], "gaussian 2", 3),
        ([1, 3], "low_contrast 4", 1),
        ([1, 3], "", None),
        ([1], "motion 2", None),
        ([1, 3], "motion 2", None),
    ],
)
def test_what_is_left(noises: list[int], corrected: str, left: int | None) -> None:
    assert _left(noises, corrected, CLASSES) == left


def test_a_second_noise_is_of_another_kind() -> None:
    rng = np.random.default_rng(0)
    assert {_of_another_kind(1, CLASSES, rng) for _ in range(20)} == {3}
    assert _of_another_kind(1, CLASSES[:3], rng) == 0
