"""The result store: one SQLite file of one run, its tables, and who works on which part of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from imc_core import lazy_names

if TYPE_CHECKING:
    from imc_bench.store.result_store import Store
    from imc_bench.store.schema import Identity, NewRun
    from imc_bench.store.units import RunProgress, Units

__all__ = ["Identity", "NewRun", "RunProgress", "Store", "Units"]

__getattr__, __dir__ = lazy_names(
    __name__,
    {
        "imc_bench.store.result_store": ("Store",),
        "imc_bench.store.schema": ("Identity", "NewRun"),
        "imc_bench.store.units": ("RunProgress", "Units"),
    },
)
