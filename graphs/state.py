"""The state of one question about one image: every key, who writes it, and its type.

Every value survives strict msgpack and is validated when it is written (`graphs.channels`). State
holds no pixels and no tensors.
"""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, Field
from typing_extensions import TypedDict

from graphs.channels import Appended, Checked, PathOrName, Version
from graphs.routing import Routing
from graphs.stores import ImageSource
from graphs.tracing import follow
from imc_agents.policy import Review
from imc_agents.safeguards.question_checks import check_question
from imc_agents.state import (
    Answer,
    Assessment,
    Candidate,
    Decision,
    Finding,
    NoiseKind,
    TraceStep,
    Verdict,
)
from vision.report import CalibrationReport, NoisePerception

# TypedDict is that of typing_extensions: the one of Python 3.11 has no JSON schema.


def _usable(decision: Decision) -> Decision:
    check_question(decision.used)
    return decision


Question = Annotated[str, AfterValidator(check_question)]
Settled = Annotated[Decision, AfterValidator(_usable)]
Count = Annotated[int, Field(ge=0)]
Trace = Annotated[list[TraceStep], Appended(list[TraceStep], follow)]


class SMSInput(TypedDict):
    """Input of the sms graph."""

    question: Annotated[str, Checked(Question)]
    """The question as it came in."""


class SMSOutput(TypedDict, total=False):
    """Output of the sms graph."""

    question: Annotated[str, Checked(Question)]
    findings: Annotated[list[Finding] | None, Checked]
    decision: Annotated[Decision | None, Checked(Settled | None)]
    trace: Trace


class SMSState(SMSInput, total=False):
    """Everything the agents know about one question. None: that step has not been taken."""

    assessment: Annotated[Assessment | None, Checked]
    """Written by the coordinator when it opens a question."""
    plan: Annotated[list[NoiseKind], Checked]
    """The order in which kinds are repaired; written by the coordinator."""
    findings: Annotated[list[Finding] | None, Checked]
    """Written by the detector."""
    candidate: Annotated[Candidate | None, Checked]
    """The last candidate; written by the corrector."""
    verdict: Annotated[Verdict | None, Checked]
    """The verdict on it; written by the verifier."""
    refused: Annotated[list[Verdict], Checked]
    """Rejections, oldest first; written by the coordinator."""
    rounds: Annotated[int, Checked(Count)]
    """Verdicts so far; written by the coordinator."""
    decision: Annotated[Decision | None, Checked(Settled | None)]
    """Written by the coordinator when the question is settled, and by a review."""
    routing: Annotated[Routing | None, Checked]
    """Where the coordinator leads, and what that rests on; written by the coordinator."""
    review: Annotated[Review, Checked]
    """The review policy in force when the question was put; written by the coordinator."""
    trace: Trace
    """Every node's steps, in order."""
    state_version: Annotated[int, Version]
    """Version of these keys; written by the nodes that open a question."""


class IMCInput(SMSInput):
    """Input of the imc graph."""

    image: Annotated[ImageSource, PathOrName]
    """A path, the name `ImageStore.put` gave, or a LangChain image block. A run of the graph itself
    takes whatever `vision.read_image` takes, a `MedicalImage` or an array too, into the store.

    A block's pixels reach the checkpointer as part of the run's input; give a name instead where
    they must not.
    """


class IMCOutput(SMSOutput, total=False):
    """Output of the imc graph."""

    image_name: Annotated[str, Checked]
    width: Annotated[int, Checked(Count)]
    height: Annotated[int, Checked(Count)]
    perception: Annotated[NoisePerception | None, Checked]
    calibration: Annotated[CalibrationReport | None, Checked]
    answer: Annotated[Answer | None, Checked]


class IMCState(SMSState, total=False):
    """State of one question and its image."""

    image: Annotated[ImageSource, PathOrName]
    """Where the image comes from."""
    image_read: Annotated[str, Checked]
    """Fingerprint of that source, when it was read; written by the vision node, like the next
    seven."""
    image_name: Annotated[str, Checked]
    """SHA-256 of its shape and pixels."""
    width: Annotated[int, Checked(Count)]
    """Pixels."""
    height: Annotated[int, Checked(Count)]
    """Pixels."""
    perception: Annotated[NoisePerception | None, Checked]
    """The noise it carries; None where it was not searched for, or cannot be."""
    calibration: Annotated[CalibrationReport | None, Checked]
    """Whether and how it was corrected, and why."""
    restored: Annotated[str | None, Checked]
    """Name of the restored picture in the context's image store; None where the image stays."""
    plain_image: Annotated[bool, Checked]
    """Whether a reviewer chose the uncorrected image; written by the review node too."""
    answer: Annotated[Answer | None, Checked]
    """Written by the answer node."""
