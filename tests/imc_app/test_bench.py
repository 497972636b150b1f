"""`imc bench` from the command line."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.conftest import Imc

PHANTOMS = ("bench", "run", "--data-set", "phantom", "--limit", "3", "--noises", "none")


def test_a_run_its_status_and_the_same_command_again(
    imc: Imc, embedded_model: Path, tmp_path: Path
) -> None:
    out = tmp_path / "run.db"
    first = imc(*PHANTOMS, "--methods", "none,symspell", "--out", out)
    assert (first.code, first.err) == (0, "")
    assert "6 of 6 rows, complete" in first.out
    assert imc(*PHANTOMS, "--methods", "none,symspell", "--out", out).out == first.out

    status = json.loads(imc("bench", "status", out, "--json").out)
    assert status["complete"] and status["rows"] == 6
    assert status["arguments"]["methods"] == ["none", "symspell"]
    assert "complete" in imc("bench", "status", out).out

    other = imc(*PHANTOMS, "--methods", "none", "--out", out)
    assert other.code == 2
    assert "was written with methods" in other.err and other.err.count("\n") == 1


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--noises", "fog"), "unknown noise 'fog'"),
        (("--severities", "0"), "from 1 (mild) to 5 (strong)"),
        (("--severities", "three"), "from 1 (mild) to 5 (strong)"),
        (("--methods", "magic"), "unknown method 'magic'"),
        (("--data-set", "atlas"), "unknown data set 'atlas'"),
        (("--data-set", "slake", "--data", "nowhere"), "nowhere"),
    ],
)
def test_bad_input_is_one_line_before_any_model_is_loaded(
    imc: Imc, tmp_path: Path, arguments: tuple[str, ...], said: str
) -> None:
    ran = imc("bench", "run", "--data-set", "phantom", "--out", tmp_path / "run.db", *arguments)
    assert ran.code == 2
    assert said in ran.err and ran.err.count("\n") == 1
    assert not (tmp_path / "run.db").exists()


def test_a_status_of_nothing_is_refused(imc: Imc, tmp_path: Path) -> None:
    ran = imc("bench", "status", tmp_path / "none.db")
    assert ran.code == 2 and "no such store" in ran.err
