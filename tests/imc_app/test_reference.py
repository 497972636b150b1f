"""`imc reference`: a few steps of training, resumed; and what it refuses."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.conftest import Imc
from tests.imc_app.test_refusals import assert_refused


def test_training_without_data_is_refused(imc: Imc, tmp_path: Path) -> None:
    assert_refused(imc("reference", "train", "--out", tmp_path, "--data", tmp_path), "vqa-rad")


def test_training_needs_to_know_where_the_data_is(
    imc: Imc, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("IMC_DATA", raising=False)
    assert_refused(imc("reference", "train", "--out", tmp_path), "IMC_DATA")


def test_measuring_a_folder_without_a_model_is_refused(imc: Imc, tmp_path: Path) -> None:
    assert_refused(imc("reference", "evaluate", "--model", tmp_path), "no model")


@pytest.mark.slow
def test_evaluation_prints_a_table(
    imc: Imc, embedded_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("IMC_DATA", raising=False)
    ran = imc("reference", "evaluate", "--phantoms", 10)
    assert ran.code == 0
    assert "| phantom | image | modality |" in ran.out
