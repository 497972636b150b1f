"""`imc graph`: every format, a finished run, and what is refused."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.conftest import Imc
from tests.imc_app.test_refusals import assert_refused

DOCUMENT = {
    "answer": "yes",
    "trace": [
        {"node": "vision", "ms": 41.2, "calls": 0},
        {"node": "coordinator", "ms": 9.0, "calls": 1},
        {"node": "answer", "ms": 3.0, "calls": 1, "note": "no answer: E", "failed": True},
    ],
}


@pytest.fixture
def run_file(tmp_path: Path) -> Path:
    file = tmp_path / "run.json"
    file.write_text(json.dumps(DOCUMENT))
    return file


@pytest.mark.parametrize(
    ("drawing", "begin"), [("mermaid", "---"), ("ascii", " "), ("svg", "<svg"), ("html", "<!DOC")]
)
def test_a_text_format_is_printed(imc: Imc, drawing: str, begin: str) -> None:
    ran = imc("graph", "imc", "--format", drawing)
    assert (ran.code, ran.err) == (0, "")
    assert ran.out.startswith(begin) and "coordinator" in ran.out


def test_a_picture_is_written_and_may_be_replaced(imc: Imc, tmp_path: Path) -> None:
    out = tmp_path / "graph.png"
    for _ in range(2):
        assert imc("graph", "sms", "--format", "png", "--out", out, "--dark").code == 0
    assert out.read_bytes().startswith(b"\x89PNG")


def test_a_finished_run_is_drawn(imc: Imc, run_file: Path) -> None:
    drawn = imc("graph", "--run", run_file, "--format", "ascii").out
    assert "41 ms" in drawn and "FAILED 3.0 ms, 1 call" in drawn and "[verifier]" in drawn
    agents = imc("graph", "sms", "--run", run_file, "--format", "ascii").out
    assert "9.0 ms" in agents and "vision" not in agents


def test_what_cannot_be_drawn_is_refused(imc: Imc, tmp_path: Path, run_file: Path) -> None:
    other = tmp_path / "other.json"
    other.write_text('{"trace": [{"node": "vision"}]}')
    assert_refused(imc("graph", "--run", tmp_path / "none.json"), "no such file")
    assert_refused(imc("graph", "--run", other), "imc ask --json")
    assert_refused(imc("graph", "--format", "png"), "--out")
    assert_refused(imc("graph", "--dark"), "--dark")
    assert_refused(imc("graph", "--run", run_file, "--out", run_file), "read by this command")
    assert_refused(imc("graph", "--format", "svg", "--out", run_file), ".svg")
    other.write_text('{"trace": []}')
    assert_refused(imc("graph", "--run", other), "nothing to draw")
