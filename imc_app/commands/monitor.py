"""`imc perceive --monitor`: each image's noise as it comes, and an alarm when a scanner drifts."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from imc_app.drift_alarm import action
from imc_app.image_files import Order, image_batches
from imc_app.notices import notice
from imc_app.perceiving import PerceivedFile, RefusedFile, perceive_files
from imc_app.refusals import InputRefused, one_line

if TYPE_CHECKING:
    from vision.monitor import DriftMonitor, DriftStatus
    from vision.pdc import Calibrator

ALARM = 3
"""Exit code of a drift where `--fail-on-alarm` asks for one."""


@dataclass(frozen=True)
class MonitorOptions:
    """The options of `imc perceive --monitor`."""

    order: Order
    window: int
    false_alarms: float
    run_length: int | None
    fail_on_alarm: bool
    plot: Path | None


def monitor(
    sources: Sequence[str],
    options: MonitorOptions,
    open_calibrator: Callable[[], Calibrator],
    *,
    frame: int | None,
) -> None:
    """Print a line of JSON for each image, and a last one with the summary.

    Exits with 3 after an alarm where `options.fail_on_alarm`, else with 2 where an image was
    refused.
    An interrupt ends the stream, and the summary is still printed.
    """
    from imc_app.commands.monitor_plot import Course, check_plot

    if not 0.0 < options.false_alarms < 1.0:
        raise InputRefused(
            f"--false-alarms {options.false_alarms}: give a probability between 0 and 1, as 0.01"
        )
    if options.plot is not None:
        check_plot(options.plot, sources)
    batches = image_batches(sources, options.order)
    calibrator = open_calibrator()
    test = _begin(calibrator, options)
    course = None if options.plot is None else Course()
    refused, interrupted = 0, False
    try:
        for result in perceive_files(batches, lambda: calibrator, frame):
            if isinstance(result, RefusedFile):
                typer.echo(f"imc: {one_line(result.why)}", err=True)
                refused += 1
                continue
            before = test.alarm_at
            status = test.update(result.noise.clean_p_value, result.noise.kind)
            if course is not None:
                course.add(status)
            typer.echo(json.dumps(_document(result, status), ensure_ascii=False))
            if test.alarm_at is not None and before is None:
                notice(f"alarm at image {test.alarm_at}, {result.path}: {action(test)}")
    except KeyboardInterrupt:
        interrupted = True  # the usual end of a stream: its images are summed up all the same
    typer.echo(json.dumps({"summary": _summary(test, calibrator, refused)}))
    if course is not None and options.plot is not None:
        course.draw(options.plot, test, calibrator.bank)
    if interrupted:
        raise typer.Abort()
    if options.fail_on_alarm and test.alarm_at is not None:
        raise typer.Exit(ALARM)
    if refused:
        raise typer.Exit(2)


def _begin(calibrator: Calibrator, options: MonitorOptions) -> DriftMonitor:
    from vision.monitor import DriftMonitor

    return DriftMonitor(
        None if calibrator.bank is None else calibrator.bank.images,
        false_alarms=options.false_alarms,
        run_length=options.run_length,
        window=options.window,
    )


def _document(result: PerceivedFile, status: DriftStatus) -> dict[str, Any]:
    """The line of one image."""
    return {
        "index": status.index,
        "source": str(result.path),
        "sha256": result.sha256,
        "kind": result.noise.kind,
        "severity": result.noise.severity,
        "clean_p_value": result.noise.clean_p_value,
        "evidence": round(status.evidence, 4),
        "alarm": status.alarm,
        "shares": _rounded(status.shares),
    }


def _summary(test: DriftMonitor, calibrator: Calibrator, refused: int) -> dict[str, Any]:
    alarmed = test.alarm_at is not None
    bank = calibrator.bank
    conformal = bank is None or not bank.noise_classifier.p_values_are_approximate
    return {
        "images": test.images,
        "refused": refused,
        "counts": dict(sorted(test.counts.items())),
        "shares": _rounded(
            {kind: count / test.images for kind, count in sorted(test.counts.items())}
        ),
        "alarm": alarmed,
        "alarm_at": test.alarm_at,
        "change_at": test.change_at,
        "kinds_since_change": dict(sorted(test.since_change.items())) if alarmed else None,
        "main_noise_since_change": test.main_noise,
        "largest_evidence": round(test.largest, 4) if test.images else None,
        "alarm_evidence": round(test.threshold, 4),
        "false_alarms": test.false_alarms,
        "run_length": test.run_length,
        "action": action(test) if alarmed else None,
        "references": None if calibrator.bank is None else calibrator.bank.images,
        "promise": _promise(test, conformal=conformal),
    }


def _promise(test: DriftMonitor, *, conformal: bool) -> str:
    """What the test guarantees, and under which conditions."""
    if not conformal:
        return (
            "none: fewer than 200 clean scores in the bank, so its p-values come from a normal "
            "approximation; build it from more images"
        )
    given = (
        "for images that are independent of each other and of the bank's references, and as clean"
    )
    if test.run_length is None:
        return f"the probability of any false alarm is at most {test.false_alarms:g}, {given}"
    return (
        f"at least {test.run_length} images on average until a false alarm, {given}; fails with "
        f"probability {test.false_alarms:g} over the choice of references"
    )


def _rounded(shares: dict[str, float]) -> dict[str, float]:
    return {kind: round(share, 4) for kind, share in shares.items()}
