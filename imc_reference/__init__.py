"""The embedded default model: phantoms, training recipe, weights, model half and model card."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from imc_core import lazy_names

if TYPE_CHECKING:
    from imc_reference.phantoms import MODALITIES, Phantom, make_phantom

__all__ = ["BANK_PATH", "CARD_PATH", "MODALITIES", "MODEL_DIR", "Phantom", "make_phantom"]

MODEL_DIR = Path(__file__).parent / "model"
"""Folder of the trained reference model in plain HuggingFace format."""

BANK_PATH = MODEL_DIR / "prototypes.safetensors"
"""Model half of PDC of the reference model, built on real training images."""

CARD_PATH = MODEL_DIR / "README.md"
"""Model card: data, licences, measured results and limits."""

__getattr__, __dir__ = lazy_names(
    __name__, {"imc_reference.phantoms": ("MODALITIES", "Phantom", "make_phantom")}
)
