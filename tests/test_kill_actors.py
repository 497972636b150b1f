"""What `benchmarks/kill_actors.py` counts as lost, double or unlike."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import Any

from tests.conftest import REPOSITORY

sys.path.insert(0, str(REPOSITORY / "benchmarks"))

from kill_actors import descendants, differences, is_worker  # noqa: E402


def rows(*confidences: float | None) -> list[dict[str, Any]]:
    return [
        {"item_id": f"q{number}", "prediction": "yes", "confidence": one}
        for number, one in enumerate(confidences)
    ]


def test_equal_rows_and_rounding_are_no_difference() -> None:
    assert differences(rows(0.5, None), rows(0.5 + 1e-6, None)) == 0


def test_another_answer_a_lost_row_and_a_double_one_are() -> None:
    assert differences(rows(0.5, 0.5), rows(0.5, 0.6)) == 1
    assert differences(rows(0.5), rows(0.5, 0.5)) == 1
    assert differences(rows(0.5, 0.5, 0.5), rows(0.5, 0.5)) == 1
    other = rows(0.5)
    other[0]["prediction"] = "no"
    assert differences(rows(0.5), other) == 1


def test_victims_are_workers_among_the_processes_that_were_started() -> None:
    command = [sys.executable, "-c", "input()", "multiprocessing.spawn"]
    worker = subprocess.Popen(command, stdin=subprocess.PIPE)
    other = subprocess.Popen(command[:3], stdin=subprocess.PIPE)
    try:
        assert {worker.pid, other.pid} <= set(descendants(os.getpid()))
        assert not is_worker(other.pid)
    finally:
        worker.kill()
        other.kill()
        worker.wait()
        other.wait()
