"""What a report says, in sentences computed from its figures."""

from __future__ import annotations

from collections.abc import Sequence

from imc_bench.metrics.bootstrap import LEAST_DROP, Estimate
from imc_bench.report.cells import SideSummary
from imc_bench.report.report import Report
from imc_bench.report.results import BASE
from imc_bench.report.shares import LEAST_COUNT, is_number, shown_flips_removed, shown_recovered
from imc_bench.report.wording import SIDE_WORDS, counted, data_words, joined, model_name


def headline(report: Report) -> str:
    """One sentence: where noise costs most, what the best method recovers, harm to clean inputs."""
    results = report.results
    clean = next(one for one in report.clean if one.method == BASE)
    said = f"{model_name(results.facts)} on {data_words(results)}: "
    sides = _compared(report)
    if not sides:
        return f"{said}{_percent(clean.accuracy)} % of clean inputs are answered correctly."
    base, *others = max(sides, key=lambda one: one[0].drop.value)
    before = base.accuracy.value + base.drop.value
    said += (
        f"noise on the {SIDE_WORDS[base.side]} lowers accuracy from {100 * before:.1f} to "
        f"{_percent(base.accuracy)} %"
        if base.drop.value > 0
        else "noise costs no accuracy"
    )
    if base.drop.value > 0 and others:
        best = _best(others)
        said += (
            f"; {best.method} brings it back to {_percent(best.accuracy)} %"
            if best.gain.low > 0
            else "; no method gains beyond the 95 % interval"
        )
    if others:
        said += f"; {_harm(report)}"
    if len(results.images) < LEAST_COUNT:
        said += f"; under {LEAST_COUNT} images the intervals are not reliable"
    return f"{said}."


def details(report: Report) -> list[str]:
    """A sentence for each place of noise: its cost, and the best method there."""
    return [_side_sentence(one) for one in _compared(report)]


def _compared(report: Report) -> list[Sequence[SideSummary]]:
    """The sides that the model as it is was measured on; it is the first of each."""
    return [one for one in report.sides.values() if one[0].method == BASE]


def _best(summaries: Sequence[SideSummary]) -> SideSummary:
    """The method that gains most; of those that answer the same, the faster one."""
    return max(summaries, key=lambda one: (round(one.gain.value, 9), -one.ms))


def _side_sentence(summaries: Sequence[SideSummary]) -> str:
    base, *others = summaries
    cost = f"{_percent(base.drop)} points" if base.drop.value > 0 else "no accuracy"
    said = f"Noise on the {SIDE_WORDS[base.side]} costs {cost}"
    if base.drop.value < LEAST_DROP:
        said += f" and flips {100 * base.flips:.1f} % of the answers"
    if not others:
        return f"{said}."
    best = _best(others)
    if best.gain.low <= 0:
        return f"{said}; no method gains accuracy beyond the 95 % interval."
    if best.recovered is not None and is_number(shown_recovered(best)):
        share = best.recovered
        parts = [
            f"recovers {100 * share.value:.0f} % of them "
            f"(95 % interval {100 * share.low:.0f} to {100 * share.high:.0f} %)"
        ]
    else:
        parts = [f"gains {_percent(best.gain)} points"]
    if is_number(shown_flips_removed(best)):
        parts.append(f"removes {shown_flips_removed(best)} % of the flipped answers")
    return f"{said}; {best.method} {joined(parts)}."


def _harm(report: Report) -> str:
    """What the methods change on clean inputs."""
    changes = []
    for one in report.clean:
        shares = ((one.touched, "clean image"), (one.false_edits, "clean question"))
        parts = [
            f"{round(share.value * share.items):,} of {counted(share.items, noun)}"
            for share, noun in shares
            if share.value > 0
        ]
        if parts:
            changes.append(f"{one.method} changes {joined(parts)}")
    return "; ".join(changes) or "no clean image and no clean question is changed"


def _percent(estimate: Estimate) -> str:
    return f"{100 * estimate.value + 0.0:.1f}"
