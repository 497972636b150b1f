"""The prototype bank: the contents of the file, and its checks when it is loaded."""

from __future__ import annotations

from typing import TYPE_CHECKING

from imc_core import lazy_names

if TYPE_CHECKING:
    from vision.bank.prototype_bank import PrototypeBank

__all__ = ["PrototypeBank"]

__getattr__, __dir__ = lazy_names(
    __name__,
    {
        "vision.bank.prototype_bank": ("PrototypeBank",),
    },
)
