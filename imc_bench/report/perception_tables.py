"""The tables of what the image side said: kinds of noise, and their severities."""

from __future__ import annotations

from imc_bench.bootstrap import Estimate
from imc_bench.report.perception import Perception
from imc_bench.report.severity import SAID, SeverityConfusion
from imc_bench.report.table import NOT_SHOWN, Table, percent, shown_estimate


def kind_table(seen: Perception) -> Table:
    """Kinds of noise and what they were taken for."""
    return Table(
        "perception",
        "Noise of images, and what it was taken for (images)",
        ("true kind", *seen.said),
        tuple(
            (kind, *(str(count) for count in row))
            for kind, row in zip(seen.truth, seen.kinds.tolist(), strict=True)
        ),
        f"Kind named rightly: {percent(seen.identified)} %, mean over kinds. False alarms on clean "
        f"images: {shown_estimate(seen.false_alarms)} %. Noises joined by + were put on one upon "
        f"the other.{_absent(seen)}",
    )


def _absent(seen: Perception) -> str:
    if seen.absent_unknown is None:
        return ""
    return (
        f" The bank does not hold {', '.join(seen.absent)}: "
        f"{shown_estimate(seen.absent_unknown)} % of their images were taken for unknown."
    )


def severity_table(seen: Perception) -> Table:
    """Severities and what they were taken for, kind by kind."""
    return Table(
        "severities",
        "Severity of image noise, and what it was taken for (images)",
        (
            "true kind",
            "true severity",
            "images",
            "kind named",
            *(f"as {severity}" for severity in SAID),
            "exact %",
            "within one %",
        ),
        tuple(row for one in seen.severities for row in _rows(one)),
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
