"""The second model: a pretrained instruct language model behind the embedded vision tower."""

from __future__ import annotations

from typing import TYPE_CHECKING

from imc_core import lazy_names

if TYPE_CHECKING:
    from imc_reference.pretrained.package import LanguageFile, PretrainedRefused, language_file
    from imc_reference.pretrained.recipe import build, train
    from imc_reference.pretrained.training import AdaptConfig

__all__ = ["AdaptConfig", "LanguageFile", "PretrainedRefused", "build", "language_file", "train"]

__getattr__, __dir__ = lazy_names(
    __name__,
    {
        "imc_reference.pretrained.package": ("LanguageFile", "PretrainedRefused", "language_file"),
        "imc_reference.pretrained.recipe": ("build", "train"),
        "imc_reference.pretrained.training": ("AdaptConfig",),
    },
)
