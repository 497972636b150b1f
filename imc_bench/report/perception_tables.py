"""The tables of perceived noise: kinds, and severities."""

from __future__ import annotations

from imc_bench.metrics.bootstrap import Estimate
from imc_bench.report.perception import Perception
from imc_bench.report.severity import PREDICTED_SEVERITIES, SeverityConfusion
from imc_bench.report.table import NOT_SHOWN, Table, percent, shown_estimate


def kind_table(found: Perception) -> Table:
    """Kinds of noise put on images, and the kinds perceived."""
    return Table(
        "perception",
        "Kind of image noise, and the kind perceived (images)",
        ("true kind", "images", *found.predicted),
        tuple(
            (kind, str(sum(row)), *(str(count) for count in row))
            for kind, row in zip(found.truth, found.kinds.tolist(), strict=True)
        ),
        f"Kind named correctly: {percent(found.identified)} %, mean over kinds. False alarms on "
        f"clean images: {shown_estimate(found.false_alarms)} %. Noises joined by + were put on "
        f"one after the other.{_absent(found)}",
        terms=("gate", "false alarm"),
    )


def _absent(found: Perception) -> str:
    if found.absent_unknown is None:
        return ""
    return (
        f" PDC does not know {', '.join(found.absent)}: "
        f"{shown_estimate(found.absent_unknown)} % of their images were perceived as unknown."
    )


def severity_table(found: Perception) -> Table:
    """True and perceived severities, kind by kind."""
    return Table(
        "severities",
        "Severity of image noise, and the severity perceived (images)",
        (
            "true kind",
            "true severity",
            "images",
            "called clean",
            "another kind",
            *(f"as {severity}" for severity in PREDICTED_SEVERITIES),
            "exact %",
            "within one %",
        ),
        tuple(row for one in found.severities for row in _rows(one)),
        "Called clean: the noise was missed, nothing is corrected. Exact and within one are of "
        "images whose kind was named correctly, over all severities of a kind, with Wilson's 95 % "
        "interval; a severity between two whole ones cannot be exact.",
        terms=("severity",),
    )


def _rows(one: SeverityConfusion) -> list[tuple[str, ...]]:
    rows = []
    for place, true in enumerate(one.true):
        first = place == 0
        rows.append(
            (
                one.kind,
                f"{true:g}",
                str(one.images[place]),
                str(one.missed[place]),
                str(one.other[place]),
                *map(str, one.counts[place].tolist()),
                _share(one.exact) if first else "",
                _share(one.within_one) if first else "",
            )
        )
    return rows


def _share(estimate: Estimate | None) -> str:
    return NOT_SHOWN if estimate is None else shown_estimate(estimate)
