"""The picture of a monitored stream: evidence and shares over time. Needs matplotlib."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from imc_app.drift_alarm import action
from imc_app.outputs import OutputKind, check_output
from imc_app.perceivers import Perceiver
from imc_app.refusals import InputRefused
from imc_bench.report.wording import counted
from imc_core.files import replace_file
from vision.report import CLEAN

if TYPE_CHECKING:
    from vision.monitor import DriftMonitor, DriftStatus

POINTS = 4096
"""Most images that are drawn: of a longer stream every second is dropped, again and again."""

CLEAN_COLOUR = "#d9d9d9"
COLOURS = "#0072b2 #d55e00 #009e73 #cc79a7 #e69f00 #56b4e9 #a6761d #7570b3 #b2182b #4d4d4d".split()
"""Distinct for colour-blind readers too (Okabe and Ito's first)."""


def check_plot(out: Path, sources: Sequence[str]) -> None:
    """Refuse before the work, not after: no matplotlib, or nowhere to write."""
    if find_spec("matplotlib") is None:
        raise InputRefused(
            "--plot: needs matplotlib, which is not installed; pip install 'imc-agents[bench]'"
        )
    check_output("--plot", out, OutputKind.PNG, inputs=sources)


class Course:
    """The test's states over a stream, thinned so that memory stays bounded."""

    def __init__(self) -> None:
        self.kept: list[DriftStatus] = []
        self.stride = 1

    def add(self, status: DriftStatus) -> None:
        """Keep it, if its turn has come."""
        if status.index % self.stride:
            return
        self.kept.append(status)
        if len(self.kept) > POINTS:
            self.kept = self.kept[::2]
            self.stride *= 2

    def draw(
        self, out: Path, test: DriftMonitor, perceiver: Perceiver, baseline: int | None
    ) -> None:
        """Write the PNG. Raises InputRefused where it cannot be written."""
        from imc_bench.report.picture import Caption, Drawing

        caption = Caption(
            "Drift monitor: evidence that images are less clean than the references",
            _setting(test, perceiver, baseline),
            verdict(test, baseline=baseline is not None),
        )
        drawing = Drawing(9.0, 5.0, caption)
        above, below = drawing.body.subplots(2, 1, sharex=True)
        index = [one.index for one in self.kept]
        above.plot(index, [one.evidence for one in self.kept], color="#0072b2", label="evidence")
        above.axhline(test.threshold, color="#b2182b", linestyle="--", label="alarm threshold")
        above.axhline(0, color="#999999", linewidth=0.7)
        if test.alarm_at is not None:
            above.axvline(test.alarm_at, color="#b2182b", label=f"alarm at image {test.alarm_at}")
        if test.new_source_at is not None:
            above.axvline(
                test.new_source_at, color="#e69f00", label=f"new source at {test.new_source_at}"
            )
        if test.change_at is not None:
            above.axvline(
                test.change_at,
                color="#4d4d4d",
                linestyle=":",
                label=f"estimated change at {test.change_at}",
            )
        above.set_ylabel("evidence (log10)", fontsize=9)
        above.grid(alpha=0.25, linewidth=0.5)
        kinds = sorted(test.counts, key=lambda kind: (kind != CLEAN, kind))
        noises = [kind for kind in kinds if kind != CLEAN]
        colours = {kind: COLOURS[i % len(COLOURS)] for i, kind in enumerate(noises)}
        if index:
            below.stackplot(
                index,
                [[100.0 * one.shares.get(kind, 0.0) for one in self.kept] for kind in kinds],
                labels=[f"{kind} (n = {test.counts[kind]:,})" for kind in kinds],
                colors=[colours.get(kind, CLEAN_COLOUR) for kind in kinds],
            )
        below.set(ylim=(0, 100), xlim=(0, max(1, test.images - 1)))
        below.set_ylabel(f"% of the last {test.window} images", fontsize=9)
        below.set_xlabel("image, in the order of the stream", fontsize=9)
        for panel in (above, below):
            panel.legend(loc="center left", bbox_to_anchor=(1.0, 0.5), frameon=False, fontsize=8)
            panel.tick_params(labelsize=8)
        try:
            replace_file(out, drawing.picture().png)
        except OSError as error:
            raise InputRefused(f"--plot {out}: cannot be written: {error.strerror}") from error


def _setting(test: DriftMonitor, perceiver: Perceiver, baseline: int | None) -> str:
    """Of what the picture is: images, references, model, window and what the test promises."""
    parts = [f"data: {counted(test.images, 'image')}"]
    if baseline is not None:
        parts.append(f"against {counted(baseline, 'baseline picture')}")
    else:
        parts.append(f"against {counted(perceiver.references, 'clean reference')}")
    parts.append(f"acquisition half {perceiver.acquisition.digest[:12]}")
    parts.append(f"window: {counted(test.window, 'image')}")
    promise = (
        f"probability of a false alarm, ever: at most {test.false_alarms:g}"
        if test.run_length is None
        else f"mean run without a false alarm: at least {counted(test.run_length, 'image')}"
    )
    return " · ".join([*parts, promise])


def verdict(test: DriftMonitor, *, baseline: bool = False) -> str:
    """Whether the images changed, since when, by which noise, and what can be done."""
    if test.images == 0:
        return "No image was readable."
    if test.since_change is None:
        return (
            f"No alarm in {counted(test.images, 'image')}: the evidence is at most "
            f"{test.largest:.1f}, under the threshold of {test.threshold:.1f}."
        )
    found = action(test, baseline=baseline)
    if test.alarm_at is not None:
        return f"Alarm at image {test.alarm_at}: {found}."
    if test.new_source_at is not None:
        return f"New source at image {test.new_source_at}: {found}."
    return f"No decision yet: {found}."
