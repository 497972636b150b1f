"""`imc graph`: draw a graph, on this machine."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer

from imc_app.command import examples

EXAMPLES = examples("imc graph", "imc graph sms > sms.mmd")


class GraphName(StrEnum):
    """The graphs there are to draw."""

    SMS = "sms"
    IMC = "imc"


class DrawingFormat(StrEnum):
    """How a graph can be drawn."""

    MERMAID = "mermaid"


def graph(
    name: Annotated[GraphName, typer.Argument(help="Which graph.")] = GraphName.IMC,
    drawing: Annotated[
        DrawingFormat, typer.Option("--format", help="How to draw it.")
    ] = DrawingFormat.MERMAID,
) -> None:
    """Draw the agents (sms) or the whole graph (imc)."""
    from graphs.imc import build_imc_graph
    from graphs.sms import build_sms_graph

    built = build_sms_graph() if name is GraphName.SMS else build_imc_graph()
    typer.echo(built.get_graph().draw_mermaid())
