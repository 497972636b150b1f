"""Run the notebooks from top to bottom and keep their outputs: `python scripts/run_notebooks.py`.

Name some of them to run those alone. Times of runs are left out, so that a second run changes what
differs and nothing else.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import nbformat
from nbclient import NotebookClient

NOTEBOOKS = Path(__file__).parent.parent / "notebooks"
SECONDS = 600
"""For one cell, on a machine that does much else; a whole notebook takes less than a minute of one
free core."""

QUIET = {"PYTHONWARNINGS": "ignore:IProgress not found"}
"""Outside of a browser no progress bar is missed; the warning would name this machine's folders."""


def run(path: Path) -> Any:
    """The notebook with the outputs of a run in its own folder; the file is left as it is.

    Raises nbclient.exceptions.CellExecutionError where a cell fails.
    """
    notebook = nbformat.read(path, as_version=4)
    place = {"metadata": {"path": str(path.parent)}}
    client = NotebookClient(
        notebook,
        timeout=SECONDS,
        kernel_name="python3",
        resources=place,
        record_timing=False,
        coalesce_streams=True,
    )
    client.execute(env={**os.environ, **QUIET})
    notebook.metadata["language_info"] = {"name": "python"}  # without this machine's versions
    for cell in notebook.cells:
        for output in cell.get("outputs", ()):
            output.get("data", {}).pop("image/jpeg", None)  # Pillow shows itself as PNG and JPEG
    return notebook


if __name__ == "__main__":
    named = [Path(name) for name in sys.argv[1:]]
    for path in named or sorted(NOTEBOOKS.glob("*.ipynb")):
        nbformat.write(run(path), path)
        print(f"{path.name}: {path.stat().st_size // 1024} KiB")
