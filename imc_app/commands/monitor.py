"""`imc perceive --monitor`: each image's noise as it comes, and an alarm when a scanner drifts."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from imc_app.commands.monitor_sources import Order, watched
from imc_app.refusals import InputRefused, is_refusal, one_line

if TYPE_CHECKING:
    from vision.monitor import DriftMonitor, Standing
    from vision.pdc import Calibrator
    from vision.reading.medical_image import MedicalImage
    from vision.report import NoisePerception

ALARM = 3
"""Exit code of a drift where `--fail-on-alarm` asks for one."""

TOGETHER_PIXELS = 32_000_000
"""A batch is perceived early once it holds so many: 16 large radiographs would fill the memory."""


@dataclass(frozen=True)
class Watch:
    """What was asked of the monitor."""

    order: Order
    window: int
    false_alarms: float
    run_length: int | None
    fail_on_alarm: bool
    plot: Path | None


def monitor(
    sources: Sequence[str],
    watch: Watch,
    *,
    model: str | None,
    prototypes: Path | None,
    frame: int | None,
) -> None:
    """Print a line of JSON for each image, and a last one with the summary.

    Exits with 3 after an alarm where `watch.fail_on_alarm`, else with 2 where an image was refused.
    An interrupt ends the stream, and the summary is still printed.
    """
    from imc_app.commands.monitor_plot import Course, check_plot
    from imc_app.session import open_calibrator

    if not 0.0 < watch.false_alarms < 1.0:
        raise InputRefused(
            f"--false-alarms {watch.false_alarms}: give a probability between 0 and 1, as 0.01"
        )
    if watch.plot is not None:
        check_plot(watch.plot, sources)
    batches = watched(sources, watch.order)
    calibrator = open_calibrator(model, prototypes)
    test = _begin(calibrator, watch)
    course = None if watch.plot is None else Course()
    refused, interrupted = 0, False
    try:
        for batch in batches:
            for path, seen in _perceive(calibrator, batch, frame):
                if isinstance(seen, str):
                    typer.echo(f"imc: {one_line(seen)}", err=True)
                    refused += 1
                    continue
                standing = test.update(seen[1].clean_p_value, seen[1].kind)
                if course is not None:
                    course.add(standing)
                typer.echo(json.dumps(_document(path, *seen, standing), ensure_ascii=False))
    except KeyboardInterrupt:
        interrupted = True  # the end of many a stream: what was seen is told all the same
    typer.echo(json.dumps({"summary": _summary(test, calibrator, refused)}))
    if course is not None and watch.plot is not None:
        course.draw(watch.plot, test)
    if interrupted:
        raise typer.Abort()
    if watch.fail_on_alarm and test.alarm_at is not None:
        raise typer.Exit(ALARM)
    if refused:
        raise typer.Exit(2)


def _begin(calibrator: Calibrator, watch: Watch) -> DriftMonitor:
    from vision.errors import BankRefused
    from vision.monitor import DriftMonitor

    if calibrator.bank is None:
        raise BankRefused(
            "monitoring needs a prototype bank: give one with --prototypes, or build it with "
            "`imc prototypes build`"
        )
    return DriftMonitor(
        calibrator.bank.images,
        false_alarms=watch.false_alarms,
        run_length=watch.run_length,
        window=watch.window,
    )


Seen = tuple[str, "NoisePerception"] | str
"""An image's sha256 and its noise, or the line that says why there is none."""


def _perceive(
    calibrator: Calibrator, paths: Sequence[Path], frame: int | None
) -> Iterator[tuple[Path, Seen]]:
    """Perceive the readable images of a batch together; every path comes back, in its order."""
    from vision.reading.medical_image import read_image

    held: list[tuple[Path, MedicalImage | str]] = []
    pixels = 0
    for path in paths:
        try:
            image = read_image(path, frame=frame)
        except ValueError as error:
            held.append((path, _line(error)))
            continue
        held.append((path, image))
        pixels += image.width * image.height
        if pixels >= TOGETHER_PIXELS:
            yield from _perceive_held(calibrator, held)
            held, pixels = [], 0
    yield from _perceive_held(calibrator, held)


def _perceive_held(
    calibrator: Calibrator, held: Sequence[tuple[Path, MedicalImage | str]]
) -> Iterator[tuple[Path, Seen]]:
    images = [image for _, image in held if not isinstance(image, str)]
    try:
        found: list[NoisePerception | str] = (
            list(calibrator.perceive_batch(images)) if images else []
        )
    except ValueError as error:
        _line(error)
        # one image's features are not finite: which one is found by asking for each alone
        found = [_perceive_alone(calibrator, image) for image in images]
    noises = iter(found)
    for path, image in held:
        if isinstance(image, str):
            yield path, image
            continue
        noise = next(noises)
        yield path, f"{path}: {noise}" if isinstance(noise, str) else (image.sha256, noise)


def _perceive_alone(calibrator: Calibrator, image: MedicalImage) -> NoisePerception | str:
    try:
        return calibrator.perceive(image)
    except ValueError as error:
        return _line(error)


def _line(error: ValueError) -> str:
    """What a refusal of an input says; a fault of ours is raised."""
    if not is_refusal(error):
        raise error
    return str(error)


def _document(
    path: Path, sha256: str, noise: NoisePerception, standing: Standing
) -> dict[str, Any]:
    """The line of one image."""
    return {
        "index": standing.index,
        "source": str(path),
        "sha256": sha256,
        "kind": noise.kind,
        "severity": noise.severity,
        "clean_p_value": noise.clean_p_value,
        "evidence": round(standing.evidence, 4),
        "alarm": standing.alarm,
        "shares": _rounded(standing.shares),
    }


def _summary(test: DriftMonitor, calibrator: Calibrator, refused: int) -> dict[str, Any]:
    alarmed = test.alarm_at is not None
    conformal = calibrator.bank is None or not calibrator.bank.perceiver.p_values_are_modelled
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
        "references": None if calibrator.bank is None else calibrator.bank.images,
        "promise": _promise(test, conformal=conformal),
    }


def _promise(test: DriftMonitor, *, conformal: bool) -> str:
    """What the test guarantees, and when."""
    if not conformal:
        return (
            "none: the bank has too few references for conformal p-values; build it from more "
            "images"
        )
    given = "for images independent of each other and of the bank's references, as clean as those"
    if test.run_length is None:
        return f"a false alarm, ever, with probability of at most {test.false_alarms:g}, {given}"
    return (
        f"at least {test.run_length} images on average until a false alarm, but for unlucky "
        f"references (probability {test.false_alarms:g}), {given}"
    )


def _rounded(shares: dict[str, float]) -> dict[str, float]:
    return {kind: round(share, 4) for kind, share in shares.items()}
