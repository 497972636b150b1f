"""Building a prototype bank: references, noisy draws, fits, results of finished steps."""

from __future__ import annotations

from typing import TYPE_CHECKING

from imc_core import lazy_names

if TYPE_CHECKING:
    from vision.build.draws import MIN_IMAGES, SEVERITY_ABOVE_MAX
    from vision.build.finished_steps import FinishedSteps, remove_steps
    from vision.build.prototypes import MORE_KINDS, bank_classes, build_bank, calibration_taps

__all__ = [
    "MIN_IMAGES",
    "MORE_KINDS",
    "SEVERITY_ABOVE_MAX",
    "FinishedSteps",
    "bank_classes",
    "build_bank",
    "calibration_taps",
    "remove_steps",
]

__getattr__, __dir__ = lazy_names(
    __name__,
    {
        "vision.build.draws": ("MIN_IMAGES", "SEVERITY_ABOVE_MAX"),
        "vision.build.finished_steps": ("FinishedSteps", "remove_steps"),
        "vision.build.prototypes": ("MORE_KINDS", "bank_classes", "build_bank", "calibration_taps"),
    },
)
