"""A small store made by hand, whose every figure can be worked out on paper."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from imc_bench.conditions import Condition
from imc_bench.report.results import CLEAN
from imc_bench.store.result_store import Store
from imc_bench.store.schema import Identity, NewRun

ITEMS = 10
TYPO, OCR = Condition("", 0, "typo", 3), Condition("", 0, "ocr", 3)
LOW_DOSE = Condition("low_dose", 3)
BOTH = Condition("low_dose", 3, "typo", 3)
BLANK = Condition("blank")

Right = Mapping[tuple[Condition, str], Sequence[int]]
"""For each cell, the numbers of the items answered rightly; the others say `wrong`."""

# `none` knows 8 of 10 when clean, 4 under typo, 8 under ocr, 6 under low_dose
WORKED: Right = {
    (CLEAN, "none"): range(8),
    (CLEAN, "pdc"): range(8),
    (CLEAN, "sms"): [*range(1, 8), 8],
    (TYPO, "none"): range(4),
    (TYPO, "pdc"): range(4),
    (TYPO, "sms"): [1, 2, 3, 4, 5, 6],
    (OCR, "none"): range(8),
    (OCR, "pdc"): range(8),
    (OCR, "sms"): range(8),
    (LOW_DOSE, "none"): range(6),
    (LOW_DOSE, "pdc"): range(7),
    (LOW_DOSE, "sms"): range(6),
    (BLANK, "none"): [0],
}


def make_store(
    path: Path,
    right: Right = WORKED,
    *,
    seed: int = 0,
    items: int = ITEMS,
    rows_of: range | None = None,
    model: str = "tiny <model>",
    answer: str = "yes",
    change: Mapping[tuple[Condition, str, int], Mapping[str, object]] | None = None,
    command: str = "",
    bad_rows: Sequence[tuple[str, str]] = (),
    kinds: Sequence[str] | None = None,
) -> Path:
    """Two questions an image, so five clusters of ten; only items of `rows_of` have rows."""
    identity = Identity(
        {
            "data_set": "phantom",
            "split": "test",
            "conditions": sorted({str(condition) for condition, _ in right}),
            "methods": ["none", "pdc", "sms", "imc"],
            "noise_at": "input",
            "seed": seed,
        },
        {"imc-agents": "0.1.0"},
        {"name": model, "fingerprint": "f00d", "bank": None, "kinds": kinds},
    )
    new = NewRun(
        [(f"q{n}", f"image-{n // 2}", "organ", True, answer, (), None) for n in range(items)],
        units=1,
        expected=items * len(right),
        command=command,
        bad_rows=bad_rows,
    )
    rows = []
    for (condition, method), known in right.items():
        for n in rows_of or range(items):
            row: dict[str, Any] = {
                "run_key": identity.run_key,
                "dataset": "phantom",
                "split": "test",
                "item_id": f"q{n}",
                "image": f"image-{n // 2}",
                "image_group": f"image-{n // 2}",
                "topic": "organ",
                "closed": 1,
                "image_noise": condition.image_noise,
                "image_severity": condition.image_severity,
                "text_noise": condition.text_noise,
                "text_severity": condition.text_severity,
                "noise_at": "input",
                "method": method,
                "prediction": answer if n in known else "wrong",
                "answer": answer,
                "confidence": 0.75,
                "correct_strict": int(n in known),
                "question_noisy": int(bool(condition.text_noise)),
                "question_edited": 0,
                "question_restored": int(not condition.text_noise),
                "cer_before": 0.0,
                "cer_after": 0.0,
                "protected_violations": 0,
                "touched": 0,
                "perceived_kind": condition.image_noise or "clean",
                "perceived_severity": condition.image_severity,
                "clean_p_value": 0.5,
                "calls": 1,
                "ms": 10.0,
                "question_asked": None,
            }
            row.update((change or {}).get((condition, method, n), {}))
            rows.append(row)
    with Store.open(path, identity, new) as store:
        if rows:
            unit = store.units.claim()
            assert unit is not None
            store.finish(unit, rows)
    return path
