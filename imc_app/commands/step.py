"""`imc step`: one question through the graph, a step at a time, in the terminal."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Annotated, Any

import typer

from imc_app.command import examples
from imc_app.commands.ask import Method
from imc_app.options import (
    DeviceOption,
    Dtype,
    DtypeOption,
    Frame,
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
    profile: ProfileOption = "auto",
    protected: ProtectedOption = None,
    device: DeviceOption = "auto",
    dtype: DtypeOption = Dtype.AUTO,
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
) -> None:
    """Step through one question: breakpoints, state, edits, forks, prompts and replies.

    Commands are read from the keyboard, or from stdin, one a line; help lists them. Where stdin is
    no terminal, a refused command makes the exit code 2, and the others are still carried out.
    State is held in memory: what is to stay is written with w FILE.html.
    """
    from graphs.debugging.loading import load_graph
    from graphs.debugging.session import DebugSession, in_memory
    from imc_app.session import open_context, read_request
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
    if (image is None) != (question is None):
        raise InputRefused("step needs both an image and a question: imc step IMAGE QUESTION")
    if graph is None and (image is None or given is not None):
        raise InputRefused(
            "step needs an image and a question: imc step IMAGE QUESTION, or imc step --example; "
            "--input is for a graph of your own (--graph FILE.py:NAME)"
        )
    more = _read_input(given)
    saver = in_memory()
    own = load_graph(graph, saver) if graph is not None else None
    request = None
    if image is not None and question is not None:
        request = read_request(image, question, noises, frame=frame, seed=seed)
    opened = partial(
        open_context,
        model,
        prototypes,
        profile=profile,
        protected=tuple(protected or ()),
        method=method.value,
        seed=seed,
        device=device,
        dtype=dtype.value,
    )
    context = opened() if own is None or _takes_context(own) else None
    if own is None:
        from graphs.imc import build_imc_graph

        own = build_imc_graph()
    session = DebugSession(own, context=context, checkpointer=saver)
    code = StepPrompt(session).run({**_asked(request, image, context), **more})
    if code:
        raise typer.Exit(code)


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


def _takes_context(graph: Any) -> bool:
    """Whether a graph of one's own is given the model: its context is an IMCContext."""
    from graphs.context import IMCContext

    schema = getattr(graph, "context_schema", None)
    if schema is None or schema is IMCContext:
        return schema is not None
    raise InputRefused(
        f"--graph: its context is a {schema.__name__}, which the command cannot make: use "
        "graphs.DebugSession with a context of your own"
    )
