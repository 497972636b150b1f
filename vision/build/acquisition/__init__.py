"""Fits the acquisition half on clean images of many origins, in closed form."""

from __future__ import annotations

from typing import TYPE_CHECKING

from imc_core import lazy_names

if TYPE_CHECKING:
    from vision.build.acquisition.fit import AcquisitionFit
    from vision.build.acquisition.references import OriginReferences

__all__ = ["AcquisitionFit", "OriginReferences"]

__getattr__, __dir__ = lazy_names(
    __name__,
    {
        "vision.build.acquisition.fit": ("AcquisitionFit",),
        "vision.build.acquisition.references": ("OriginReferences",),
    },
)
