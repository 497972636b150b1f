"""`imc studio`: local web pages; needs the extra `studio` (NiceGUI)."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Annotated

import typer

from imc_app.command import examples
from imc_app.model_options import SERVED, ModelSettings, with_served_model
from imc_app.refusals import InputRefused

EXAMPLES = examples("imc studio", "imc studio --bench run.sqlite --port 8800")


@with_served_model
def studio(
    port: Annotated[
        int, typer.Option("--port", min=0, max=65535, help="Port; 0: any free one.")
    ] = 0,
    bench: Annotated[
        list[Path] | None,
        typer.Option(
            "--bench", metavar="RUN", help="A store of imc bench run to show. Repeatable."
        ),
    ] = None,
    data: Annotated[
        Path | None,
        typer.Option(
            "--data", metavar="FOLDER", help="Folder of the data sets that --bench measured."
        ),
    ] = None,
    graph: Annotated[
        str | None,
        typer.Option(
            "--graph",
            metavar="FILE.py:NAME",
            help="Step this graph, one that embeds imc, instead of the imc graph.",
        ),
    ] = None,
    ephemeral: Annotated[
        bool, typer.Option("--ephemeral", help="Keep threads in memory alone.")
    ] = False,
    settings: ModelSettings = SERVED,
) -> None:
    """Open the studio: pages to ask, step, compare images, try noises and read measurements.

    The pages are served to this machine alone, at the address that is printed; it holds a token of
    this start. Nothing leaves the machine. Closing a page ends nothing; Ctrl-C ends the studio.
    """
    if importlib.util.find_spec("nicegui") is None:
        raise InputRefused("imc studio needs NiceGUI: pip install 'imc-agents[studio]'")
    from imc_app.studio.server import serve
    from imc_app.studio.studio import Studio

    settings.check()
    stores = tuple(bench or ())
    for store in stores:
        from imc_bench.store.result_store import Store

        with Store.read(store):
            pass
    from graphs.checkpoints import open_checkpointer, serializer

    checkpointer = None
    if not ephemeral:
        checkpointer = open_checkpointer("sqlite")
    else:
        from langgraph.checkpoint.memory import InMemorySaver

        checkpointer = InMemorySaver(serde=serializer())
    own = None
    if graph is not None:
        from graphs.debugging import load_graph

        own = load_graph(graph, checkpointer)
    made = Studio(settings.open, checkpointer=checkpointer, graph=own, stores=stores, data=data)
    serve(made, port=port, announce=lambda address: typer.echo(f"imc studio: {address}"))
