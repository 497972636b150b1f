"""SMS over many questions at once: the graph's steps and routing, in lock step."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, cast

from langgraph.runtime import Runtime

from graphs.context import IMCContext
from graphs.nodes.agents import NodeStep, coordinate, correct, detect, verify
from graphs.nodes.answer import AnswerNode
from graphs.nodes.vision import VisionNode
from graphs.routing import after_coordinator, routed
from graphs.state import IMCOutput, IMCState, SMSOutput, SMSState
from graphs.tracing import follow
from imc_agents.chat.run_requests import run_requests_together
from imc_agents.requests import RequestSteps
from imc_agents.safeguards.question_checks import check_question
from vision.reading.medical_image import MedicalImage

TOGETHER = 64
"""Questions in lock step. Above this the time per question hardly falls, while the texts to score,
about 25 for each question, take memory."""

STEPS: Mapping[str, NodeStep] = {"detector": detect, "corrector": correct, "verifier": verify}


def refine_batch(
    questions: Sequence[str], context: IMCContext, *, together: int = TOGETHER
) -> list[SMSOutput]:
    """Refine many questions; each as `build_sms_graph().invoke` would, in order.

    The requests of all questions in one step are one batched call. Decisions, findings, reasons
    and numbers of calls are those of the graph for each question alone; log-probabilities differ
    by rounding, and the milliseconds of a trace include the work for the other questions.

    Args:
        questions: what came in.
        context: the model and its policy; see `graphs.load_context`.
        together: most questions in lock step.

    Raises:
        QuestionRefused: a question that cannot be asked; before any is refined.
    """
    for question in questions:
        check_question(question)
    different = list(dict.fromkeys(questions))
    refined: dict[str, SMSOutput] = {}
    for start in range(0, len(different), together):
        group = different[start : start + together]
        paths = [_path(question, context) for question in group]
        outputs = run_requests_together(context.agents, paths, context.faults)
        refined.update(zip(group, outputs, strict=True))
    return [refined[question].copy() for question in questions]


def answer_refined(refined: SMSOutput, image: MedicalImage, context: IMCContext) -> IMCOutput:
    """Answer a refined question about an image, as `build_imc_graph().invoke` would without review.

    Runs the graph's two other nodes. The context's feature store holds the image's features, so
    that a second question about it costs no pass of the encoder.

    Raises:
        ImageRefused, ModelRefused, QuestionRefused: what the nodes refuse.
    """
    runtime = Runtime(context=context)
    # the routing says that the agents are done with just these values
    done = routed(refined, "settled")
    state = cast(IMCState, {**refined, "image": context.images.put(image), "routing": done})
    for node in (VisionNode(), AnswerNode()):
        state = cast(IMCState, _updated(state, node(state, runtime)))
    return cast(IMCOutput, state)


def _path(question: str, context: IMCContext) -> RequestSteps[SMSOutput]:
    """One question's path through the graph: the coordinator follows every agent."""
    state = SMSState(question=question, trace=[])
    while True:
        state = yield from _after(coordinate, state, context)
        goto = after_coordinator(state)
        if goto == "settled":
            return SMSOutput(
                question=question,
                findings=state.get("findings"),
                decision=state.get("decision"),
                trace=state["trace"],
            )
        state = yield from _after(STEPS[goto], state, context)


def _after(step: NodeStep, state: SMSState, context: IMCContext) -> RequestSteps[SMSState]:
    """The state after a step."""
    update = yield from step(state, context)
    return cast(SMSState, _updated(state, update))


def _updated(state: Mapping[str, Any], update: Mapping[str, Any]) -> dict[str, Any]:
    """The state with an update in it, as the graph's channels would write it."""
    return {**state, **update, "trace": follow(state["trace"], update["trace"])}
