"""Every picture of a report. Needs matplotlib."""

from __future__ import annotations

from imc_bench.report.accuracy_plot import accuracy_plot
from imc_bench.report.cost_plot import cost_plot
from imc_bench.report.matrix_plot import matrix_plot
from imc_bench.report.perception_plots import confusion_plot, severity_plot
from imc_bench.report.picture import Picture
from imc_bench.report.recovery_plot import recovery_plot
from imc_bench.report.reliability_plots import answer_reliability_plot, gate_plot
from imc_bench.report.report import Report


def make_plots(report: Report) -> dict[str, Picture]:
    """Every picture that the run has figures for, by name."""
    drawn: dict[str, Picture | None] = {
        "severity": accuracy_plot(report),
        "recovery": recovery_plot(report),
        "matrix": matrix_plot(report),
        "confusion": confusion_plot(report),
        "severities": severity_plot(report),
        "reliability": answer_reliability_plot(report),
        "gate": gate_plot(report),
        "cost": cost_plot(report),
    }
    return {name: picture for name, picture in drawn.items() if picture is not None}
