"""`imc perceive --monitor`: each image's noise as it comes, and an alarm when a scanner drifts."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from imc_app.baseline import Baseline, read_baseline
from imc_app.drift_alarm import action
from imc_app.image_files import Order, image_batches
from imc_app.notices import notice
from imc_app.perceivers import Perceiver
from imc_app.perceiving import PerceivedFile, RefusedFile, perceive_files
from imc_app.refusals import InputRefused, one_line

if TYPE_CHECKING:
    from vision.monitor import DriftMonitor, DriftStatus

ALARM, NEW_SOURCE = 3, 4
"""Exit codes of a drift and of a new source, where `--fail-on-alarm` and `--fail-on-new-source`
ask for one. A new source has one of its own: whoever is called for a failing scanner is not called
for good pictures of another one."""

_SMALLEST = 1e-300
"""p-values by a normal approximation can be zero in floating point."""


@dataclass(frozen=True)
class MonitorOptions:
    """The options of `imc perceive --monitor`."""

    order: Order
    window: int
    false_alarms: float
    run_length: int | None
    fail_on_alarm: bool
    fail_on_new_source: bool
    plot: Path | None
    baseline: Path | None


class Monitored:
    """A stream under test: against the references, or against a baseline."""

    def __init__(
        self, perceiver: Perceiver, baseline: Baseline | None, options: MonitorOptions
    ) -> None:
        from vision.monitor import DriftMonitor
        from vision.perceive.content import ContentReferences
        from vision.sequential_test import OnlineRanks

        self.perceiver = perceiver
        self.baseline = baseline
        self.repeated = 0
        """Images that are pictures of the baseline."""
        self.content = ContentReferences() if baseline is None else baseline.content
        self.ranks = None if baseline is None else OnlineRanks(baseline.scores)
        self.test: DriftMonitor = DriftMonitor(
            perceiver.references if baseline is None else None,
            false_alarms=options.false_alarms,
            run_length=options.run_length,
            window=options.window,
            content_images=self.content.size if baseline is None else 0,
        )

    def update(self, result: PerceivedFile) -> dict[str, Any]:
        """Test the next image; returns its line."""
        noise, image = result.noise, result.image
        p_value = noise.clean_p_value
        by_baseline = {}
        if self.baseline is not None and self.ranks is not None:
            p_value = self.ranks.p_value(noise.nonconformity)
            by_baseline = {"baseline_p_value": round(p_value, 6)}
            self.repeated += image.sha256 in self.baseline.digests
        content = self.content.p_value(image)
        self.content.add(image)
        status = self.test.update(max(p_value, _SMALLEST), noise.kind, content)
        self.status: DriftStatus = status
        return {
            "index": status.index,
            "source": str(result.path),
            "sha256": image.sha256,
            "kind": noise.kind,
            "severity": noise.severity,
            "clean_p_value": noise.clean_p_value,
            **by_baseline,
            "content_p_value": None if content is None else round(content, 6),
            "evidence": round(status.evidence, 4),
            "alarm": status.alarm,
            "new_source": status.new_source,
            "shares": _rounded(status.shares),
        }

    @property
    def action(self) -> str:
        """What changed, and what can be done about it."""
        return action(self.test, baseline=self.baseline is not None)

    def summary(self, refused: int) -> dict[str, Any]:
        """The last line."""
        test, since = self.test, self.test.since_change
        return {
            "images": test.images,
            "refused": refused,
            "counts": dict(sorted(test.counts.items())),
            "shares": _rounded(
                {kind: count / test.images for kind, count in sorted(test.counts.items())}
            ),
            "alarm": test.alarm_at is not None,
            "alarm_at": test.alarm_at,
            "new_source_at": test.new_source_at,
            "cause": test.cause,
            "change_at": test.change_at,
            "kinds_since_change": None if since is None else dict(sorted(since.kinds.items())),
            "unlike_since_change": since.unlike if since and test.content_is_known else None,
            "main_noise_since_change": test.main_noise,
            "largest_evidence": round(test.largest, 4) if test.images else None,
            "alarm_evidence": round(test.threshold, 4),
            "false_alarms": test.false_alarms,
            "run_length": test.run_length,
            "action": self.action or None,
            "references": self.perceiver.references,
            "baseline": None if self.baseline is None else len(self.baseline.scores),
            "in_baseline": None if self.baseline is None else self.repeated,
            "promise": self._promise(),
        }

    def _promise(self) -> str:
        """What the test guarantees, and under which conditions."""
        test = self.test
        if self.baseline is not None:
            others = "the baseline's pictures"
        elif self.perceiver.p_values_are_approximate:
            return (
                "none: fewer than 200 clean scores, so that p-values come from a normal "
                "approximation; give --baseline"
            )
        else:
            others = "the acquisition half's references, and come from their origins"
        given = f"for images that are independent of each other and of {others}, and as clean"
        if test.run_length is None:
            return (
                "the probability of any alarm or report of a new source is at most "
                f"{test.false_alarms:g}, {given}"
            )
        promise = f"at least {test.run_length} images on average until a false alarm, {given}"
        if self.baseline is not None:
            return promise
        return (
            f"{promise}; fails with probability {test.false_alarms:g} over the choice of references"
        )


def monitor(
    sources: Sequence[str],
    options: MonitorOptions,
    open_perceiver: Callable[[], Perceiver],
    *,
    frame: int | None,
) -> None:
    """Print a line of JSON for each image, and a last one with the summary.

    Exits with 3 after an alarm where `options.fail_on_alarm`, else with 4 after a new source where
    `options.fail_on_new_source`, else with 2 where an image was refused.
    An interrupt ends the stream, and the summary is still printed.
    """
    from imc_app.commands.monitor_plot import Course, check_plot

    if not 0.0 < options.false_alarms < 1.0:
        raise InputRefused(
            f"--false-alarms {options.false_alarms}: give a probability between 0 and 1, as 0.01"
        )
    if options.plot is not None:
        check_plot(options.plot, [*sources, str(options.baseline or "")])
    batches = image_batches(sources, options.order)
    perceiver = open_perceiver()
    baseline = None
    if options.baseline is not None:
        baseline = read_baseline(options.baseline, lambda: perceiver, frame)
    stream = Monitored(perceiver, baseline, options)
    test = stream.test
    course = None if options.plot is None else Course()
    refused, interrupted = 0, False
    try:
        for result in perceive_files(batches, lambda: perceiver, frame):
            if isinstance(result, RefusedFile):
                typer.echo(f"imc: {one_line(result.why)}", err=True)
                refused += 1
                continue
            typer.echo(json.dumps(stream.update(result), ensure_ascii=False))
            if course is not None:
                course.add(stream.status)
            if stream.status.index == test.alarm_at:
                notice(f"alarm at image {test.alarm_at}, {result.path}: {stream.action}")
            elif stream.status.index == test.new_source_at:
                notice(f"new source at image {test.new_source_at}, {result.path}: {stream.action}")
    except KeyboardInterrupt:
        interrupted = True  # the usual end of a stream: its images are summed up all the same
    if test.since_change is not None and test.alarm_at is None and test.new_source_at is None:
        notice(stream.action)
    typer.echo(json.dumps({"summary": stream.summary(refused)}))
    if course is not None and options.plot is not None:
        pictures = None if baseline is None else len(baseline.scores)
        course.draw(options.plot, test, perceiver, pictures)
    if interrupted:
        raise typer.Abort()
    if options.fail_on_alarm and test.alarm_at is not None:
        raise typer.Exit(ALARM)
    if options.fail_on_new_source and test.new_source_at is not None:
        raise typer.Exit(NEW_SOURCE)
    if refused:
        raise typer.Exit(2)


def _rounded(shares: dict[str, float]) -> dict[str, float]:
    return {kind: round(share, 4) for kind, share in shares.items()}
