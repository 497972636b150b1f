"""Reliability diagrams, and the gate at every level. Needs matplotlib."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from imc_bench.metrics.bootstrap import Estimate
from imc_bench.report.picture import Caption, Drawing, Picture
from imc_bench.report.reliability import BINS, Gate, Reliability
from imc_bench.report.report import Report
from imc_bench.report.shares import LEAST_COUNT
from imc_bench.report.table import percent
from imc_bench.report.wording import setting

_CLEAN, _NOISY = "#0072b2", "#d55e00"


def answer_reliability_plot(report: Report) -> Picture | None:
    """Confidence of the model's answers against their accuracy, on clean and on noisy inputs."""
    if not report.reliability:
        return None
    return reliability_plot(
        report.reliability,
        "Reliability diagram: confidence of an answer against the share that is right",
        setting(report.results),
    )


def reliability_plot(found: Mapping[str, Reliability], title: str, setting: str) -> Picture:
    """A panel for each entry by name: accuracy and number of cases in each bin of confidence.

    On the diagonal a confidence of 80 % is right 8 times in 10; bars under it are overconfident.
    """
    drawing = Drawing(
        2.9 * len(found) + 0.4,
        3.7,
        Caption(
            title,
            f"{setting} · {BINS} bins of confidence, 95 % intervals; grey: under {LEAST_COUNT} "
            "cases",
            _verdict(found),
        ),
    )
    panels = drawing.body.subplots(
        2, len(found), sharex=True, squeeze=False, gridspec_kw={"height_ratios": (3, 1)}
    )
    for (name, one), panel, counts in zip(found.items(), *panels, strict=True):
        left = [of.low for of in one.bins]
        wide = [of.high - of.low for of in one.bins]
        shares = [of.right for of in one.bins]
        bars = ["#dddddd" if of.items < LEAST_COUNT else "#bcd7ea" for of in shares]
        panel.bar(left, [of.value for of in shares], wide, align="edge", color=bars)
        panel.plot([0, 1], [0, 1], color="#777777", linewidth=0.9, linestyle="--")
        for few, colour in ((False, _CLEAN), (True, "#999999")):
            some = [of for of in one.bins if (of.right.items < LEAST_COUNT) == few]
            _with_interval(
                panel, [of.confidence for of in some], [of.right for of in some], colour, "", "none"
            )
        panel.set_title(f"{name}\nECE {100 * one.error:.1f} %, n = {one.cases:,}", fontsize=9)
        panel.set_xlim(0, 1)
        panel.set_ylim(0, 1)
        panel.grid(alpha=0.25, linewidth=0.5)
        counts.bar(left, [of.items for of in shares], wide, align="edge", color="#bbbbbb")
        counts.margins(y=0.3)
        for place, of in zip(left, shares, strict=True):
            counts.text(place + 0.05, of.items, f"{of.items}", ha="center", va="bottom", fontsize=6)
        for axes in (panel, counts):
            axes.tick_params(labelsize=8)
    panels[0, 0].set_ylabel("share right", fontsize=9)
    panels[1, 0].set_ylabel("cases", fontsize=9)
    drawing.body.supxlabel("confidence (mean of the bin); dashed: calibrated", fontsize=9)
    return drawing.picture()


def _verdict(found: Mapping[str, Reliability]) -> str:
    said = []
    for name, one in found.items():
        gap = one.confidence - one.accuracy
        how = "over" if gap > 0 else "under"
        said.append(
            f"{name}: mean confidence {percent(one.confidence)} %, {percent(one.accuracy)} % right"
            + (f" ({100 * abs(gap):.0f} points {how}confident)" if abs(gap) >= 0.05 else "")
        )
    return "; ".join(said) + "."


def gate_plot(report: Report) -> Picture | None:
    """Level of the gate against images called noisy, near 0 and over the whole range."""
    if report.perception is None or report.perception.gate is None:
        return None
    found = report.perception.gate
    drawing = Drawing(
        7.6,
        3.1,
        Caption(
            "Share of images called noisy, at each level of the p-value for “no noise”",
            f"{setting(report.results)} · {found.clean[0].items} clean and "
            f"{found.noisy[0].items if found.noisy else 0:,} noisy images",
            _gate_verdict(found),
        ),
    )
    for panel, most in zip(drawing.body.subplots(1, 2), (0.1, 1.0), strict=True):
        panel.plot([0, most], [0, most], color="#777777", linewidth=0.9, linestyle="--")
        for name, colour, shares in (
            ("noisy images", _NOISY, found.noisy),
            ("clean images", _CLEAN, found.clean),
        ):
            kept = [place for place, level in enumerate(found.levels) if level <= most]
            if shares:
                _with_interval(
                    panel,
                    [found.levels[place] for place in kept],
                    [shares[place] for place in kept],
                    colour,
                    name,
                )
        panel.set_xlim(0, most)
        panel.set_ylim(0, 1.02)
        panel.set_title("levels up to 0.1" if most < 1 else "all levels", fontsize=9)
        panel.tick_params(labelsize=8)
        panel.grid(alpha=0.25, linewidth=0.5)
    handles, labels = panel.get_legend_handles_labels()
    drawing.body.legend(
        handles, labels, loc="outside upper left", ncols=2, frameon=False, fontsize=9
    )
    drawing.body.supxlabel(
        "level: an image with a p-value no higher is called noisy; dashed: share = level",
        fontsize=9,
    )
    drawing.body.supylabel("share called noisy", fontsize=9)
    return drawing.picture()


def _gate_verdict(found: Gate) -> str:
    """Whether the p-values hold on clean images, and what the smallest level finds."""
    above = [
        level
        for level, one in zip(found.levels, found.clean, strict=True)
        if one.low > level and level <= 0.1
    ]
    said = (
        "Up to the level 0.1 the p-values are not valid for these clean images: more of them are "
        f"called noisy than the level {above[0]:g} allows"
        if above
        else "Up to the level 0.1 no more clean images are called noisy than the level allows"
    )
    if found.noisy:
        place = found.levels.index(0.01)
        said += f"; at the level 0.01 {percent(found.noisy[place].value)} % of noisy images are"
    return f"{said}."


def _with_interval(
    panel: Any,
    at: Sequence[float],
    shares: Sequence[Estimate],
    colour: str,
    name: str,
    line: str = "-",
) -> None:
    value = np.array([one.value for one in shares])
    below = value - np.array([one.low for one in shares])
    above = np.array([one.high for one in shares]) - value
    panel.errorbar(
        at,
        value,
        yerr=[np.maximum(below, 0), np.maximum(above, 0)],
        color=colour,
        marker="o",
        markersize=3.5,
        linestyle=line,
        linewidth=1.2,
        elinewidth=0.7,
        capsize=2,
        label=name,
    )
