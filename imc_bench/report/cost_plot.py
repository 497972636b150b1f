"""What a method gains against the time it takes. Needs matplotlib."""

from __future__ import annotations

from imc_bench.report.picture import Caption, Drawing, Picture
from imc_bench.report.report import Report
from imc_bench.report.results import BASE
from imc_bench.report.style import colour_of, legend_height, marker_of, method_legend
from imc_bench.report.wording import SIDE_WORDS, setting


def cost_plot(report: Report) -> Picture | None:
    """For each side a panel: points over `none` against milliseconds a question."""
    if not report.sides:
        return None
    methods = report.results.methods
    width = 2.9 * len(report.sides) + 0.3
    drawing = Drawing(
        width,
        2.6 + legend_height(width, methods),
        Caption(
            "Accuracy gained over the model as it is, against time for a question",
            f"{setting(report.results)} · measured on {report.results.facts['machine']}",
            _verdict(report),
        ),
    )
    panels = drawing.body.subplots(1, len(report.sides), sharey=True, squeeze=False)[0]
    place_of = {name: place for place, name in enumerate(methods)}
    for panel, (side, summaries) in zip(panels, report.sides.items(), strict=True):
        panel.axhline(0, color="#999999", linewidth=0.7)
        for one in summaries:
            gain, place = 100 * one.gain.value, place_of[one.method]
            panel.errorbar(
                [one.ms],
                [gain],
                yerr=[
                    [max(0.0, gain - 100 * one.gain.low)],
                    [max(0.0, 100 * one.gain.high - gain)],
                ],
                color=colour_of(place),
                marker=marker_of(place),
                markerfacecolor="none" if place % 2 else None,  # open marks show what they cover
                markersize=7,
                capsize=2,
                elinewidth=0.8,
                linestyle="none",
                label=one.method,
            )
        panel.set_title(f"noise on the {SIDE_WORDS[side]}", fontsize=9)
        panel.set_xlim(0, 1.1 * max(one.ms for one in summaries) or 1)
        panel.tick_params(labelsize=8)
        panel.grid(alpha=0.25, linewidth=0.5)
    panels[0].set_ylabel("points over none,\n95 % interval", fontsize=9)
    drawing.body.supxlabel("milliseconds for a question, mean", fontsize=9)
    method_legend(drawing, panels[0], methods)
    return drawing.picture()


def _verdict(report: Report) -> str:
    """On each side, the method that gains most, and what it costs."""
    said = []
    for side, summaries in report.sides.items():
        base = next((one for one in summaries if one.method == BASE), None)
        others = [one for one in summaries if one.method != BASE]
        if base is None or not others:
            continue
        best = max(others, key=lambda one: (one.gain.value, -one.ms))
        place = f"noise on the {SIDE_WORDS[side]}"
        if best.gain.low > 0:
            said.append(
                f"{place}: {best.method} gains {100 * best.gain.value:.1f} points for "
                f"{best.ms - base.ms:+.0f} ms"
            )
        else:
            said.append(f"{place}: no method gains more than chance explains")
    return "; ".join(said or ["Only the model as it is was measured"]).capitalize() + "."
