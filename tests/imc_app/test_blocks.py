"""`imc prototypes build --blocks`: what is said of a tower before hours are spent on its bank."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.conftest import Imc

LAYERS = "model.vision_tower.encoder.layers"


def test_blocks_that_name_nothing_are_refused_with_the_candidates(
    imc: Imc, tiny_llava: Path, clean_images: Path, tmp_path: Path
) -> None:
    out = tmp_path / "bank.safetensors"
    ran = imc(
        *("prototypes", "build", "--model", tiny_llava, "--images", clean_images, "--out", out),
        *("--blocks", "vision.stages"),
    )
    assert ran.code == 2
    assert "'vision.stages'" in ran.err and f"{LAYERS} (3 modules)" in ran.err
    assert list(tmp_path.iterdir()) == []


def test_a_tower_whose_blocks_are_not_found_is_refused_before_the_build(
    imc: Imc,
    tiny_llava: Path,
    clean_images: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def nothing(base: Any) -> None:
        return None

    monkeypatch.setattr("vision.encoder.structure._find_blocks", nothing)
    out = tmp_path / "bank.safetensors"
    ran = imc("prototypes", "build", "--model", tiny_llava, "--images", clean_images, "--out", out)
    assert ran.code == 2
    assert "were not found" in ran.err and f"{LAYERS} (3 modules)" in ran.err
    assert "--blocks NAME" in ran.err and "--blocks none" in ran.err
    assert list(tmp_path.iterdir()) == []
