"""The acquisition half of PDC: noise classified and corrected from pixels alone, for any model."""

from __future__ import annotations

from typing import TYPE_CHECKING

from imc_core import lazy_names

if TYPE_CHECKING:
    from vision.acquisition.half import AcquisitionHalf
    from vision.acquisition.restoration import Restoration
    from vision.acquisition.trial import Trial

__all__ = ["AcquisitionHalf", "Restoration", "Trial"]

__getattr__, __dir__ = lazy_names(
    __name__,
    {
        "vision.acquisition.half": ("AcquisitionHalf",),
        "vision.acquisition.restoration": ("Restoration",),
        "vision.acquisition.trial": ("Trial",),
    },
)
