"""`imc perceive`: which noise is in an image, without a question."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from imc_app.commands.monitor import Watch
from imc_app.commands.monitor import monitor as watch_for_drift
from imc_app.commands.monitor_sources import Order
from imc_app.options import AsJson, Frame, ModelOption, PrototypesOption
from imc_app.refusals import InputRefused, is_refusal, one_line

MONITORS = ("order", "window", "false_alarms", "run_length", "fail_on_alarm", "plot")
"""Parameters that say nothing without --monitor."""


def perceive(
    context: typer.Context,
    images: Annotated[
        list[str],
        typer.Argument(
            metavar="IMAGE...",
            help="Image files; with --monitor also folders, searched in depth, or - alone: a path "
            "per line from stdin.",
        ),
    ],
    model: ModelOption = None,
    prototypes: PrototypesOption = None,
    frame: Frame = None,
    as_json: AsJson = False,
    monitor: Annotated[
        bool,
        typer.Option(
            "--monitor",
            help="Watch a stream for drift: a line of JSON per image, and a summary at the end.",
        ),
    ] = False,
    order: Annotated[
        Order, typer.Option("--by", help="Order of the images: by name, or by file time.")
    ] = Order.NAME,
    window: Annotated[
        int, typer.Option("--window", min=1, help="Images over which shares are taken.")
    ] = 50,
    false_alarms: Annotated[
        float,
        typer.Option(
            "--false-alarms",
            metavar="P",
            help="Probability that clean images ever raise the alarm, however many.",
        ),
    ] = 0.01,
    run_length: Annotated[
        int | None,
        typer.Option(
            "--run-length",
            min=2,
            metavar="N",
            help="Promise this instead: at least N clean images on average until a false alarm. "
            "Quicker after long clean running; --false-alarms is then the chance of unlucky "
            "references.",
        ),
    ] = None,
    fail_on_alarm: Annotated[
        bool,
        typer.Option(
            "--fail-on-alarm",
            help="Exit with 3 where the alarm was raised, also where an image was refused.",
        ),
    ] = False,
    plot: Annotated[
        Path | None,
        typer.Option("--plot", metavar="FILE.png", help="Draw evidence and shares over time."),
    ] = None,
) -> None:
    """Name the noise in each image, its severity and how sure that is.

    An image that is refused gets its line on stderr and the others are still answered; the exit
    code is then 2. With --monitor an alarm is raised when images leave the clean band; it changes
    the exit code only with --fail-on-alarm.
    """
    if monitor:
        watch = Watch(order, window, false_alarms, run_length, fail_on_alarm, plot)
        watch_for_drift(images, watch, model=model, prototypes=prototypes, frame=frame)
        return
    _refuse_monitoring(context)
    from imc_app.session import open_calibrator
    from imc_app.show import console, describe_noise
    from vision.reading.medical_image import read_image

    calibrator = open_calibrator(model, prototypes)
    out = console()
    refused = False
    for source in images:
        try:
            image = read_image(source, frame=frame)
            noise = calibrator.perceive(image).model_dump(mode="json")
        except ValueError as error:
            if not is_refusal(error):
                raise
            typer.echo(f"imc: {one_line(str(error))}", err=True)
            refused = True
            continue
        if as_json:
            report = {
                "source": source,
                "sha256": image.sha256,
                "width": image.width,
                "height": image.height,
                "noise": noise,
            }
            typer.echo(json.dumps(report, ensure_ascii=False))
        else:
            out.print(f"{one_line(source)}: ", describe_noise(noise), sep="", markup=False)
    if refused:
        raise typer.Exit(2)


def _refuse_monitoring(context: typer.Context) -> None:
    """An option of the monitor, without it, would silently do nothing."""
    options = {each.name: each.opts[0] for each in context.command.params}
    for name in MONITORS:
        source = context.get_parameter_source(name)
        if source is not None and source.name != "DEFAULT":
            raise InputRefused(f"{options[name]} belongs to --monitor; add it, or leave this out")
