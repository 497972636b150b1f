"""The tables of reliability: probabilities of kinds, and the gate's levels."""

from __future__ import annotations

from collections.abc import Mapping

from imc_bench.report.reliability import Gate, Reliability
from imc_bench.report.table import NOT_SHOWN, Table, percent, shown_estimate


def gate_table(found: Gate) -> Table:
    """Levels of the gate, and what it would call noisy there."""
    noisy = [shown_estimate(one) for one in found.noisy] or [NOT_SHOWN] * len(found.levels)
    return Table(
        "gate",
        "Images called noisy at each level of the p-value for “no noise”",
        ("level %", "clean images called noisy %", "noisy images called noisy %"),
        tuple(
            (f"{100 * level:g}", shown_estimate(clean), shown)
            for level, clean, shown in zip(found.levels, found.clean, noisy, strict=True)
        ),
        "Called noisy at a level: a p-value no higher than it. For images like the "
        "references the first share is no more than the level. Noisy: kinds that PDC knows "
        "and others, at every severity of the run, joined ones too. "
        f"{found.clean[0].items} clean and "
        f"{found.noisy[0].items if found.noisy else 0} noisy images.",
        terms=("gate", "p-value"),
    )


def bin_table(
    name: str, title: str, found: Mapping[str, Reliability], column: str = "estimator"
) -> Table:
    """Bins of confidence, for each entry by name; `column` says what the entries are."""
    return Table(
        name,
        title,
        (column, "confidence %", "cases", "mean confidence %", "right %"),
        tuple(
            (
                name,
                f"{100 * one.low:g}-{100 * one.high:g}",
                str(one.right.items),
                percent(one.confidence),
                shown_estimate(one.right),
            )
            for name, of in found.items()
            for one in of.bins
        ),
        "; ".join(
            f"{name}: {of.cases} cases, expected calibration error {percent(of.error)} %"
            for name, of in found.items()
        )
        + ".",
        terms=("ECE",),
    )
