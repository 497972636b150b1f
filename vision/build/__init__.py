"""Building either half of PDC: references, noisy draws, fits, results of finished steps."""

from __future__ import annotations

from typing import TYPE_CHECKING

from imc_core import lazy_names

if TYPE_CHECKING:
    from vision.build.draws import MIN_IMAGES
    from vision.build.finished_steps import FinishedSteps, remove_steps
    from vision.build.model_half import build_model_half

__all__ = [
    "MIN_IMAGES",
    "FinishedSteps",
    "build_model_half",
    "remove_steps",
]

__getattr__, __dir__ = lazy_names(
    __name__,
    {
        "vision.build.draws": ("MIN_IMAGES",),
        "vision.build.finished_steps": ("FinishedSteps", "remove_steps",),
        "vision.build.model_half": ("build_model_half",),
    },
)
