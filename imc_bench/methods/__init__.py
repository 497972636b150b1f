"""The methods that are compared: what each does to the image and to the question.

A method has two sides. Its *sight* turns images into the features the model is shown; its
*reading* turns a question into the one the model is asked. Each side carries a name, and methods
whose side has the same name share its work: `sms` sees what `none` sees. A new method is one small
class, usually a subclass of `BaselineMethod` that overrides one side, given to `register`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from imc_core import lazy_names

if TYPE_CHECKING:
    from imc_bench.methods.baselines import REWRITE, Denoised, Rewritten, Spelled
    from imc_bench.methods.catalogue import get_methods, register, registry
    from imc_bench.methods.mission import IMC, PDC, SMS, BaselineMethod, encode
    from imc_bench.methods.protocol import Method, Read, Seen, Side, Tools, local_chat

__all__ = [
    "IMC",
    "PDC",
    "REWRITE",
    "SMS",
    "BaselineMethod",
    "Denoised",
    "Method",
    "Read",
    "Rewritten",
    "Seen",
    "Side",
    "Spelled",
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
        "imc_bench.methods.baselines": ("REWRITE", "Denoised", "Rewritten", "Spelled"),
        "imc_bench.methods.catalogue": ("get_methods", "register", "registry"),
        "imc_bench.methods.mission": ("IMC", "PDC", "SMS", "BaselineMethod", "encode"),
        "imc_bench.methods.protocol": ("Method", "Read", "Seen", "Side", "Tools", "local_chat"),
    },
)
