"""The page of all figures, and the aims that they are held against."""

from __future__ import annotations

import datetime
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from imc_bench.metrics.bootstrap import Estimate
from imc_bench.report.table import NOT_SHOWN, Table, percent, ratio, shown_estimate
from origins.outcomes import Outcome
from origins.summary import (
    RADIOLOGY,
    Figures,
    clean_touched,
    domain,
    figures,
    worst_outcomes,
)
from vision.report import CLEAN

CLEAN_OVERALL, CLEAN_ORIGIN = 0.015, 0.05
"""Largest share of clean pictures touched, over all and of one origin."""
RESTORED = 0.6
"""Least share of noisy radiographs, CT and MR at severity 3 that is restored."""
MEDIANS = {"gaussian": 0.49, "low_dose": 0.39, "bias_field": 0.27, "low_contrast": 0.05}
"""Largest median of the error left there, by kind: what a bank leaves on its own origins."""
WORSE_SHARE, WORST = 0.05, 1.5
"""Largest share of those restored that became worse, and largest ratio, in any domain."""
HELD = (1, 3, 5)
"""Severities at which the last two hold."""

SHOWN = 8
"""Worst pictures that a page lists."""

FIGURES = (
    "pictures",
    "restored %",
    "declined %",
    "left as clean %",
    "error left: median",
    "95th percentile",
    "worse %",
    "worst",
)


@dataclass(frozen=True)
class Aim:
    """One aim and what was reached."""

    name: str
    wanted: str
    reached: str
    met: bool | None
    """None: not measured."""

    @property
    def verdict(self) -> str:
        """One word for the table."""
        return NOT_SHOWN if self.met is None else "met" if self.met else "missed"


def aims(outcomes: Sequence[Outcome]) -> list[Aim]:
    """The aims for pictures of one size."""
    found = [_clean_overall(outcomes), _clean_by_origin(outcomes)]
    radiology = [one for one in outcomes if domain(one.origin) in RADIOLOGY and one.severity == 3]
    over_kinds = figures(radiology)
    restored = over_kinds.restored if over_kinds else None
    found.append(
        Aim(
            "radiographs, CT and MR at severity 3: restored",
            f"≥ {percent(RESTORED)} %",
            _percent(restored),
            None if restored is None else restored.value >= RESTORED,
        )
    )
    for kind, most in MEDIANS.items():
        of_kind = figures([one for one in radiology if one.kind == kind])
        median = of_kind.median if of_kind else None
        found.append(
            Aim(
                f"there, {kind}: median error left",
                f"≤ {most:.2f}",
                _ratio(median),
                None if median is None else median.value <= most,
            )
        )
    for severity in HELD:
        found += _harm(outcomes, severity)
    return found


def make_page(
    by_side: Mapping[int, Sequence[Outcome]], *, ground: str, command: str, fitted: Sequence[str]
) -> str:
    """Markdown of all sizes: outcomes by the shorter side of their pictures.

    `fitted` are lines that say on what the half was fitted, title first.
    """
    lines = [
        f"# {fitted[0]}",
        "",
        f"{datetime.date.today().isoformat()}, by `{command}`: {ground}.",
        "",
        *fitted[1:],
        "*Error left*: (squared error after + 1) / (before + 1), in",
        "grey levels squared at the size named, of the pictures that were restored. *Worse*: a",
        "ratio above 1.02. *Declined*: noise was found, but no restoration was surely nearer to",
        "the clean picture. *Left as clean*: no noise was found. Intervals are 95 %, bootstrapped",
        "by image within origins; figures of several origins are means over origins, the worst is",
        "the worst of all. A picture smaller than the size named is measured at its own.",
        "",
    ]
    return "\n".join([*lines, *(size_section(some, side) for side, some in by_side.items())])


def size_section(outcomes: Sequence[Outcome], side: int) -> str:
    """Markdown of the pictures of one size."""
    reached = tuple((a.name, a.wanted, a.reached, a.verdict) for a in aims(outcomes))
    tables = [
        Table(f"aims-{side}", "Aims", ("aim", "wanted", "reached", ""), reached, labels=1),
        _clean_and_noisy(outcomes, side),
        _grouped("Kinds and severities", side, outcomes, _kind_and_severity),
        _grouped("Domains and severities", side, outcomes, _domain_and_severity),
        _worst(outcomes, side),
    ]
    return f"## At {side} px\n\n" + "\n".join(table.markdown() for table in tables)


def figure_cells(found: Figures) -> tuple[str, ...]:
    """Cells of `FIGURES`."""
    return (
        str(found.pictures),
        shown_estimate(found.restored),
        percent(found.declined.value),
        percent(found.left_as_clean.value),
        _ratio(found.median),
        _value(found.upper),
        _percent(found.worse),
        NOT_SHOWN if found.worst is None else f"{found.worst:.2f}",
    )


def _clean_overall(outcomes: Sequence[Outcome]) -> Aim:
    touched = clean_touched(outcomes)
    return Aim(
        "clean pictures touched, over all",
        f"≤ {percent(CLEAN_OVERALL)} %",
        _percent(touched),
        None if touched is None else touched.value <= CLEAN_OVERALL,
    )


def _clean_by_origin(outcomes: Sequence[Outcome]) -> Aim:
    shares = {
        origin: touched.value
        for origin in _origins(outcomes)
        if (touched := clean_touched([one for one in outcomes if one.origin == origin]))
    }
    most = max(shares, key=lambda origin: shares[origin], default=None)
    return Aim(
        "clean pictures touched, of any origin",
        f"≤ {percent(CLEAN_ORIGIN)} %",
        NOT_SHOWN if most is None else f"{percent(shares[most])} ({most})",
        None if most is None else shares[most] <= CLEAN_ORIGIN,
    )


def _harm(outcomes: Sequence[Outcome], severity: int) -> list[Aim]:
    """Worse, and worst, in the domain where they are largest."""
    of_domain = {
        name: found
        for name in sorted({domain(one.origin) for one in outcomes})
        if (found := figures(_at(outcomes, severity, name))) and found.worse and found.worst
    }
    where = f"severity {severity}, any domain"
    if not of_domain:
        return [Aim(f"{where}: worse, of those restored", f"≤ {percent(WORSE_SHARE)} %", "-", None)]
    harmed = max(of_domain, key=lambda name: _of(of_domain[name].worse))
    hurt = max(of_domain, key=lambda name: of_domain[name].worst or 0.0)
    share, worst = _of(of_domain[harmed].worse), of_domain[hurt].worst or 0.0
    return [
        Aim(
            f"{where}: worse, of those restored",
            f"≤ {percent(WORSE_SHARE)} %",
            f"{_percent(of_domain[harmed].worse)} ({harmed})",
            share <= WORSE_SHARE,
        ),
        Aim(f"{where}: worst", f"≤ {WORST}", f"{worst:.2f} ({hurt})", worst <= WORST),
    ]


def _clean_and_noisy(outcomes: Sequence[Outcome], side: int) -> Table:
    rows = []
    for origin in _origins(outcomes):
        of_origin = [one for one in outcomes if one.origin == origin]
        found = figures(of_origin)
        images = len({one.image for one in of_origin})
        cells = figure_cells(found) if found else (NOT_SHOWN,) * len(FIGURES)
        rows.append((origin, str(images), _percent(clean_touched(of_origin)), *cells))
    overall = figures(outcomes)
    if overall:
        images = len({(one.origin, one.image) for one in outcomes})
        touched = _percent(clean_touched(outcomes))
        rows.append(("mean over origins", str(images), touched, *figure_cells(overall)))
    columns = ("origin", "images", "clean touched %", *FIGURES)
    note = "Clean pictures touched: Wilson's intervals, the last row over all pictures."
    return Table(f"origins-{side}", "Origins", columns, tuple(rows), note)


def _kind_and_severity(one: Outcome) -> tuple[str, str]:
    return one.kind, str(one.severity) if one.severity else NOT_SHOWN


def _domain_and_severity(one: Outcome) -> tuple[str, str]:
    return domain(one.origin), str(one.severity) if one.severity else NOT_SHOWN


def _grouped(
    title: str, side: int, outcomes: Sequence[Outcome], key: Callable[[Outcome], tuple[str, str]]
) -> Table:
    noisy = [one for one in outcomes if one.kind != CLEAN]
    features = any(one.feature_ratio is not None for one in noisy)
    rows = []
    # a dictionary keeps the order in which they were measured
    for name in dict.fromkeys(map(key, noisy)):
        found = figures([one for one in noisy if key(one) == name])
        if found:
            more = (_ratio(found.features),) if features else ()
            rows.append((*name, *figure_cells(found), *more))
    first = title.split()[0].lower().removesuffix("s")
    columns = (first, "severity", *FIGURES, *(("features: median",) if features else ()))
    return Table(f"{first}-{side}", title, columns, tuple(rows))


def _worst(outcomes: Sequence[Outcome], side: int) -> Table:
    rows = tuple(
        (
            one.origin,
            f"{one.kind} {one.severity or ''}".strip(),
            one.found,
            NOT_SHOWN if one.predicted_share is None else percent(one.predicted_share),
            f"{one.noisy_error:.1f}",
            f"{one.left_error:.1f}",
            f"{one.ratio:.2f}",
        )
        for one in worst_outcomes(outcomes, SHOWN)
    )
    columns = (
        "origin",
        "noise",
        "found",
        "predicted share %",
        "squared error before",
        "after",
        "ratio",
    )
    return Table(f"worst-{side}", "Worst restorations", columns, rows, labels=3)


def _at(outcomes: Sequence[Outcome], severity: int, name: str) -> list[Outcome]:
    return [one for one in outcomes if one.severity == severity and domain(one.origin) == name]


def _origins(outcomes: Sequence[Outcome]) -> list[str]:
    return sorted({one.origin for one in outcomes})


def _of(estimate: Estimate | None) -> float:
    return 0.0 if estimate is None else estimate.value


def _percent(estimate: Estimate | None) -> str:
    return NOT_SHOWN if estimate is None else shown_estimate(estimate)


def _value(estimate: Estimate | None) -> str:
    return NOT_SHOWN if estimate is None else ratio(estimate.value)


def _ratio(estimate: Estimate | None) -> str:
    if estimate is None:
        return NOT_SHOWN
    return f"{estimate.value:.3f} [{ratio(estimate.low)}, {ratio(estimate.high)}]"
