"""`--protected FILE`: a hospital's own words are read before the model, and kept by the agents."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.conftest import Imc

MISSPELT = "Is there a pleurel effusion?"


@pytest.mark.parametrize(
    "command",
    [
        ("refine", "Is the lung normal?"),
        ("ask", "--example"),
        ("bench", "run", "--dataset", "phantom", "--limit", "1", "--out", "run.sqlite"),
    ],
)
def test_a_wrong_file_is_refused_in_one_line_before_a_model_is_loaded(
    imc: Imc, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: tuple[str, ...]
) -> None:
    monkeypatch.chdir(tmp_path)
    own = tmp_path / "own.yaml"
    own.write_text("categories:\n  drug: {wrods: [apixaban]}\n")
    ran = imc(*command, "--protected", own)
    *notices, refusal = ran.err.splitlines()
    assert ran.code == 2 and "own.yaml, line 2: categories.drug.wrods" in refusal
    assert not any("own.yaml" in notice for notice in notices)
    assert "loading model" not in ran.err and not Path("run.sqlite").exists()


def test_a_protected_word_is_kept(imc: Imc, tmp_path: Path, embedded_model: Path) -> None:
    own = tmp_path / "own.yaml"
    own.write_text("categories: {name: {words: [pleurel]}}\n")
    asked = ("refine", MISSPELT, "--json", "--model", embedded_model)
    assert json.loads(imc(*asked).out)["used"] == "Is there a pleural effusion?"
    assert json.loads(imc(*asked, "--protected", own).out)["used"] == MISSPELT
