"""`benchmarks/witnesses.py`: the noise in pictures by each witness, and what is done with them."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

from graphs.context import load_context
from imc_reference.corpus import as_rgb
from imc_reference.phantoms import make_phantom
from tests.conftest import REPOSITORY
from vision.pdc import Calibrator
from vision.reading.medical_image import MedicalImage
from vision.report import NoisePerception

sys.path.append(str(REPOSITORY / "benchmarks"))

from witnesses import PIXELS, Witnesses, corrupted, most_likely  # noqa: E402


def phantom(number: int) -> MedicalImage:
    return MedicalImage.from_rgb(as_rgb(make_phantom(np.random.default_rng(number)).image))


def test_each_witness_classifies_each_picture_as_the_calibrator_does(embedded_model: Path) -> None:
    calibrator = load_context(embedded_model).calibrator
    assert calibrator is not None
    # the pixels' witness knows no references of the model's own domain
    alone = Calibrator(calibrator.encoder)
    witnesses = Witnesses(calibrator, {"pixels": 0.04, "encoder": 0.01, "joint": 0.01})
    images = [phantom(1), corrupted(phantom(2), 2, "low_contrast", 5)]
    found = witnesses.classify(images, restore=True)
    assert set(found.perceived) == set(witnesses.names)
    assert all(len(perceived) == 2 for perceived in found.perceived.values())
    expected = [one.posterior for one in alone.perceive_batch(images)]
    assert [one.posterior for one in found.perceived[PIXELS]] == expected
    done = [len(one.report.rounds) for one in alone.calibrate_batch(images)]
    assert [len(one.rounds) for one in found.restorations] == done


def test_the_likeliest_noise_is_named_whatever_the_probability_of_clean() -> None:
    noise = NoisePerception(
        kind="clean",
        severity=0,
        probability=0.8,
        clean_p_value=0.5,
        posterior={"clean": 0.8, "gaussian": 0.15, "motion": 0.05},
    )
    assert most_likely(noise) == ("gaussian", pytest.approx(0.75))
