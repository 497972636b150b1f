"""The tables of perceived noise: kinds, and severities."""

from __future__ import annotations

from imc_bench.bootstrap import Estimate
from imc_bench.report.perception import Perception
from imc_bench.report.severity import PREDICTED_SEVERITIES, SeverityConfusion
from imc_bench.report.table import NOT_SHOWN, Table, percent, shown_estimate


def kind_table(found: Perception) -> Table:
    """Kinds of noise and what they were taken for."""
    return Table(
        "perception",
        "Noise of images, and what it was taken for (images)",
        ("true kind", *found.predicted),
        tuple(
            (kind, *(str(count) for count in row))
            for kind, row in zip(found.truth, found.kinds.tolist(), strict=True)
        ),
        f"Kind named rightly: {percent(found.identified)} %, mean over kinds. False alarms on "
        f"clean images: {shown_estimate(found.false_alarms)} %. Noises joined by + were "
        f"put on one after the other.{_absent(found)}",
    )


def _absent(found: Perception) -> str:
    if found.absent_unknown is None:
        return ""
    return (
        f" The bank does not hold {', '.join(found.absent)}: "
        f"{shown_estimate(found.absent_unknown)} % of their images were taken for unknown."
    )


def severity_table(found: Perception) -> Table:
    """Severities and what they were taken for, kind by kind."""
    return Table(
        "severities",
        "Severity of image noise, and what it was taken for (images)",
        (
            "true kind",
            "true severity",
            "images",
            "kind named",
            *(f"as {severity}" for severity in PREDICTED_SEVERITIES),
            "exact %",
            "within one %",
        ),
        tuple(row for one in found.severities for row in _rows(one)),
        "Of images whose kind was named rightly. Exact and within one are over all severities of "
        "a kind, with Wilson's 95 % interval; a severity between two whole ones cannot be exact.",
    )


def _rows(one: SeverityConfusion) -> list[tuple[str, ...]]:
    rows = []
    for place, (true, images) in enumerate(zip(one.true, one.images, strict=True)):
        first = place == 0
        counts = one.counts[place].tolist()
        rows.append(
            (
                one.kind,
                f"{true:g}",
                str(images),
                str(sum(counts)),
                *map(str, counts),
                _share(one.exact) if first else "",
                _share(one.within_one) if first else "",
            )
        )
    return rows


def _share(estimate: Estimate | None) -> str:
    return NOT_SHOWN if estimate is None else shown_estimate(estimate)
