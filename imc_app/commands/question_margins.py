"""Margins of a model's agents, measured on clean questions and written where they are read."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import typer

from imc_agents.chat.placement import Placement
from imc_app.notices import notice

NAMED = 20
"""Most lines that are named."""


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
