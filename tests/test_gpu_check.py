"""`benchmarks/gpu_check.py` at tiny size on the CPU, and what its page says of less."""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from tests.conftest import REPOSITORY
from tests.vision.acquisition_stand_in import CLASSES, SmoothingAcquisition

sys.path.append(str(REPOSITORY / "benchmarks"))

import gpu.checks  # noqa: E402
import gpu_check  # noqa: E402
from gpu.clock import Clock, OutOfTime  # noqa: E402
from gpu.models import LLAVA, QWEN, Recipe, build, weight_bytes  # noqa: E402
from gpu.page import Measured, make_page  # noqa: E402
from gpu.timing import METHODS, Row  # noqa: E402

CPU = torch.device("cpu")
REFERENCES = 6


def arguments(**changes: Any) -> argparse.Namespace:
    usual = {
        "size": "tiny",
        "device": "cpu",
        "budget": 1000.0,
        "batch": 2,
        "repeats": 1,
        "answer_tokens": 2,
        "references": REFERENCES,
        "seed": 0,
    }
    return argparse.Namespace(**usual | changes)


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_the_whole_check_runs_at_tiny_size(monkeypatch: pytest.MonkeyPatch) -> None:
    stand_in = SmoothingAcquisition()
    few_classes = SimpleNamespace(shipped=lambda: SimpleNamespace(on=lambda _: stand_in))
    monkeypatch.setattr(gpu.checks, "AcquisitionHalf", few_classes)
    found = gpu_check.Check(arguments(), CPU).run()
    assert found.left_out == []
    assert [row.method for row in found.rows] == [*METHODS] * 4  # two models, clean and noisy
    for row in found.rows:
        assert len(row.alone) == len(row.together) == 1
    calls = {(row.model, row.kind, row.method): row.calls[0] for row in found.rows}
    for model in ("LLaVA", "Qwen2.5-VL"):
        assert calls[model, "clean", "none"] == 1  # the answer
        assert calls[model, "clean", "imc"] == 2  # and the scores of the question
        assert calls[model, "noisy", "imc"] > 2
    half = found.half
    assert half is not None and half.finished
    assert sum(map(len, half.seconds.values())) == half.of == len(CLASSES) + 5
    assert [one.alike for one in found.agreements] == [one.asked for one in found.agreements]
    page = make_page(found)
    assert "| LLaVA | clean | none |" in page and "aim" not in page


def test_a_spent_budget_leaves_sections_out_by_name() -> None:
    found = gpu_check.Check(arguments(budget=0.0), CPU).run()
    assert found.rows == [] and len(found.left_out) == 4
    assert "- LLaVA: stopped or left out, its time was spent" in make_page(found)


def test_a_section_that_fails_is_named_and_the_others_run(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def failing(*_: object) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory.")

    for section in ("compare_devices", "build", "time_model_half"):
        monkeypatch.setattr(gpu_check, section, failing)
    monkeypatch.setattr(gpu_check, "draw_inputs", lambda *_: [])
    check = gpu_check.Check(arguments(), CPU)
    found = check.run()
    assert check.failed and len(found.left_out) == 4
    assert "- Qwen2.5-VL: failed (OutOfMemoryError)" in make_page(found)
    assert "CUDA out of memory." in capsys.readouterr().err


def test_what_was_measured_is_shown_where_the_rest_is_missing() -> None:
    rows = [Row("LLaVA", "clean", method) for method in METHODS]
    rows[0].alone, rows[3].alone = [1.0, 2.0, 9.0], [2.0, 2.2, 2.4]
    page = make_page(Measured({"card": "none"}, batch=32, rows=rows))
    assert "| LLaVA | clean | imc | 2200 | 1.10 | - | - | - | - | - |" in page
    assert "- LLaVA, clean: 1.10 × none; aim 1.05 ×: not reached." in page


@pytest.mark.skipif(not hasattr(__import__("signal"), "setitimer"), reason="no alarms here")
def test_work_under_way_is_stopped_when_its_share_is_spent() -> None:
    clock = Clock(1.0)
    with pytest.raises(OutOfTime), clock.stopping(0.05):
        while True:
            time.sleep(0.01)


@pytest.mark.parametrize(("recipe", "billions"), [(LLAVA, 7.06), (QWEN, 8.29)])
def test_the_models_have_the_size_of_those_they_stand_for(
    recipe: Recipe, billions: float
) -> None:
    model, _ = build(recipe, "7b", torch.device("meta"), 0)
    assert sum(one.numel() for one in model.parameters()) / 1e9 == pytest.approx(billions, abs=0.01)
    assert weight_bytes(model) / 1e9 == pytest.approx(2 * billions, abs=0.02)


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has a GPU")
def test_without_a_gpu_one_line_says_what_can_be_done() -> None:
    command = [sys.executable, "benchmarks/gpu_check.py"]
    ran = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True)
    assert ran.returncode == 1 and ran.stdout == ""
    assert ran.stderr.count("\n") == 1 and "--size tiny --device cpu" in ran.stderr
