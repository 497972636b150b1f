"""The answer node: from the held features and the accepted question, in one generation."""

from __future__ import annotations

from functools import partial
from typing import Any

from langchain_core.messages import convert_to_messages
from langgraph.runtime import Runtime

from graphs.context import IMCContext, Resolve, given
from graphs.exchange_store import ExchangesRefused
from graphs.exchanges import recorder_of
from graphs.nodes.agents import Update
from graphs.nodes.vision import encoded
from graphs.routing import pending, reached
from graphs.state import IMCState
from graphs.tracing import Stopwatch, prefixed, timed
from imc_agents.chat.recording import RequestRecorder
from imc_agents.errors import ModelRefused, QuestionRefused
from imc_agents.requests import Generate
from imc_agents.self_assessment import named
from imc_agents.state import Answer, Decision
from vision.errors import EncoderRefused, ImageRefused
from vision.report import CLEAN, CalibrationReport, NoisePerception


class AnswerNode:
    """Runs once, when the image side and the agents are done."""

    def __init__(self, resolve: Resolve = given, prefix: str = "") -> None:
        self.resolve = resolve
        self.prefix = prefix

    def __call__(self, state: IMCState, runtime: Runtime[Any]) -> Update:
        """Reads the decision and the image's name; writes the answer.

        Features that are no longer stored (a resumed run) are computed again. Where the model
        fails, the answer is empty and names the failure. Where an edit has left a side with work to
        do, it does nothing, and is led to again when that is done.
        """
        if pending(state):
            return {}
        context = self.resolve(runtime.context)
        decision = state.get("decision")
        question = decision.used if decision is not None else state["question"]
        with timed("answer") as watch:
            try:
                observer = recorder_of("answer", context, runtime)
                answer = self._answer(context, state, question, watch, observer)
            except (EncoderRefused, ExchangesRefused, QuestionRefused, ModelRefused):
                raise  # too long, too large, scores that are not finite: refused, no failure
            except context.faults as fault:
                what = str(fault) if isinstance(fault, ImageRefused) else named(fault)
                watch.fail(f"no answer: {what}")
                answer = Answer(text="", confidence=0.0, evidence=[], failure=what)
        update = {"answer": answer, "routing": reached(state), "trace": [watch.step]}
        return prefixed(update, self.prefix)

    def _answer(
        self,
        context: IMCContext,
        state: IMCState,
        question: str,
        watch: Stopwatch,
        observer: RequestRecorder | None,
    ) -> Answer:
        calibrated = context.policy.calibrates and not state.get("plain_image", False)
        held = context.features.get(state["image_name"], calibrated=calibrated)
        if held is None:
            watch.notes.append("features were no longer stored: image encoded again")
            if "image" not in state:
                raise ImageRefused(
                    "the image was given as pixels, which are no longer stored: ask again, or give "
                    "a path"
                )
            image = context.images.read(state["image"])
            if image.sha256 != state["image_name"]:
                raise ImageRefused(
                    "the image file has changed since its noise was classified: ask again"
                )
            held = encoded(context, image, calibrated=calibrated, watch=watch)
        watch.calls += 1
        said = context.prompts.answer.messages(question=question)
        request = Generate(tuple(convert_to_messages(said)))
        generate = partial(
            context.chat.invoke,
            list(request.messages),
            features=held.features,
            max_new_tokens=context.policy.max_answer_tokens,
        )
        message = (
            generate()
            if observer is None
            else observer.record(context.chat, request, generate, features=held.features)
        )
        confidence = float(message.response_metadata.get("confidence", 0.0))
        return Answer(
            text=str(message.text).strip(),
            confidence=min(1.0, max(0.0, confidence)),
            evidence=_evidence(
                state.get("perception"), state.get("calibration"), state.get("decision")
            ),
        )


def _evidence(
    perception: NoisePerception | None,
    calibration: CalibrationReport | None,
    decision: Decision | None,
) -> list[str]:
    """One sentence on the image and one on the question: found, done, why, how sure."""
    sentences = []
    if calibration is not None:
        sentences.append(f"image: {calibration.reason}")
    if perception is not None and perception.kind != CLEAN:
        sentences.append(f"probability of {perception.kind}: {perception.probability:.2f}")
    if decision is not None:
        sentences.append(f"question: {decision.reason}")
    return sentences
