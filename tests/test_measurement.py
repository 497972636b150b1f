"""What `benchmarks/measurement.py` adds to the bench: conditions of its own, stores by content."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

from graphs.context import IMCContext, load_context
from imc_bench.datasets import load_dataset
from imc_bench.methods import BaselineMethod
from tests.conftest import REPOSITORY

sys.path.append(str(REPOSITORY / "benchmarks"))

from measurement import CalibratedBy, Measurement, NamedCondition, without_data  # noqa: E402

from vision.pdc import Calibrator  # noqa: E402

DARK = NamedCondition("dark 3", corruption=lambda rgb, name: np.zeros_like(rgb))


def make(context: IMCContext, folder: Path, code: str) -> Measurement:
    items = load_dataset("phantom", None, limit=7).items
    groups = {item.image_group: item.image_group for item in items}
    return Measurement(context, items, folder, code, groups)


def test_runs_are_kept_by_what_determines_them(embedded_model: Path, tmp_path: Path) -> None:
    context = load_context(embedded_model)
    assert context.calibrator is not None
    encoder, bank = context.calibrator.encoder, context.calibrator.bank
    methods = [
        BaselineMethod(),
        CalibratedBy("one round", lambda condition: Calibrator(encoder, bank, max_rounds=1)),
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


@pytest.mark.parametrize("words", [["--data", "place", "--only", "a"], ["--data=place", "--only"]])
def test_a_page_names_no_folder_of_a_machine(words: list[str]) -> None:
    assert "place" not in without_data(words) and "DATA --only" in without_data(words)
