"""Every piece of state survives a checkpoint under LANGGRAPH_STRICT_MSGPACK, read at import."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from PIL import Image

from tests.conftest import REPOSITORY

RUN = """
import sqlite3, sys, warnings
warnings.simplefilter("error")
from langgraph.checkpoint.sqlite import SqliteSaver
from graphs.imc import build_imc_graph
from tests.fakes import FakeCalibrator
from tests.graphs.test_imc_graph import TYPO, context_of, thread

image, path = sys.argv[1:]
context = context_of(calibrator=FakeCalibrator("gaussian"))
saver = lambda: SqliteSaver(sqlite3.connect(path, check_same_thread=False))
build_imc_graph(checkpointer=saver()).invoke(
    {"image": image, "question": TYPO}, thread(), context=context
)
again = build_imc_graph(checkpointer=saver())
for snapshot in again.get_state_history(thread()):
    for name, value in snapshot.values.items():
        print(name, type(value).__module__ + "." + type(value).__name__)
        for item in value if isinstance(value, list) else []:
            print(name, "item", type(item).__name__)
"""


def test_state_comes_back_from_a_strict_checkpoint_as_what_it_was(tmp_path: Path) -> None:
    image = tmp_path / "slice.png"
    Image.new("L", (20, 10), 90).save(image)
    environment = {**os.environ, "LANGGRAPH_STRICT_MSGPACK": "true", "PYTHONPATH": str(REPOSITORY)}
    ran = subprocess.run(
        [sys.executable, "-c", RUN, str(image), str(tmp_path / "runs.sqlite")],
        cwd=REPOSITORY,
        env=environment,
        capture_output=True,
        text=True,
        timeout=200,
    )
    assert ran.returncode == 0, ran.stderr[-2000:]
    assert "Deserializing unregistered" not in ran.stderr
    came_back = set(ran.stdout.splitlines())
    assert {
        "assessment imc_agents.state.Assessment",
        "findings item Finding",
        "candidate imc_agents.state.Candidate",
        "verdict imc_agents.state.Verdict",
        "decision imc_agents.state.Decision",
        "perception vision.report.NoisePerception",
        "calibration vision.report.CalibrationReport",
        "answer imc_agents.state.Answer",
        "trace item TraceStep",
    } <= came_back
