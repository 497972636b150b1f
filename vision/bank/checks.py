"""Whether the parts of a bank that was read fit together: found when it is loaded, not when an
image is waiting."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch

from vision.encoder.token_layout import infer_layout
from vision.encoder.token_statistics import token_statistics
from vision.perceive.acquisition_statistics import acquisition_statistics

if TYPE_CHECKING:
    from vision.bank.prototype_bank import PrototypeBank
    from vision.perceive.noise_classifier import Perceiver

_SIDES = (16, 4096)
"""Sides in pixels at which an image may be looked at."""
_REHEARSAL = 32
"""Side of the picture that is rehearsed with."""


def check_fit(bank: PrototypeBank) -> None:
    """Rehearse perception, restoration and distances on an empty picture.

    Raises ValueError, IndexError or RuntimeError where parts do not fit.
    """
    if not _SIDES[0] <= bank.side <= _SIDES[1]:
        raise ValueError(f"side {bank.side} is not between {_SIDES[0]} and {_SIDES[1]}")
    kinds = {kind for kind, _ in bank.perceiver.classes}
    if len(bank.perceiver.classes) < 2 or bank.perceiver.classes[0] != ("clean", 0):
        raise ValueError("its classes do not begin with clean")
    if not set(bank.kinds) <= kinds:
        raise ValueError("it names kinds that it has no class of")
    for perceiver in (bank.perceiver, bank.again):
        if perceiver is not None:
            _check_perceiver(bank, perceiver)
    if bank.restorer is not None:
        weights = torch.full((1, len(bank.restorer.classes)), 1.0)
        bank.restorer(torch.zeros(1, _REHEARSAL, _REHEARSAL), weights)


def _check_perceiver(bank: PrototypeBank, perceiver: Perceiver) -> None:
    ramp = np.linspace(0.0, 1.0, _REHEARSAL)
    sizes = {"pixels": len(acquisition_statistics(np.outer(ramp, ramp)))}
    if bank.perception_tap in bank.maps:
        dim = len(bank.maps[bank.perception_tap].standard.centre)
        sizes["encoder"] = token_statistics(torch.zeros(1, 1, 16, dim), infer_layout(16)).shape[1]
    if "pixels" not in perceiver.reductions or not set(perceiver.reductions) <= set(sizes):
        raise ValueError("it has other witnesses than pixels and a tap that it knows")
    for name, reduction in perceiver.reductions.items():
        if reduction.centre.shape != (sizes[name],):
            raise ValueError(
                f"its {name} witness reads {len(reduction.centre)} statistics, not {sizes[name]}"
            )
    for name, scores in perceiver.clean_scores.items():
        if scores.ndim != 1 or not len(scores):
            raise ValueError(f"it has no clean scores of {name!r}")
    for one in perceiver.perceive({n: np.zeros((1, sizes[n])) for n in perceiver.reductions}):
        if one.weights.shape != (len(perceiver.classes) + 1,):
            raise ValueError("its posteriors are not over its classes")
