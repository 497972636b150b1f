"""Robustness, measured: data sets, methods, metrics, result store, report."""

from __future__ import annotations

from typing import TYPE_CHECKING

from imc_core import lazy_names

if TYPE_CHECKING:
    from imc_bench.compare import compare_runs
    from imc_bench.datasets import DATASETS, load_dataset
    from imc_bench.errors import ScoreRefused, StatisticRefused, StoreRefused
    from imc_bench.methods.baselines import Denoised, Rewritten, SpellChecked
    from imc_bench.methods.catalogue import get_methods, register
    from imc_bench.methods.mission import BaselineMethod
    from imc_bench.methods.protocol import Method
    from imc_bench.metrics.scoring import score_answer
    from imc_bench.report.report import Report, make_report
    from imc_bench.report.tables import make_tables
    from imc_bench.run.session import RunRequest, check_request, open_run
    from imc_bench.store.result_store import Store

__all__ = [
    "DATASETS",
    "BaselineMethod",
    "Denoised",
    "Method",
    "Report",
    "Rewritten",
    "RunRequest",
    "ScoreRefused",
    "SpellChecked",
    "StatisticRefused",
    "Store",
    "StoreRefused",
    "check_request",
    "compare_runs",
    "get_methods",
    "load_dataset",
    "make_report",
    "make_tables",
    "open_run",
    "register",
    "score_answer",
]

__getattr__, __dir__ = lazy_names(
    __name__,
    {
        "imc_bench.compare": ("compare_runs",),
        "imc_bench.datasets": ("DATASETS", "load_dataset"),
        "imc_bench.errors": ("ScoreRefused", "StatisticRefused", "StoreRefused"),
        "imc_bench.methods.baselines": ("Denoised", "Rewritten", "SpellChecked"),
        "imc_bench.methods.catalogue": ("get_methods", "register"),
        "imc_bench.methods.mission": ("BaselineMethod",),
        "imc_bench.methods.protocol": ("Method",),
        "imc_bench.report.report": ("Report", "make_report"),
        "imc_bench.report.tables": ("make_tables",),
        "imc_bench.metrics.scoring": ("score_answer",),
        "imc_bench.run.session": ("RunRequest", "check_request", "open_run"),
        "imc_bench.store.result_store": ("Store",),
    },
)
