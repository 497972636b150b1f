"""Thresholds of the question agents for one model, measured with its prompts and its lexicon."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from graphs.context import IMCContext
from imc_agents.chat.chat_model import ChatLocalMLLM
from imc_agents.errors import MarginsRefused
from imc_agents.judgements import measure_judgements
from imc_agents.margin_calibration import Progress, calibrate_margins
from imc_agents.policy import Policy
from imc_agents.thresholds import QuestionThresholds, language_fingerprint


def measure_thresholds(
    context: IMCContext,
    questions: Sequence[str],
    *,
    progress: Progress | None = None,
) -> QuestionThresholds:
    """Margins for the model that serves the agents, from clean questions of its domain.

    Args:
        context: the model with its prompts and its lexicon. Its own margins are ignored; the
            shipped ones are the lower bounds.
        questions: clean ones, at least 598 for the shipped share and confidence.
        progress: called with what is done, how much of it is done, and of how much.

    Raises:
        MarginsRefused: the agents are served by a model that is not a local one.
        QuestionRefused: a question cannot be asked, or there is none.
    """
    chat = context.agents
    if not isinstance(chat, ChatLocalMLLM):
        raise MarginsRefused(
            f"thresholds of {type(chat).__name__}: a remote model cannot be identified by its "
            "weights; measure a local model"
        )
    found = calibrate_margins(
        chat,
        context.prompts,
        context.lexicon,
        questions,
        fingerprint=language_fingerprint(chat.model),
        policy=Policy(),
        faults=context.faults,
        progress=progress,
    )
    judgements = measure_judgements(
        chat,
        context.prompts,
        questions,
        protected=context.protected,
        faults=context.faults,
        progress=progress,
    )
    return found.model_copy(update={"judgements": judgements})


def with_measured_judgements(
    context: IMCContext, questions: Sequence[str], *, progress: Progress | None = None
) -> IMCContext:
    """The context without the judgements of its agents' model that are no better than chance.

    For a model that can only be asked (`with_agents`), which has no thresholds of its own: measured
    on clean questions each time it is called.

    Args:
        context: any model serves its agents.
        questions: clean ones of its domain; twenty at least, or nothing is measured.
        progress: called with what is done, how much of it is done, and of how much.
    """
    judgements = measure_judgements(
        context.agents,
        context.prompts,
        questions,
        protected=context.protected,
        faults=context.faults,
        progress=progress,
    )
    return replace(context, policy=judgements.applied(context.policy))
