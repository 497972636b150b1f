"""A noise and a method of one's own, measured beside those that are there.

Run from the repository: `.venv/bin/python examples/own_noise_and_method.py`. It puts dust on
phantoms, cleans it off with a small filter (both are in `dust.py`), and prints what that won back.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

from graphs import IMCContext, load_context
from imc_bench import RunRequest, check_request, make_report, make_tables, open_run
from imc_reference import MODEL_DIR

DUST = Path(__file__).with_name("dust.py")


def measure(context: IMCContext, store: Path, *, limit: int) -> str:
    """Measure dust and sweeping on `limit` questions about phantoms; the table, in Markdown."""
    request = RunRequest(
        "phantom",
        noises=("dust",),
        severities=(3,),
        methods=("none", "swept"),
        limit=limit,
        plugins=(DUST,),
    )
    runner, opened = open_run(check_request(request), context, store)
    with opened:
        runner.run(opened)
    return make_tables(make_report(store))[0].markdown()


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        print(measure(load_context(MODEL_DIR), Path(folder) / "dust.db", limit=40))
