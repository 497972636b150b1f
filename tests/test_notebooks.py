"""The notebooks run from top to bottom, and are kept with the small outputs of such a run."""

from __future__ import annotations

import runpy
from pathlib import Path
from typing import Any

import nbformat
import pytest

from tests.conftest import REPOSITORY

NOTEBOOKS = sorted((REPOSITORY / "notebooks").glob("*.ipynb"))
MOST_BYTES = 300_000
"""Of one notebook with its pictures: what a reviewer still opens as text."""


def outputs(notebook: Any) -> list[list[str]]:
    """The kinds of output of each code cell: `stream`, `display_data`, `execute_result`."""
    return [
        [output.output_type for output in cell.outputs]
        for cell in notebook.cells
        if cell.cell_type == "code"
    ]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_is_kept_with_the_outputs_of_one_run(path: Path) -> None:
    code = [cell for cell in nbformat.read(path, as_version=4).cells if cell.cell_type == "code"]
    assert [cell.execution_count for cell in code] == list(range(1, len(code) + 1))
    kept = [output for cell in code for output in cell.outputs]
    assert not [one for one in kept if one.output_type == "error" or one.get("name") == "stderr"]
    assert sum(bool(cell.outputs) for cell in code) > len(code) // 2


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_kept_outputs_are_small_and_name_no_machine(path: Path) -> None:
    assert path.stat().st_size < MOST_BYTES
    text = path.read_text("utf-8")
    assert str(REPOSITORY) not in text
    assert str(Path.home()) not in text


@pytest.mark.slow
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_runs_and_shows_what_is_kept(path: Path, embedded_model: Path) -> None:
    run = runpy.run_path(str(REPOSITORY / "scripts" / "run_notebooks.py"))["run"]
    assert outputs(run(path)) == outputs(nbformat.read(path, as_version=4))
