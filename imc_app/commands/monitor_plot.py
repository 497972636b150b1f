"""The picture of a monitored stream: evidence and shares over time. Needs matplotlib."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from imc_app.outputs import OutputKind, check_output
from imc_app.refusals import InputRefused
from imc_core.files import replacing

if TYPE_CHECKING:
    from vision.monitor import DriftMonitor, DriftStatus

POINTS = 4096
"""Most images that are drawn: of a longer stream every second is dropped, again and again."""

CLEAN_COLOUR = "#d9d9d9"
COLOURS = "#0072b2 #d55e00 #009e73 #cc79a7 #e69f00 #56b4e9 #a6761d #7570b3 #b2182b #4d4d4d".split()
"""Told apart by colour-blind eyes too (Okabe and Ito's first)."""


def check_plot(out: Path, sources: Sequence[str]) -> None:
    """Refuse before the work, not after: no matplotlib, or nowhere to write."""
    if find_spec("matplotlib") is None:
        raise InputRefused(
            "--plot: needs matplotlib, which is not installed; pip install 'imc-agents[bench]'"
        )
    check_output("--plot", out, OutputKind.PNG, inputs=sources)


class Course:
    """The standings of a stream, thinned so that memory stays bounded."""

    def __init__(self) -> None:
        self.kept: list[DriftStatus] = []
        self.stride = 1

    def add(self, standing: DriftStatus) -> None:
        """Keep it, if its turn has come."""
        if standing.index % self.stride:
            return
        self.kept.append(standing)
        if len(self.kept) > POINTS:
            self.kept = self.kept[::2]
            self.stride *= 2

    def draw(self, out: Path, test: DriftMonitor) -> None:
        """Write the PNG. Raises InputRefused where it cannot be written."""
        from matplotlib.figure import Figure

        from vision.report import CLEAN

        index = [one.index for one in self.kept]
        figure = Figure(figsize=(8.0, 5.2), layout="constrained")
        above, below = figure.subplots(2, 1, sharex=True)
        above.plot(index, [one.evidence for one in self.kept], color="#0072b2", linewidth=1.2)
        above.axhline(test.threshold, color="#b2182b", linestyle="--", label="alarm")
        if test.alarm_at is not None:
            above.axvline(test.alarm_at, color="#b2182b", label=f"raised at {test.alarm_at}")
            above.axvline(
                test.change_at, color="#4d4d4d", linestyle=":", label=f"change at {test.change_at}"
            )
        above.set_ylabel("evidence of drift (log10)")
        above.legend(loc="upper left", frameon=False)
        kinds = sorted(test.counts, key=lambda kind: (kind != CLEAN, kind))
        if index:
            noises = [kind for kind in kinds if kind != CLEAN]
            colours = {kind: COLOURS[i % len(COLOURS)] for i, kind in enumerate(noises)}
            below.stackplot(
                index,
                [[100.0 * one.shares.get(kind, 0.0) for one in self.kept] for kind in kinds],
                labels=kinds,
                colors=[colours.get(kind, CLEAN_COLOUR) for kind in kinds],
            )
            below.legend(loc="center left", bbox_to_anchor=(1.0, 0.5), frameon=False)
        below.set(ylabel="share of the window (%)", xlabel="image", ylim=(0, 100))
        try:
            with replacing(out) as writing:
                figure.savefig(writing, format="png", dpi=120)
        except OSError as error:
            raise InputRefused(f"--plot {out}: cannot be written: {error.strerror}") from error
