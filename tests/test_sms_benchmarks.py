"""The pieces of `benchmarks/sms.py` that could be wrong without a word."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from imc_agents.policy import Policy
from tests.conftest import REPOSITORY

sys.path.append(str(REPOSITORY / "benchmarks"))

import sms  # noqa: E402
from sms_runs import WHOLE, Kept, Refined, corrupt  # noqa: E402


def make_kept(path: Path, measured: list[list[str]], seed: int = 0) -> Kept:
    """Kept questions whose whole answers in capitals, noting what it was asked."""
    context: Any = SimpleNamespace(policy=Policy(seed=seed))
    kept = Kept(path, context, Path("no such model"))

    def whole(asked: Sequence[str]) -> Refined:
        measured.append(list(asked))
        return Refined(list(asked), {WHOLE: [one.upper() for one in asked]}, [1], [], [])

    kept._whole = whole  # type: ignore[method-assign]
    return kept


def test_questions_are_measured_once_for_the_same_model_and_policy(tmp_path: Path) -> None:
    path, measured = tmp_path / "work" / "sms.jsonl", list[list[str]]()
    for _ in range(2):  # within a process, and read back by the next one
        kept = make_kept(path, measured)
        for _ in range(2):
            assert kept("clean", ["mass?"], rows=(WHOLE,)).used[WHOLE] == ["MASS?"]
    assert measured == [["mass?"]]
    make_kept(path, measured, seed=1)("clean", ["mass?"], rows=(WHOLE,))
    assert len(measured) == 2


def test_only_questions_that_the_noise_changes_are_kept() -> None:
    meant, given = corrupt(["Is there a mass in the left lung?", "?"], "typo", 3, 0)
    assert meant == ["Is there a mass in the left lung?"] and given[0] not in {"", meant[0]}


@pytest.mark.parametrize(
    ("false", "count", "shown"),
    [(0, 580, "0.00 (0.00-0.63)"), (6, 6180, "0.10 (0.04-0.21)"), (5, 5, "100.00 (47.82-100.00)")],
)
def test_intervals_are_clopper_and_pearsons(false: int, count: int, shown: str) -> None:
    assert sms._exact(false, count) == shown


def test_the_area_counts_ties_by_half() -> None:
    assert sms.auc([0.0, 1.0], [1.0, 2.0]) == pytest.approx(7 / 8)
