"""The methods that are compared: what each does to the image and to the question.

A method has two sides. Its *image side* turns images into the features the model is shown; its
*text side* turns a question into the one the model is asked. Each side carries a name, and methods
whose side has the same name share its work: `sms` prepares images as `none` does. A new method is
one small class, usually a subclass of `BaselineMethod` that overrides a side, given to `register`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from imc_core import lazy_names

if TYPE_CHECKING:
    from imc_bench.methods.baselines import REWRITE, Denoised, Rewritten, SpellChecked
    from imc_bench.methods.catalogue import get_methods, register, registry
    from imc_bench.methods.mission import IMC, PDC, SMS, BaselineMethod, OneStage, encode
    from imc_bench.methods.protocol import (
        Method,
        PreparedImage,
        PreparedQuestion,
        Side,
        Tools,
        local_chat,
    )

__all__ = [
    "IMC",
    "PDC",
    "REWRITE",
    "SMS",
    "BaselineMethod",
    "Denoised",
    "Method",
    "OneStage",
    "PreparedQuestion",
    "Rewritten",
    "PreparedImage",
    "Side",
    "SpellChecked",
    "Tools",
    "encode",
    "get_methods",
    "local_chat",
    "register",
    "registry",
]

__getattr__, __dir__ = lazy_names(
    __name__,
    {
        "imc_bench.methods.baselines": ("REWRITE", "Denoised", "Rewritten", "SpellChecked"),
        "imc_bench.methods.catalogue": ("get_methods", "register", "registry"),
        "imc_bench.methods.mission": ("IMC", "PDC", "SMS", "BaselineMethod", "OneStage", "encode"),
        "imc_bench.methods.protocol": (
            "Method",
            "PreparedQuestion",
            "PreparedImage",
            "Side",
            "Tools",
            "local_chat",
        ),
    },
)
