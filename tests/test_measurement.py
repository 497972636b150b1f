"""What `benchmarks/measurement.py` adds to the bench: conditions of its own, stores by content."""

from __future__ import annotations

import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from graphs.context import IMCContext, load_context
from imc_bench.datasets import load_dataset
from imc_bench.methods import BaselineMethod
from tests.conftest import REPOSITORY

sys.path.append(str(REPOSITORY / "benchmarks"))

from measurement import (  # noqa: E402
    CalibratedBy,
    Measurement,
    NamedCondition,
    features_digest,
    shown_command,
)

from vision.encoder.vision_encoder import EncodedImage  # noqa: E402
from vision.pdc import Calibrator  # noqa: E402

DARK = NamedCondition("dark 3", corruption=lambda rgb, name: np.zeros_like(rgb))


def make(context: IMCContext, folder: Path, code: str) -> Measurement:
    items = load_dataset("phantom", None, limit=7).items
    groups = {item.image_group: item.image_group for item in items}
    return Measurement(context, items, folder, code, groups)


def test_runs_are_kept_by_what_determines_them(embedded_model: Path, tmp_path: Path) -> None:
    context = load_context(embedded_model)
    assert context.calibrator is not None
    encoder, half = context.calibrator.encoder, context.calibrator.model_half
    methods = [
        BaselineMethod(),
        CalibratedBy("one round", lambda condition: Calibrator(encoder, half, max_rounds=1)),
    ]
    measurement = make(context, tmp_path, "first")
    checked = measurement.checked([NamedCondition(), DARK], methods)
    store = measurement.measure("dark & clean", checked)
    assert measurement.is_measured(store) and list(tmp_path.glob("dark-clean-*.sqlite")) == [store]
    clean = measurement.responses(store, "", "none")
    assert measurement.responses(store, "", "one round").answers == clean.answers
    assert len(clean.answers) == len(clean.right) == 7 and clean.touched == 0
    dark = measurement.responses(store, "dark 3", "none")
    assert dark.answers != clean.answers
    other = make(context, tmp_path, "second")
    assert not other.is_measured(other.store("dark & clean", other.checked([DARK], methods)))


@pytest.mark.parametrize(
    "words",
    [
        ["--data", "place", "--out", "place", "--only", "a"],
        ["--data=place", "--half=place", "--work=place", "--only", "a"],
    ],
)
def test_a_page_names_no_folder_of_a_machine(words: list[str]) -> None:
    shown = shown_command(words)
    assert "place" not in shown
    assert shown.startswith("--data DATA") and shown.endswith("--only a")


def test_equal_features_have_one_digest_in_whatever_container() -> None:
    values = torch.arange(12.0).reshape(1, 3, 4)
    assert digest(values) == digest([values[0]]) != digest(values + 1.0)


def digest(projected: torch.Tensor | list[torch.Tensor]) -> str:
    output = SimpleNamespace(pooler_output=projected)
    return features_digest(EncodedImage("name", (1, 3), output))
