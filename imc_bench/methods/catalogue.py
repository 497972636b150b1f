"""Every method by name, those of one's own among them."""

from __future__ import annotations

from collections.abc import Sequence

from imc_bench.conditions import RunRefused
from imc_bench.methods.baselines import Denoised, Rewritten, SpellChecked
from imc_bench.methods.denoisers import median, non_local_means, total_variation, wiener
from imc_bench.methods.mission import IMC, PDC, SMS, BaselineMethod, OneStage
from imc_bench.methods.protocol import Method
from imc_core.plugins import OwnEntries


def registry() -> dict[str, Method]:
    """Every method by name, freshly made."""
    methods: list[Method] = [
        BaselineMethod(),
        PDC(),
        SMS(),
        IMC(),
        Denoised("median", median),
        Denoised("wiener", wiener),
        Denoised("tv", total_variation),
        Denoised("nlm", non_local_means),
        SpellChecked(),
        Rewritten(),
        OneStage("pixels"),
        OneStage("features"),
        *_OWN.values(),
    ]
    return {method.name: method for method in methods}


_OWN: OwnEntries[Method] = OwnEntries()


def register(method: Method) -> None:
    """Add a method of your own, under its name, to this process.

    Raises RunRefused where the name is taken.
    """
    if method.name in registry():
        raise RunRefused(f"there is a method {method.name!r} already; give yours another name")
    _OWN[method.name] = method


def get_methods(names: Sequence[str]) -> list[Method]:
    """The methods of these names, each once, in this order.

    Raises RunRefused for an unknown name, listing the known, and for no name at all.
    """
    known = registry()
    if not names:
        raise RunRefused(f"no method was asked for; choose from: {', '.join(known)}")
    for name in names:
        if name not in known:
            raise RunRefused(f"unknown method {name!r}; choose from: {', '.join(known)}")
    return [known[name] for name in dict.fromkeys(names)]
