"""`imc bench`: measure robustness on a data set, and say how much of it is measured."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from imc_app.command import examples
from imc_app.commands import bench_jobs, bench_report, bench_sheet, bench_status
from imc_app.commands.bench_status import said
from imc_app.model_options import ANYWHERE, Placement, with_placement
from imc_app.notices import waiting
from imc_app.options import (
    AcquisitionOption,
    ModelOption,
    PluginOption,
    ProfileOption,
    ProtectedOption,
    PrototypesOption,
    Seed,
)
from imc_app.outputs import OutputKind, check_output
from imc_app.refusals import InputRefused, one_line

if TYPE_CHECKING:
    from imc_bench.store.units import RunProgress

RUN_EXAMPLES = (
    "imc bench run --dataset phantom -n 20 --noises gaussian,typo -o small.sqlite",
    "imc bench run --dataset vqa-rad --data public/ -o run.sqlite -j 2",
    "imc bench run --dataset vqa-rad --data public/ -o run.sqlite --ray local",
    "imc bench run --dataset questions.csv -m my-mllm/ -p my-half.safetensors -o mine.sqlite",
)
app = typer.Typer(
    help="Measure robustness: noises × severities × methods.",
    epilog=examples(RUN_EXAMPLES[0], "imc bench report small.sqlite"),
    no_args_is_help=True,
)
app.command("status", epilog=bench_status.EXAMPLES)(bench_status.status)
app.command("report", epilog=bench_report.REPORT_EXAMPLES)(bench_report.report)
app.command("compare", epilog=bench_report.COMPARE_EXAMPLES)(bench_report.compare)
app.command("sheet", epilog=bench_sheet.EXAMPLES)(bench_sheet.sheet)


class NoiseAt(StrEnum):
    """Where image noise is put."""

    INPUT = "input"
    NATIVE = "native"


@app.command("run", epilog=examples(*RUN_EXAMPLES))
@with_placement
def run(
    context: typer.Context,
    dataset: Annotated[
        str,
        typer.Option(
            "--dataset",
            metavar="NAME|FILE",
            help="phantom, vqa-rad, slake, path-vqa or omni-med-vqa; or a file of your own: .csv "
            "with the header image,question,answer[,answer_type,group,options,topic,id] (options "
            "separated by |), or .jsonl with these keys. Image paths are relative to the file.",
        ),
    ],
    out: Annotated[
        Path,
        typer.Option("--out", "-o", metavar="STORE", help="Result store; a run in it goes on."),
    ],
    data: Annotated[
        Path | None,
        typer.Option(
            "--data",
            envvar="IMC_DATA",
            metavar="FOLDER",
            help="The data set's folder, or one that holds it.",
        ),
    ] = None,
    split: Annotated[
        str | None,
        typer.Option("--split", metavar="NAME", help="Part of the data set. Default: its own."),
    ] = None,
    noises: Annotated[
        str,
        typer.Option(
            "--noises",
            metavar="A,B,...",
            help="core (the 11), core-image, core-text, extended, names, image noises and at most "
            "one text noise joined by +, blank, swapped; none for clean alone.",
        ),
    ] = "core",
    severities: Annotated[
        str, typer.Option("--severities", metavar="1,3,5", help="Each 1 (mild) to 5 (strong).")
    ] = "1,3,5",
    methods: Annotated[
        str,
        typer.Option(
            "--methods",
            metavar="A,B,...",
            help="none, pdc, sms, imc; median, wiener, tv, nlm; symspell, rewrite.",
        ),
    ] = "none,pdc,sms,imc",
    noise_at: Annotated[
        NoiseAt,
        typer.Option("--noise-at", help="Image noise at the model's input size, or before it."),
    ] = NoiseAt.INPUT,
    limit: Annotated[
        int | None,
        typer.Option("--limit", "-n", min=1, help="So many items, drawn by the seed."),
    ] = None,
    seed: Seed = 0,
    batch_size: Annotated[
        int,
        typer.Option(
            "--batch-size",
            min=1,
            help="Most questions in one pass; changes no answer. Fewer need less memory.",
        ),
    ] = 64,
    keep_text: Annotated[
        bool, typer.Option("--keep-text", help="Store the questions too, not answers alone.")
    ] = False,
    plugin: PluginOption = None,
    jobs: Annotated[
        int | None,
        typer.Option(
            "--jobs",
            "-j",
            min=1,
            help="So many worker processes share the cores, each with a GPU of its own where there "
            "are some. Default: 1; with --ray one for each GPU, or for each machine.",
        ),
    ] = None,
    ray: Annotated[
        str | None,
        typer.Option(
            "--ray",
            metavar="ADDRESS|local",
            help="Workers on the machines of a Ray cluster: HOST:PORT of its head, auto (the one "
            "that this machine is part of), or local (one of this machine, for this run).",
        ),
    ] = None,
    model: ModelOption = None,
    prototypes: PrototypesOption = None,
    acquisition: AcquisitionOption = None,
    profile: ProfileOption = "auto",
    protected: ProtectedOption = None,
    placement: Placement = ANYWHERE,
) -> None:
    """Measure, or go on with a measurement that was stopped.

    Stop it at any time: the same command goes on where it was. Run the same command twice at once,
    or once with --jobs 2, and two processes share the work; with --ray, many machines do.
    """
    from imc_app.session import check_files
    from imc_core.plugins import load_plugins

    inputs = (dataset, data, model, prototypes, acquisition, *(plugin or ()), *(protected or ()))
    check_output("--out", out, OutputKind.STORE, inputs=inputs)
    grid = tuple(_severity(text) for text in _names(severities))
    check_files(model, prototypes, acquisition)
    load_plugins(plugin or ())
    with waiting(f"reading data set {dataset}"):
        from imc_bench.errors import WorkersLost
        from imc_bench.run.driver import drive
        from imc_bench.run.recipe import ModelRequest
        from imc_bench.run.session import RunRequest, check_request

    request = RunRequest(
        dataset=dataset,
        data=data,
        split=split,
        noises=tuple(name for name in _names(noises) if name != "none"),
        severities=grid,
        methods=_names(methods),
        noise_at="native" if noise_at is NoiseAt.NATIVE else "input",
        limit=limit,
        seed=seed,
        batch=batch_size,
        keep_text=keep_text,
        plugins=tuple(plugin or ()),
    )
    checked = check_request(request)
    for row in checked.items.bad_rows:
        typer.echo(f"imc: left out: {row.where}: {row.why}", err=True)
    asked = ModelRequest(
        model,
        None if prototypes is None else str(prototypes),
        None if acquisition is None else str(acquisition),
        None if profile == "auto" else profile,
        tuple(map(str, protected or ())),
        seed,
        placement,
    )
    command = bench_jobs.command_line(context)
    try:
        with (
            bench_jobs.open_workers(checked, asked, out, command, jobs, ray) as (workers, store),
            _progress() as advance,
        ):
            progress = drive(store, workers, advance)
            skipped = store.skipped()
    except WorkersLost as error:
        typer.echo(f"imc: {one_line(str(error))}", err=True)
        raise typer.Exit(1) from error
    typer.echo(f"{out}: {said(progress)}")
    for why, count in _counted([str(one["why"]) for one in skipped]).items():
        typer.echo(f"imc: left out {count} times: {why}", err=True)


def _names(written: str) -> tuple[str, ...]:
    return tuple(name.strip() for name in written.split(",") if name.strip())


def _severity(text: str) -> int | float:
    try:
        value = float(text)
    except ValueError:
        value = float("nan")
    if not 1 <= value <= 5:
        raise InputRefused(f"--severities {text!r}: give numbers from 1 (mild) to 5 (strong)")
    return int(value) if value.is_integer() else value


def _counted(reasons: list[str]) -> dict[str, int]:
    return {reason: reasons.count(reason) for reason in dict.fromkeys(reasons)}


@contextmanager
def _progress() -> Iterator[Callable[[RunProgress], None]]:
    """Show the rows measured so far; call what it yields with the state of the run."""
    from imc_app.progress import progress_bar

    with progress_bar() as bar:
        yield lambda progress: bar("rows", progress.rows, progress.expected)
