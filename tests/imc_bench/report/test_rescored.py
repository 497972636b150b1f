"""Answers are stored, and scored when a report is made."""

from __future__ import annotations

from pathlib import Path

from imc_bench.conditions import Condition
from imc_bench.report.results import CLEAN, read_results
from tests.imc_bench.worked_run import make_store


def test_a_store_of_an_earlier_strict_rule_is_scored_by_todays(tmp_path: Path) -> None:
    noisy = Condition("gaussian", 3)
    once_right = {"prediction": "ER-", "answer": "ER+", "closed": 0, "correct_strict": 1}
    store = make_store(
        tmp_path / "run.db",
        right={(CLEAN, "none"): {0, 1}, (noisy, "none"): {0, 1}},
        change={(noisy, "none", 1): once_right},
    )
    results = read_results(store)
    assert results.right(CLEAN, "none", ["q0", "q1"]).tolist() == [1.0, 1.0]
    assert results.right(noisy, "none", ["q0", "q1"]).tolist() == [1.0, 0.0]
