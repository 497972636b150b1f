"""A model half whose domain's restorer is damaged is refused, in one line."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor

from imc_reference import MODEL_DIR
from vision.bank.model_half import ModelHalf
from vision.errors import BankRefused

SHIPPED = MODEL_DIR / "prototypes.safetensors"
Change = Callable[[dict[str, Any], dict[str, Tensor]], object]


def changed(target: Path, change: Change) -> str:
    """What the refusal of the shipped half says after `change` of its description and arrays."""
    with safe_open(SHIPPED, framework="pt") as stored:
        described = json.loads(stored.metadata()["imc"])
    tensors = load_file(SHIPPED)
    change(described, tensors)
    save_file(tensors, target, metadata={"imc": json.dumps(described)})
    with pytest.raises(BankRefused) as refused:
        ModelHalf.load(target, fingerprint=None, acquisition=None)
    assert "\n" not in str(refused.value)
    return str(refused.value)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda described, tensors: described["restored"].pop(), "pixel maps"),
        (
            lambda described, tensors: described["restored"].__setitem__(0, ["gaussian", 9]),
            "not of every class",
        ),
        (lambda described, tensors: described["restored"].reverse(), "not of every class"),
        (lambda described, tensors: described.update(restored=[["gaussian"]]), "restored"),
        (lambda described, tensors: tensors.pop("restorer.maps"), "maps"),
        (lambda described, tensors: tensors["restorer.maps"].fill_(float("nan")), "not finite"),
        (lambda described, tensors: tensors.pop("benefit.harm.line"), "harm.line"),
        (
            lambda described, tensors: tensors.update({"benefit.harm.scale": torch.zeros(3)}),
            "does not fit together",
        ),
        (lambda described, tensors: tensors.pop("content.farthest"), "farthest"),
        (lambda described, tensors: tensors.pop("opinion.most"), "most"),
        (
            lambda described, tensors: tensors.update({"opinion.most": torch.zeros(2, 3)}),
            "second opinions does not fit together",
        ),
    ],
)
def test_a_damaged_domain_is_refused(tmp_path: Path, change: Change, said: str) -> None:
    assert said in changed(tmp_path / "half.safetensors", change)


def test_the_shipped_half_holds_a_restorer_of_the_core_kinds() -> None:
    half = ModelHalf.load(SHIPPED, fingerprint=None, acquisition=None)
    assert half.domain is not None and half.domain.own is not None
    assert len(half.domain.own.restorer.prototypes) == 6
    assert half.domain.own.usual.kinds == tuple(half.domain.own.restorer.prototypes)
