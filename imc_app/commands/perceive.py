"""`imc perceive`: which noise is in images, without a question."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Annotated

import typer

from imc_app.command import examples
from imc_app.commands.monitor import MonitorOptions
from imc_app.commands.monitor import monitor as monitor_images
from imc_app.image_files import Order, image_batches
from imc_app.model_options import ANYWHERE, Placement, with_placement
from imc_app.notices import notice
from imc_app.options import (
    AcquisitionOption,
    AsJson,
    Frame,
    ModelOption,
    PluginOption,
    PrototypesOption,
    Seed,
)
from imc_app.perceivers import Perceiver
from imc_app.perceiving import PerceivedFile, RefusedFile, perceive_files
from imc_app.refusals import InputRefused, one_line
from imc_app.stages import ALL_STAGES, StagesOption, parse_stages

EXAMPLES = examples(
    "imc perceive scan.dcm",
    "imc perceive radiographs/ --json > noise.jsonl",
    "imc perceive --monitor incoming/ --baseline clean/ --fail-on-alarm",
    "find incoming -newer last-run -type f | imc perceive -",
)
MONITORS = (
    "baseline",
    "order",
    "window",
    "false_alarms",
    "run_length",
    "fail_on_alarm",
    "fail_on_new_source",
    "plot",
)
"""Parameters that say nothing without --monitor."""


@with_placement
def perceive(
    context: typer.Context,
    images: Annotated[
        list[str],
        typer.Argument(
            metavar="IMAGE...",
            help="Image files and folders, which are searched in depth; or - alone: a path per "
            "line from stdin.",
        ),
    ],
    stages: StagesOption = ALL_STAGES,
    model: ModelOption = None,
    prototypes: PrototypesOption = None,
    acquisition: AcquisitionOption = None,
    placement: Placement = ANYWHERE,
    frame: Frame = None,
    noise: Annotated[
        list[str] | None,
        typer.Option(
            metavar="KIND:SEVERITY",
            help="Corrupt each image first, e.g. low_dose:3; repeatable; not with --monitor.",
        ),
    ] = None,
    plugin: PluginOption = None,
    seed: Seed = 0,
    as_json: AsJson = False,
    monitor: Annotated[
        bool,
        typer.Option(
            "--monitor",
            help="Test a stream for drift: a line of JSON per image, and a summary at the end.",
        ),
    ] = False,
    baseline: Annotated[
        Path | None,
        typer.Option(
            "--baseline",
            metavar="FOLDER",
            help="Your own clean images, 30 or more, better 100: the stream is compared with them "
            "instead of the shipped references, and the guarantee holds for your source.",
        ),
    ] = None,
    order: Annotated[
        Order, typer.Option("--by", help="Order of the stream: by name, or by file time.")
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
            help="Guarantee this instead: at least N clean images on average until a false alarm. "
            "It detects a change sooner after a long clean stream; --false-alarms is then the "
            "probability, over the choice of references, that the guarantee fails.",
        ),
    ] = None,
    fail_on_alarm: Annotated[
        bool,
        typer.Option(
            "--fail-on-alarm",
            help="Exit with 3 where the alarm for noise was raised, also where an image was "
            "refused.",
        ),
    ] = False,
    fail_on_new_source: Annotated[
        bool,
        typer.Option(
            "--fail-on-new-source",
            help="Exit with 4 where a new source was reported and no alarm was raised.",
        ),
    ] = False,
    plot: Annotated[
        Path | None,
        typer.Option(
            "--plot",
            metavar="FILE.png",
            help="Draw the test's value and the share of each noise over time.",
        ),
    ] = None,
) -> None:
    """Name the noise in each image, its severity and how sure that is.

    Its pixels are examined at its own size, and no model is loaded; with --model at the size at
    which the model sees it; with --stages features by the model's encoder instead.

    An image that is refused gets its line on stderr and the others are still answered; the exit
    code is then 2. With --monitor an alarm is raised when images stop being as clean as the
    references, or your own (--baseline); good images of another source are reported as such. Either
    changes the exit code only with --fail-on-alarm, --fail-on-new-source.
    """
    from imc_app.corruption import image_corruption
    from imc_app.perceivers import check_acquisition
    from imc_app.session import open_perceiver
    from imc_core.plugins import load_plugins

    load_plugins(plugin or ())
    corrupt = image_corruption(noise or (), seed)
    used = parse_stages(stages)
    if acquisition is not None:
        check_acquisition(acquisition)

    def opened() -> Perceiver:
        return open_perceiver(
            model,
            prototypes,
            acquisition=acquisition,
            stages=used,
            placement=placement,
        )

    if monitor:
        if noise:
            raise InputRefused("--noise corrupts images on purpose; leave it out with --monitor")
        options = MonitorOptions(
            order=order,
            window=window,
            false_alarms=false_alarms,
            run_length=run_length,
            fail_on_alarm=fail_on_alarm,
            fail_on_new_source=fail_on_new_source,
            plot=plot,
            baseline=baseline,
        )
        monitor_images(images, options, opened, frame=frame)
        return
    _refuse_monitoring(context)
    kinds: Counter[str] = Counter()
    refused = 0
    for result in perceive_files(image_batches(images), opened, frame, corrupt):
        if isinstance(result, RefusedFile):
            typer.echo(f"imc: {one_line(result.why)}", err=True)
            refused += 1
        else:
            kinds[result.noise.kind] += 1
            _show(result, as_json=as_json)
    if kinds.total() > 1:
        found = ", ".join(f"{kind} {count}" for kind, count in kinds.most_common())
        notice(f"{kinds.total()} images: {found}")
    if refused:
        raise typer.Exit(2)


def _show(result: PerceivedFile, *, as_json: bool) -> None:
    """Print what was found in one image."""
    from imc_app.show import console, describe_noise

    noise = result.noise.model_dump(mode="json")
    if as_json:
        report = {
            "source": str(result.path),
            "sha256": result.image.sha256,
            "width": result.image.width,
            "height": result.image.height,
            "noise": noise,
        }
        typer.echo(json.dumps(report, ensure_ascii=False))
    else:
        source = one_line(str(result.path))
        console().print(f"{source}: ", describe_noise(noise), sep="", markup=False)


def _refuse_monitoring(context: typer.Context) -> None:
    """An option of the monitor, without it, would silently do nothing."""
    options = {each.name: each.opts[0] for each in context.command.params}
    for name in MONITORS:
        source = context.get_parameter_source(name)
        if source is not None and source.name == "COMMANDLINE":
            raise InputRefused(f"{options[name]} belongs to --monitor; add it, or leave this out")
