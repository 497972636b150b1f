"""The rows of one store, arranged for comparison: by condition and method, then by item."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal, NamedTuple, get_args

import numpy as np

from imc_bench.conditions import CONTROLS, Condition
from imc_bench.metrics.bootstrap import ClusterBootstrap, Floats, Resampled
from imc_bench.metrics.scoring import Rule, Score, score_answer
from imc_bench.store.result_store import Store
from imc_bench.store.units import RunProgress
from imc_core.errors import IMCError

BASE = "none"
"""The method that every other is compared with: the model as it is."""

Side = Literal["image", "text", "both", "stacked"]
SIDES: tuple[Side, ...] = get_args(Side)
"""Where noise was put: on one side, on both, or several noises, one after the other, on the image.

The clean condition and the controls are on none of them.
"""


ANSWERS_HELD = 65_536
"""Scores kept while a store is read."""


class ReportRefused(IMCError):
    """A store from which no report can be computed; the message is one line."""


class Response(NamedTuple):
    """What a report needs of one row; `imc_bench.store.schema` says what most fields are."""

    correct: bool
    """By the rule of the report."""
    value: float
    """What that rule averages, 0 to 1."""
    counted: bool
    """False where that rule leaves the answer out of its denominator."""
    image: str
    prediction: str
    confidence: float
    question_noisy: int
    question_edited: int
    question_restored: int
    cer_before: float
    cer_after: float
    protected_violations: int
    touched: int
    perceived_kind: str
    perceived_severity: float
    clean_p_value: float | None
    calls: int
    ms: float


_AS_STORED = Response._fields[3:]


class ItemFacts(NamedTuple):
    """What a report needs of one item."""

    group: str
    answer: str
    closed: bool


CLEAN = Condition()


@dataclass(frozen=True)
class RunResults:
    """One run, read and scored by one rule."""

    path: Path
    rule: Rule
    facts: Mapping[str, Any]
    progress: RunProgress
    dataset: str
    split: str
    noise_at: str
    items: Mapping[str, ItemFacts]
    responses: Mapping[tuple[Condition, str], Mapping[str, Response]]
    left_out: Mapping[str, int]
    """Why items were left out of conditions, and how often."""

    @property
    def methods(self) -> tuple[str, ...]:
        """Every method that has rows, the one to compare with first, then in the run's order."""
        found = dict.fromkeys(method for _, method in self.responses)
        order = [str(name) for name in self.facts["arguments"].get("methods", [])]
        return tuple(
            sorted(
                found,
                key=lambda name: (
                    name != BASE,
                    order.index(name) if name in order else len(order),
                    name,
                ),
            )
        )

    @property
    def conditions(self) -> tuple[Condition, ...]:
        """Every condition that has rows: clean, the sides in their order, then the controls."""
        places = {name: place for place, name in enumerate(("clean", *SIDES, "control"))}
        return tuple(
            sorted(
                dict.fromkeys(condition for condition, _ in self.responses),
                key=lambda one: (
                    places[side_of(one)],
                    one.image_noise,
                    one.text_noise,
                    one.image_severity,
                    one.text_severity,
                ),
            )
        )

    @property
    def images(self) -> frozenset[str]:
        """The names of every image that was shown as it is."""
        return frozenset(row.image for row in self.responses[CLEAN, BASE].values())

    def on(self, side: Side) -> tuple[Condition, ...]:
        """The noisy conditions of one side."""
        return tuple(one for one in self.conditions if side_of(one) == side)

    def common(self, cells: Iterable[tuple[Condition, str]]) -> list[str]:
        """The items that every one of these cells holds, in order: what may be paired."""
        held = [self.responses.get(cell, {}).keys() for cell in cells]
        return sorted(set(held[0]).intersection(*held[1:])) if held else []

    def groups(self, items: Sequence[str]) -> list[str]:
        """The bootstrap cluster of each."""
        return [self.items[item].group for item in items]

    def right(self, condition: Condition, method: str, items: Sequence[str]) -> Floats:
        """1 where the answer is right by the rule, else 0; (items,)."""
        return self.numbers("correct", condition, method, items)

    def accuracy(
        self, draws: ClusterBootstrap, condition: Condition, method: str, items: Sequence[str]
    ) -> Resampled:
        """Accuracy of a cell by the rule, over `items`, whose clusters `draws` resamples."""
        return draws.rate(
            self.numbers("value", condition, method, items),
            self.numbers("counted", condition, method, items),
        )

    def numbers(
        self, field: str, condition: Condition, method: str, items: Sequence[str]
    ) -> Floats:
        """One field of a cell's rows, (items,)."""
        rows = self.responses[condition, method]
        return np.array([getattr(rows[item], field) for item in items], dtype=np.float64)

    def answers(self, condition: Condition, method: str, items: Sequence[str]) -> list[str]:
        """The model's answer to each."""
        rows = self.responses[condition, method]
        return [rows[item].prediction for item in items]


def side_of(condition: Condition) -> Literal["clean", "control"] | Side:
    """Where the noise of a condition is."""
    if condition.image_noise in CONTROLS:
        return "control"
    if condition.image_noise and condition.text_noise:
        return "both"
    if condition.image_noise:
        return "stacked" if len(condition.image_noises) > 1 else "image"
    return "text" if condition.text_noise else "clean"


def kind_of(condition: Condition) -> str:
    """The noise without its severity; two joined by `+`, as `imc bench run --noises` takes them."""
    return "+".join(name for name in (condition.image_noise, condition.text_noise) if name)


def severity_of(condition: Condition) -> float:
    """The severity; joined noises share one. 0 for clean and controls."""
    return float(condition.image_severity or condition.text_severity)


def full_grid(conditions: Iterable[Condition]) -> list[list[Condition]]:
    """Conditions of one side as (kinds, severities), those severities that every kind has."""
    by_kind: dict[str, dict[float, Condition]] = defaultdict(dict)
    for condition in conditions:
        by_kind[kind_of(condition)][severity_of(condition)] = condition
    if not by_kind:
        return []
    shared = sorted(set.intersection(*(set(levels) for levels in by_kind.values())))
    return [[levels[level] for level in shared] for levels in by_kind.values()] if shared else []


def read_results(path: Path, rule: Rule = "strict") -> RunResults:
    """Read a store; of an unfinished run, the rows that are there.

    The stored answers are scored anew: a store of an earlier rule needs no new run.

    Raises StoreRefused where it is none, ReportRefused where it lacks clean answers of `none`.
    """
    responses: dict[tuple[Condition, str], dict[str, Response]] = {}
    items: dict[str, ItemFacts] = {}
    named: set[tuple[str, str, str]] = set()
    with Store.read(path) as store:
        facts, progress = store.facts(), store.progress()
        left_out = Counter(str(one["why"]) for one in store.skipped())
        for row in store.rows():
            condition = Condition(
                row["image_noise"], row["image_severity"], row["text_noise"], row["text_severity"]
            )
            cell = responses.setdefault((condition, row["method"]), {})
            cell[row["item_id"]] = Response(
                *_scored(rule, row), *(row[name] for name in _AS_STORED)
            )
            if row["item_id"] not in items:
                items[row["item_id"]] = ItemFacts(
                    str(row["image_group"]), str(row["answer"]), bool(row["closed"])
                )
            named.add((row["dataset"], row["split"], row["noise_at"]))
    if not named:
        raise ReportRefused(f"{path}: holds no rows yet; let imc bench run finish a piece first")
    if not responses.get((CLEAN, BASE)):
        raise ReportRefused(
            f"{path}: has no clean answers of method {BASE!r}, with which all is compared; "
            f"run again with {BASE} among --methods"
        )
    dataset, split, noise_at = sorted(named)[0]
    return RunResults(
        path, rule, facts, progress, dataset, split, noise_at, items, responses, left_out
    )


def _scored(rule: Rule, row: Mapping[str, Any]) -> tuple[bool, float, bool]:
    """The first three fields of `Response`."""
    made = _score(rule, row["prediction"], row["answer"], bool(row["closed"]))
    return made.correct, made.value, made.counted


@lru_cache(maxsize=ANSWERS_HELD)
def _score(rule: Rule, predicted: str, expected: str, closed: bool) -> Score:
    """Cached: the same few answers recur under every condition."""
    return score_answer(rule, predicted, expected, closed)
