"""The registry's names, its refusals, and the generators that never depend on the process."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

from imc_noise import (
    CORE_IMAGE,
    CORE_TEXT,
    EXTENDED_IMAGE,
    EXTENDED_TEXT,
    NOISES,
    UnknownNoise,
    apply_image,
    apply_text,
    get_noise,
    noise_rng,
)
from imc_noise.data_files import read_table
from imc_noise.strengths import NOT_BY_SSIM, strength


def test_the_core_eleven_are_registered_under_their_modality() -> None:
    assert len(set(CORE_IMAGE + CORE_TEXT)) == 11
    assert all(NOISES[name].modality == "image" for name in CORE_IMAGE)
    assert all(NOISES[name].modality == "text" for name in CORE_TEXT)
    assert all(noise.meaning and noise.name == name for name, noise in NOISES.items())


def test_core_and_extended_are_all_there_is_and_share_nothing() -> None:
    every = CORE_IMAGE + CORE_TEXT + EXTENDED_IMAGE + EXTENDED_TEXT
    assert sorted(every) == sorted(NOISES)
    assert len(EXTENDED_IMAGE) == 25
    assert len(EXTENDED_TEXT) == 7
    assert all(NOISES[name].modality == "image" for name in EXTENDED_IMAGE)
    assert all(NOISES[name].modality == "text" for name in EXTENDED_TEXT)


def test_what_hides_is_not_called_recoverable() -> None:
    lost = {name for name, noise in NOISES.items() if not noise.recoverable}
    assert lost >= {"word_drop", "redaction", "stain", "bubble", "black_corner", "undersampling"}
    assert not lost & {"gaussian", "rician", "kspace_spike", "transpose", "abbreviation"}


def test_an_unknown_name_is_refused_with_the_known_ones() -> None:
    with pytest.raises(UnknownNoise, match=r"unknown noise 'rain'; choose one of: gaussian, "):
        get_noise("rain")


def test_a_noise_of_the_other_modality_is_refused() -> None:
    with pytest.raises(UnknownNoise, match="unknown image noise 'typo'"):
        apply_image("typo", np.zeros((2, 2), np.uint8), 1, np.random.default_rng(0))
    with pytest.raises(UnknownNoise, match="unknown text noise 'motion'"):
        apply_text("motion", "is there a mass?", 1, np.random.default_rng(0))


@pytest.mark.parametrize("severity", [0, 0.99, 5.01, 6, -1, float("nan"), float("inf"), True, "3"])
def test_a_severity_off_the_scale_is_refused(severity: float) -> None:
    with pytest.raises(UnknownNoise, match="severity"):
        apply_text("typo", "is there a mass?", severity, np.random.default_rng(0))


def test_generators_depend_on_every_part_and_on_nothing_else() -> None:
    drawn = {
        noise_rng(item, kind, severity, seed).integers(2**62)
        for item in ("a", "b")
        for kind in ("typo", "ocr")
        for severity in (1, 1.5)
        for seed in (0, 1)
    }
    assert len(drawn) == 16
    assert noise_rng("é", "typo", 3).integers(2**62) == noise_rng("é", "typo", 3.0).integers(2**62)


def test_generators_are_the_same_in_another_process() -> None:
    code = "from imc_noise import noise_rng; print(noise_rng('a', 'typo', 3).integers(2**62))"
    there = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    ).stdout
    assert int(there) == noise_rng("a", "typo", 3).integers(2**62)


@pytest.mark.parametrize("name", CORE_IMAGE + EXTENDED_IMAGE)
def test_strengths_grow_with_severity_at_every_calibrated_size(name: str) -> None:
    rows = [row for row in read_table("image_strengths.tsv") if row[0] == name]
    assert len(rows) == 1 if name in NOT_BY_SSIM else len(rows) >= 1
    for row in rows:
        assert (np.diff([float(value) for value in row[2:]]) > 0).all()


@pytest.mark.parametrize("name", CORE_IMAGE + EXTENDED_IMAGE)
def test_strengths_are_interpolated_without_steps(name: str) -> None:
    by_severity = [strength(name, s, (150, 150)) for s in np.linspace(1, 5, 401)]
    by_size = [strength(name, 3.3, (n, n, 3)) for n in range(20, 1200)]
    assert (np.diff(by_severity) > 0).all()
    assert np.abs(np.diff(np.log(by_severity))).max() < 0.02
    assert np.abs(np.diff(np.log(by_size))).max() < 0.02
