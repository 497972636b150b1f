"""`imc prototypes questions`: margins of a model's agents, measured on clean questions.

Registered by `imc_app.commands.prototypes`.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

import typer

from imc_app.build_inputs import read_clean_questions
from imc_app.command import examples
from imc_app.model_options import ANYWHERE, Placement, with_placement
from imc_app.notices import notice
from imc_app.outputs import OutputKind, check_output
from imc_app.refusals import InputRefused

EXAMPLES = examples(
    "imc prototypes questions -m my-mllm/ --questions clean.txt -o my-half.questions.json",
    "imc prototypes questions -m my-mllm/ --questions clean.txt -o my-mllm/questions.json",
)
CLEAN_QUESTIONS = (
    "Clean questions of the domain, one a line (598 or more; some thousands give lower margins): "
    "how much more likely a correction must make a question (its margin) is measured on them"
)
NAMED = 20
"""Most lines that are named."""

BuiltModel = Annotated[
    str,
    typer.Option("--model", "-m", metavar="PATH_OR_ID", help="A HuggingFace image-text model."),
]


@with_placement
def questions(
    model: BuiltModel,
    questions: Annotated[
        Path, typer.Option("--questions", metavar="FILE", help=f"{CLEAN_QUESTIONS}.")
    ],
    out: Annotated[
        Path,
        typer.Option(
            "--out",
            "-o",
            metavar="FILE",
            help="Where they are read: HALF.questions.json beside a model half HALF.safetensors, "
            "or questions.json in the model's folder.",
        ),
    ],
    placement: Placement = ANYWHERE,
) -> None:
    """Measure the margins of a model's agents on clean questions; no image is needed.

    `build --questions` does the same beside a new model half.
    """
    from imc_agents.thresholds import SUFFIX
    from imc_app.session import check_files

    check_files(model)
    check_output("--out", out, OutputKind.TEXT, inputs=(questions,))
    if not f".{out.name}".endswith(SUFFIX):
        raise InputRefused(
            f"--out {str(out)!r}: nothing would read it; name it HALF{SUFFIX}, beside a model half "
            f"HALF.safetensors, or {SUFFIX[1:]} in the model's folder"
        )
    measure_questions(model, read_clean_questions(questions), out, placement)


def measure_questions(
    model: str,
    asked: Mapping[str, int],
    out: Path,
    placement: Placement,
) -> None:
    """Measure the thresholds of a model's agents, write them, and say what was found.

    Args:
        model: a local model.
        asked: clean questions with the numbers of their lines. Lines are named, never shown.
        out: the JSON file.
        placement: where the model runs.
    """
    from graphs.context import VOCABULARY_FILE, context_over, own_profile
    from graphs.question_thresholds import measure_thresholds
    from imc_agents.chat.loading import load_local_mllm
    from imc_agents.policy import Policy
    from imc_app.commands.prototypes_show import describe_judgements, describe_thresholds
    from imc_app.progress import progress_bar

    local = load_local_mllm(model, placement=placement)
    folder = Path(local.path)
    words = folder / VOCABULARY_FILE
    context = context_over(  # without any model half: no picture is asked about
        local.model,
        local.processor,
        name=local.name,
        profile=own_profile(folder),
        vocabularies=[words] if words.is_file() else [],
        policy=Policy(method="sms"),
    )
    with progress_bar() as advance:
        found = measure_thresholds(context, list(asked), progress=advance)
    found.save(out)
    held = (
        f"at most {found.share:.1%} of clean questions edited, at {found.confidence:.0%} confidence"
        if found.calibrated
        else "too few questions, or too many edited even at the strictest: see `calibrated`"
    )
    typer.echo(f"{out}: margins from {found.questions} questions; {held}")
    typer.echo(describe_thresholds(found.model_dump(mode="json")))
    typer.echo(describe_judgements(found.model_dump(mode="json")))
    raised = found.margins.homophone / Policy().margins.homophone
    lines = sorted(list(asked.values())[place] for place in found.over_floors)
    if raised > 1.0 and lines:
        named = ", ".join(map(str, lines[:NAMED])) + (", ..." if len(lines) > NAMED else "")
        notice(
            f"the margins are {raised:.3g} times the least ones, at which {len(lines)} questions "
            f"would be edited: lines {named}. Mend those that are misspelt, or give more questions,"
            " and measure again: lower margins restore more"
        )
