"""A model half that knows a noise of a user's own."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from imc_noise import register_noise
from tests.vision.conftest import scan
from vision.build.model_half import build_model_half
from vision.encoder.vision_encoder import VisionEncoder
from vision.errors import BankRefused

MILD, STRONG = (0.9, 0.8, 0.7, 0.6, 0.5), (0.9, 0.8, 0.7, 0.6, 0.3)


class Stopped(Exception):
    """What stops a build from outside."""


def register_dark(strengths: tuple[float, ...]) -> None:
    register_noise(
        "dark", lambda rgb, factor, rng: (rgb * factor).astype(np.uint8), strengths=strengths
    )


def build(encoder: VisionEncoder, folder: Path) -> None:
    def advance(step: str, done: int, total: int) -> None:
        if step == "class dark 5":
            raise Stopped

    build_model_half(
        encoder,
        [scan(number) for number in range(8)],
        None,
        classes=(("clean", 0), ("dark", 5)),
        fewest=8,
        unfinished=folder,
        progress=advance,
    )


def test_an_unfinished_build_goes_on_with_the_same_noise_alone(
    encoder: VisionEncoder, forget_plugins: Callable[[], None], tmp_path: Path
) -> None:
    register_dark(STRONG)
    with pytest.raises(Stopped):
        build(encoder, tmp_path / "partial")
    forget_plugins()
    register_dark(MILD)
    with pytest.raises(BankRefused, match="other settings"):
        build(encoder, tmp_path / "partial")
    forget_plugins()
    register_dark(STRONG)
    with pytest.raises(Stopped):
        build(encoder, tmp_path / "partial")
