"""What the bench refuses, turned into a refusal of the command."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from imc_app.refusals import InputRefused


@contextmanager
def refused() -> Iterator[None]:
    """Raise InputRefused, with its line, for whatever the bench refuses within the block."""
    from imc_bench.conditions import RunRefused
    from imc_bench.errors import StoreRefused
    from imc_bench.report.results import ReportRefused
    from imc_core.plugins import PluginRefused
    from imc_data.errors import DataRefused
    from imc_noise import NoiseRefused

    try:
        yield
    except (
        DataRefused,
        NoiseRefused,
        PluginRefused,
        RunRefused,
        StoreRefused,
        ReportRefused,
    ) as error:
        raise InputRefused(str(error)) from error
