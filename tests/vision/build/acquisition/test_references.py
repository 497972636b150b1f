"""References by origin, their folds, and draws that are the same again."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from tests.vision.conftest import scan
from vision.acquisition.scales import SCALES
from vision.build.acquisition.references import (
    FOLDS,
    Drawer,
    OriginReferences,
    chosen_pixels,
    noise_classes,
)
from vision.errors import BankRefused

SIZES = {"a": 9, "b": 2, "c": 5, "d": 4, "e": 3, "f": 7, "g": 1, "h": 6}
CLASSES = (("gaussian", 3), ("low_contrast", 2), ("low_contrast", 4), ("motion", 2))


def files(origin: str, count: int) -> list[Path]:
    return [Path(origin) / f"{number}.png" for number in range(count)]


@pytest.fixture(scope="module")
def dealt() -> OriginReferences:
    return OriginReferences.of({name: files(name, count) for name, count in SIZES.items()})


@pytest.fixture(scope="module")
def drawer(tmp_path_factory: pytest.TempPathFactory) -> Drawer:
    folder = tmp_path_factory.mktemp("origins")
    origins: dict[str, list[Path]] = {}
    for number in range(FOLDS):
        file = folder / f"{number}.png"
        Image.fromarray(scan(number, side=130).rgb[:, :100]).save(file)
        origins[f"origin {number}"] = [file]
    return Drawer(OriginReferences.of(origins).references[0], CLASSES, seed=5)


def test_an_origin_is_in_one_fold_and_folds_are_of_about_one_size(dealt: OriginReferences) -> None:
    for origin in SIZES:
        folds = {one.fold for one in dealt.references if one.origin == origin}
        assert folds == {dealt.fold_of(origin)}
    counts = [sum(one.fold == fold for one in dealt.references) for fold in range(FOLDS)]
    assert sum(counts) == sum(SIZES.values())
    # the largest first, each to the fold with the fewest: 9, 7, 6, 5, 4 + 1, 3 + 2
    assert sorted(counts, reverse=True) == [9, 7, 6, 5, 5, 5]


def test_references_are_numbered_in_order_whatever_the_order_of_origins(
    dealt: OriginReferences,
) -> None:
    turned = {name: files(name, count) for name, count in reversed(SIZES.items())}
    assert OriginReferences.of(turned) == dealt
    assert [one.number for one in dealt.references] == list(range(len(dealt.references)))


def test_fewer_origins_than_folds_are_refused() -> None:
    with pytest.raises(BankRefused, match=f"at least {FOLDS} origins.* got 5: add clean images"):
        OriginReferences.of({name: files(name, 3) for name in "abcde"})


def test_an_unknown_origin_has_no_fold(dealt: OriginReferences) -> None:
    with pytest.raises(KeyError):
        dealt.fold_of("nowhere")


def test_core_kinds_have_all_severities_and_others_two() -> None:
    classes = noise_classes(core=("gaussian",), more=("jpeg", "gaussian"))
    assert classes == (*((("gaussian", s)) for s in range(1, 7)), ("jpeg", 2), ("jpeg", 4))


def test_a_draw_is_the_same_again_and_another_one_differs(drawer: Drawer) -> None:
    again = Drawer(drawer.reference, CLASSES, seed=5)
    other = Drawer(drawer.reference, CLASSES, seed=6)
    one, same = drawer.noisy(3), again.noisy(3)
    assert one.labels == same.labels
    assert torch.equal(one.noisy, same.noisy)
    assert torch.equal(drawer.view(2).noisy, again.view(2).noisy)
    for different in (drawer.noisy(4), other.noisy(3)):
        assert different.noisy.shape != one.noisy.shape or not torch.equal(
            different.noisy, one.noisy
        )


def test_a_noisy_draw_is_its_clean_picture_with_the_noise_of_its_label(drawer: Drawer) -> None:
    for number in range(6):
        draw = drawer.noisy(number)
        assert draw.clean.shape == draw.noisy.shape
        assert 1 <= draw.labels[0] <= len(CLASSES)
        assert float((draw.noisy - draw.clean).abs().max()) > 0.0
        assert 0.0 <= float(draw.noisy.min()) <= float(draw.noisy.max()) <= 1.0


def test_two_noises_are_of_different_kinds(drawer: Drawer) -> None:
    for number in range(12):
        kinds = [CLASSES[label - 1][0] for label in drawer.noisy(number, noises=2).labels]
        assert len(set(kinds)) == 2


def test_views_are_clean_and_a_draw_is_not_enlarged_above_its_picture(drawer: Drawer) -> None:
    sides = []
    for number in range(8):
        view = drawer.view(number)
        assert (view.labels, view.clean is view.noisy) == ((0,), True)
        sides.append(min(drawer.noisy(number).noisy.shape[1:]))
    # a picture of 100 x 130 pixels fits the smallest scale alone, within a sixth of it
    assert all(SCALES[0] / 1.16 <= side <= SCALES[0] * 1.16 for side in sides)


def test_pixels_are_chosen_once_each(drawer: Drawer) -> None:
    draw = drawer.view(0)
    some = chosen_pixels(draw, 50, np.random.default_rng(0))
    assert len(some.unique()) == 50
    pixels = draw.clean.shape[1] * draw.clean.shape[2]
    assert len(chosen_pixels(draw, 10**9, np.random.default_rng(0))) == pixels
