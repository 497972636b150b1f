"""Changed model folders and halves: a few of those that `benchmarks/fuzz_models.py` runs."""

from __future__ import annotations

import json
import random
from pathlib import Path

import pytest

from benchmarks.fuzz_models import MEBIBYTES, changed_header, changed_json, fuzz


def test_a_changed_folder_or_half_is_answered_from_or_refused_in_one_line(
    embedded_model: Path,
) -> None:
    outcome = fuzz(10, seed=7)
    assert outcome.faults == []
    assert outcome.cases == outcome.answered + sum(outcome.refused.values()) == 10
    assert outcome.grown <= MEBIBYTES


def test_the_same_seed_changes_the_same() -> None:
    held = {"a": [1, 2, {"b": "c"}], "d": 0.5}
    once, again = (changed_json(held, random.Random(4)) for _ in range(2))
    assert json.dumps(once) == json.dumps(again) != json.dumps(held)
    assert held == {"a": [1, 2, {"b": "c"}], "d": 0.5}


@pytest.mark.parametrize("seed", range(3))
def test_a_changed_header_keeps_the_weights(seed: int, embedded_model: Path) -> None:
    raw = (embedded_model / "prototypes.safetensors").read_bytes()
    made = changed_header(raw, random.Random(seed))
    assert made != raw and made.endswith(raw[-1000:])
