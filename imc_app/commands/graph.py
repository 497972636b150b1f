"""`imc graph`: draw a graph, or a finished run of it, on this machine."""

from __future__ import annotations

import json
import sys
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from imc_app.command import examples
from imc_app.outputs import OutputKind, check_output
from imc_app.refusals import InputRefused
from imc_core.files import replace_file

if TYPE_CHECKING:
    from graphs.drawing import NodeTotals

EXAMPLES = examples(
    "imc graph --format ascii",
    "imc graph sms > sms.mmd",
    "imc graph --format svg --out imc.svg",
    "imc ask --example --json > run.json",
    "imc graph --run run.json --format html --out run.html",
)

LARGEST_RUN = 4_000_000
"""Bytes of a run's document; one of `imc ask --json` takes some thousands."""


class GraphName(StrEnum):
    """The graphs there are to draw."""

    SMS = "sms"
    IMC = "imc"


class DrawingFormat(StrEnum):
    """How a graph can be drawn."""

    MERMAID = "mermaid"
    ASCII = "ascii"
    SVG = "svg"
    PNG = "png"
    HTML = "html"


KINDS = {
    DrawingFormat.SVG: OutputKind.SVG,
    DrawingFormat.PNG: OutputKind.PNG,
    DrawingFormat.HTML: OutputKind.PAGE,
}


def graph(
    name: Annotated[GraphName, typer.Argument(help="Which graph.")] = GraphName.IMC,
    drawing: Annotated[
        DrawingFormat, typer.Option("--format", help="How to draw it.")
    ] = DrawingFormat.MERMAID,
    xray: Annotated[bool, typer.Option("--xray", help="Nodes of subgraphs too.")] = False,
    run: Annotated[
        Path | None,
        typer.Option(
            "--run",
            metavar="FILE.json",
            help="Draw what a run did: which nodes ran or failed, milliseconds and passes through "
            "the model. The file is what imc ask --json printed; - reads stdin.",
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option("--out", "-o", metavar="FILE", help="Where to; png needs it."),
    ] = None,
    dark: Annotated[
        bool, typer.Option("--dark", help="png: light lines on a dark ground.")
    ] = False,
) -> None:
    """Draw the agents (sms) or the whole graph (imc).

    svg and html follow the reader's light or dark theme.
    """
    if out is not None:
        kind = KINDS.get(drawing, OutputKind.TEXT)
        check_output("--out", out, kind, inputs=() if run is None else (run,))
    elif drawing is DrawingFormat.PNG:
        raise InputRefused("--format png needs a file: add --out graph.png")
    if dark and drawing is not DrawingFormat.PNG:
        raise InputRefused("--dark is for --format png: svg and html follow the reader's theme")
    runs = None if run is None else read_runs(run, name)
    drawn = _drawn(name, drawing, runs, xray=xray, dark=dark)
    if out is not None:
        replace_file(out, drawn)
    else:
        typer.echo(drawn, nl=False)


def _drawn(
    name: GraphName,
    drawing: DrawingFormat,
    runs: dict[str, NodeTotals] | None,
    *,
    xray: bool,
    dark: bool,
) -> str | bytes:
    from graphs.drawing import diagram_of, draw_ascii, draw_html, draw_mermaid, draw_png, draw_svg
    from graphs.imc import build_imc_graph
    from graphs.sms import build_sms_graph

    built = build_sms_graph() if name is GraphName.SMS else build_imc_graph()
    if drawing is DrawingFormat.MERMAID:
        return draw_mermaid(built, runs, xray=xray)
    diagram = diagram_of(built, xray=xray)
    if drawing is DrawingFormat.PNG:
        return draw_png(diagram, runs, dark=dark)
    if drawing is DrawingFormat.ASCII:
        return draw_ascii(diagram, runs)
    return (draw_svg if drawing is DrawingFormat.SVG else draw_html)(diagram, runs)


def read_runs(path: Path, name: GraphName) -> dict[str, NodeTotals]:
    """The runs of nodes in a document of `imc ask --json`.

    Raises InputRefused for a file that cannot be read, or holds no trace of this graph.
    """
    from pydantic import TypeAdapter, ValidationError

    from graphs.drawing import totals_of_trace
    from imc_agents.state import TraceStep

    said = f"--run {str(path)!r}"
    try:
        if str(path) == "-":
            held = sys.stdin.read(LARGEST_RUN + 1)
        elif not path.is_file():
            raise InputRefused(f"{said}: no such file; write one with imc ask --json")
        else:
            with path.open(encoding="utf-8") as file:
                held = file.read(LARGEST_RUN + 1)
        if len(held) > LARGEST_RUN:
            raise InputRefused(f"{said}: too large for what imc ask --json prints of one question")
        trace = TypeAdapter(list[TraceStep]).validate_python(json.loads(held)["trace"])
    except OSError as error:
        raise InputRefused(f"{said}: cannot be read ({error.strerror})") from error
    except InputRefused:
        raise
    except (ValueError, KeyError, TypeError, RecursionError, ValidationError) as error:
        raise InputRefused(
            f"{said}: not the document of one question; write it with imc ask --json"
        ) from error
    runs = totals_of_trace(trace)
    if name is GraphName.SMS:
        runs = {node: one for node, one in runs.items() if node not in ("vision", "answer")}
    if not runs:
        raise InputRefused(f"{said}: no step of the {name} graph is in it: nothing to draw")
    return runs
