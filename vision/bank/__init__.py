"""The model half of PDC: the contents of its file, and its checks when it is loaded."""

from __future__ import annotations

from typing import TYPE_CHECKING

from imc_core import lazy_names

if TYPE_CHECKING:
    from vision.bank.model_half import ModelHalf

__all__ = [
    "ModelHalf",
]

__getattr__, __dir__ = lazy_names(
    __name__,
    {
        "vision.bank.model_half": ("ModelHalf",),
    },
)
