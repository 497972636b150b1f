"""`imc step`: one question through the graph, a step at a time, in the terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from imc_app.command import examples
from imc_app.commands.ask import Method
from imc_app.model_options import ANYWHERE, Placement, with_placement
from imc_app.options import (
    THREADS,
    AcquisitionOption,
    Frame,
    KeepExchanges,
    ModelOption,
    PluginOption,
    ProfileOption,
    ProtectedOption,
    PrototypesOption,
    Seed,
)
from imc_app.refusals import InputRefused

if TYPE_CHECKING:
    from imc_app.session import Request

EXAMPLES = examples(
    "imc step --example",
    'imc step scan.png "Is teh heart enlarged?"',
    "printf 'b verifier\\nc\\ns candidate\\nq\\n' | imc step --example",
    'imc step scan.png "Is there an effusion?" --graph workflow.py:build_workflow',
)


@with_placement
def step(
    image: Annotated[
        str | None, typer.Argument(help="PNG, JPEG, TIFF, WebP or DICOM file.")
    ] = None,
    question: Annotated[str | None, typer.Argument(help="What to ask about it.")] = None,
    graph: Annotated[
        str | None,
        typer.Option(
            "--graph",
            metavar="FILE.py:NAME",
            help="Step through a graph of your own, such as a workflow that embeds imc: a compiled "
            "graph, a StateGraph, or a function that returns one. The file is run.",
        ),
    ] = None,
    given: Annotated[
        str | None,
        typer.Option(
            "--input",
            metavar="JSON",
            help="Input of a graph of your own, or what it needs beside image and question.",
        ),
    ] = None,
    method: Annotated[Method, typer.Option(help="As for imc ask.")] = Method.IMC,
    model: ModelOption = None,
    prototypes: PrototypesOption = None,
    acquisition: AcquisitionOption = None,
    profile: ProfileOption = "auto",
    protected: ProtectedOption = None,
    placement: Placement = ANYWHERE,
    frame: Frame = None,
    noise: Annotated[
        list[str] | None,
        typer.Option(metavar="KIND:SEVERITY", help="As for imc ask."),
    ] = None,
    plugin: PluginOption = None,
    seed: Seed = 0,
    example: Annotated[
        bool, typer.Option("--example", help="Step through the example of imc ask.")
    ] = False,
    checkpoints: Annotated[
        str | None,
        typer.Option(
            "--checkpoints",
            metavar="PLACE",
            help="Keep the thread: sqlite (the file in your data directory), a file of your own, "
            "or postgresql://USER@HOST/DATABASE. Default: in memory.",
            rich_help_panel=THREADS,
        ),
    ] = None,
    thread: Annotated[
        str | None,
        typer.Option(
            "--thread",
            metavar="THREAD",
            help="Step on in a kept thread, where it stopped; imc threads list names them.",
            rich_help_panel=THREADS,
        ),
    ] = None,
    keep_exchanges: KeepExchanges = False,
) -> None:
    """Step through one question: breakpoints, state, edits, forks, prompts and replies.

    Commands are read from the keyboard, or from stdin, one a line; help lists them. Where stdin is
    no terminal, a refused command makes the exit code 2, and the others are still carried out.
    Without --checkpoints state is held in memory, and what is to stay is written with w FILE.html.
    """
    from graphs.debugging.loading import load_graph
    from imc_app.kept_questions import AskSettings
    from imc_app.session import read_request
    from imc_app.stepping.opening import open_session, open_state
    from imc_app.stepping.prompt import StepPrompt
    from imc_core.plugins import load_plugins

    load_plugins(plugin or ())
    noises = tuple(noise or ())
    if example:
        if image is not None or question is not None:
            raise InputRefused(
                "--example brings its own image and question; give none or leave --example out"
            )
        from imc_app.example import ct_example

        shown = ct_example()
        image, question, noises = str(shown.image), shown.question, (*shown.noise, *noises)
    _check_input(image, question, graph, given, thread)
    more = _read_input(given)
    state = open_state(checkpoints, thread, keep_exchanges=keep_exchanges)
    own = load_graph(graph, state.checkpointer) if graph is not None else None
    request = None
    if image is not None and question is not None:
        request = read_request(image, question, noises, frame=frame, seed=seed)
    settings = AskSettings.of(
        model=model,
        prototypes=prototypes,
        acquisition=acquisition,
        profile=profile,
        protected=tuple(protected or ()),
        method=method.value,
        seed=seed,
        placement=placement,
        noise=noises,
    )
    session = open_session(state, own, settings)
    if state.kept and thread is None:
        typer.echo(f"thread {state.thread}")
    begins = {**_asked(request, image, session.context), **more} if thread is None else None
    code = StepPrompt(session).run(begins)
    if code:
        raise typer.Exit(code)


def _check_input(
    image: str | None,
    question: str | None,
    graph: str | None,
    given: str | None,
    thread: str | None,
) -> None:
    """Refuse what cannot begin a run, or begins two."""
    if thread is not None:
        if image is not None or given is not None:
            raise InputRefused("--thread steps on in a kept thread: give no image and no --input")
        return
    if (image is None) != (question is None):
        raise InputRefused("step needs both an image and a question: imc step IMAGE QUESTION")
    if graph is None and (image is None or given is not None):
        raise InputRefused(
            "step needs an image and a question: imc step IMAGE QUESTION, or imc step --example; "
            "--input is for a graph of your own (--graph FILE.py:NAME)"
        )


def _asked(request: Request | None, path: str | None, context: Any) -> dict[str, Any]:
    """The part of the input that image and question make."""
    if request is None:
        return {}
    image = path if context is None else context.images.put(request.image)
    return {"image": image, "question": request.question}


def _read_input(text: str | None) -> dict[str, Any]:
    from graphs.debugging.edits import from_json
    from graphs.debugging.values import DebugRefused

    if text is None:
        return {}
    try:
        given = from_json(text)
    except DebugRefused as error:
        raise InputRefused(f"--input: {error}") from error
    if not isinstance(given, dict):
        raise InputRefused('--input: give one JSON object, as in \'{"question": "..."}\'')
    return given
