"""Reliability diagrams as PNG bytes. Needs matplotlib."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from imc_bench.bootstrap import Estimate
from imc_bench.report.maps import png_of
from imc_bench.report.reliability import Gate, Reliability

_CLEAN, _NOISY = "#0072b2", "#d55e00"


def gate_plot(found: Gate) -> bytes:
    """Level of the gate against images called noisy, near 0 and over the whole range."""
    figure = Figure(figsize=(7.4, 3.3), layout="constrained")
    for panel, most in zip(figure.subplots(1, 2), (0.1, 1.0), strict=True):
        panel.plot([0, most], [0, most], color="#999999", linewidth=0.8, label="level")
        for name, colour, shares in (
            ("clean images", _CLEAN, found.clean),
            ("noisy images", _NOISY, found.noisy),
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
        panel.set_ylim(0, 1 if found.noisy else most)
        panel.grid(alpha=0.25, linewidth=0.5)
    handles, labels = panel.get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside upper center", ncols=3, frameon=False)
    figure.supxlabel("level of the gate: p-value of being clean", fontsize=9)
    figure.supylabel("share called noisy, with 95 % interval", fontsize=9)
    return png_of(figure)


def reliability_plot(found: Mapping[str, Reliability]) -> bytes:
    """A panel for each estimator by name: share right and number of cases against confidence."""
    figure = Figure(figsize=(2.9 * len(found) + 0.4, 3.6), layout="constrained")
    panels = figure.subplots(
        2, len(found), sharex=True, squeeze=False, gridspec_kw={"height_ratios": (3, 1)}
    )
    for (name, one), panel, counts in zip(found.items(), *panels, strict=True):
        panel.plot([0, 1], [0, 1], color="#999999", linewidth=0.8)
        confidence = [of.confidence for of in one.bins]
        _with_interval(panel, confidence, [of.right for of in one.bins], _CLEAN, "")
        panel.set_title(f"{name}: ECE {100 * one.error:.1f} %", fontsize=9)
        panel.set_xlim(0, 1)
        panel.set_ylim(0, 1)
        panel.grid(alpha=0.25, linewidth=0.5)
        counts.bar(
            [of.low for of in one.bins],
            [of.right.items for of in one.bins],
            width=[of.high - of.low for of in one.bins],
            align="edge",
            color="#bbbbbb",
            edgecolor="white",
        )
    panels[0, 0].set_ylabel("share right, 95 % interval", fontsize=9)
    panels[1, 0].set_ylabel("cases", fontsize=9)
    figure.supxlabel("predicted probability", fontsize=9)
    return png_of(figure)


def _with_interval(
    panel: Any, at: Sequence[float], shares: Sequence[Estimate], colour: str, name: str
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
        linewidth=1.2,
        elinewidth=0.7,
        capsize=2,
        label=name,
    )
