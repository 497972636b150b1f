"""A store of three units and one item, whose rows say nothing."""

from __future__ import annotations

from typing import Any

from imc_bench.store.schema import ROW_COLUMNS, Identity, NewRun

IDENTITY = Identity(
    {
        "data_set": "phantom",
        "split": "all",
        "conditions": ["none"],
        "methods": ["none"],
        "noise_at": "input",
        "seed": 0,
    },
    {"imc-agents": "0.1.0"},
    {"name": "m", "fingerprint": "f", "bank": None},
)
NEW = NewRun([("a", "g", "topic", True, "yes", (), None)], units=3, expected=3)


def row(item: str = "a", **changes: Any) -> dict[str, Any]:
    return {
        **dict.fromkeys(ROW_COLUMNS, 0),
        **dict.fromkeys("dataset split image image_group topic prediction answer".split(), "a"),
        "perceived_kind": "",
        "run_key": IDENTITY.run_key,
        "item_id": item,
        "image_noise": "",
        "text_noise": "",
        "noise_at": "input",
        "method": "none",
        "question_asked": None,
        **changes,
    }
