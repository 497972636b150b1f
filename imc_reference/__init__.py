"""The embedded default model: phantoms, training recipe, weights, prototype bank and model card."""

from pathlib import Path

MODEL_DIR = Path(__file__).parent / "model"
"""Folder of the trained reference model in plain HuggingFace format."""

BANK_PATH = MODEL_DIR / "prototypes.safetensors"
"""Prototype bank of the reference model, built on real training images."""

CARD_PATH = MODEL_DIR / "README.md"
"""Model card: data, licences, measured results and limits."""

__all__ = ["BANK_PATH", "CARD_PATH", "MODEL_DIR"]
