"""The state of one question about one image; every value survives strict msgpack."""

from __future__ import annotations

from typing import Annotated, Any, TypedDict

from langgraph.channels import LastValue

from graphs.stores import ImageSource
from imc_agents.state import Answer, Decision, Finding, SMSState, TraceStep, follow
from vision.report import CalibrationReport, NoisePerception


class PathOrName(LastValue[ImageSource]):
    """A channel that checkpoints a path or a name, and never an image block with its pixels."""

    def checkpoint(self) -> Any:
        if isinstance(self.value, dict):
            return PathOrName(self.typ, self.key).checkpoint()  # as a channel without a value
        return super().checkpoint()


class IMCInput(TypedDict):
    """Input of the imc graph."""

    image: Annotated[ImageSource, PathOrName]
    """A path, the name `ImageStore.put` gave, or a LangChain image block.

    A block's pixels reach the checkpointer as part of the run's input; give a name instead where
    they must not.
    """
    question: str
    """The question as it came in."""


class IMCOutput(TypedDict, total=False):
    """Output of the imc graph."""

    question: str
    image_name: str
    width: int
    height: int
    perception: NoisePerception | None
    calibration: CalibrationReport | None
    findings: list[Finding] | None
    decision: Decision | None
    answer: Answer | None
    trace: Annotated[list[TraceStep], follow]


class IMCState(SMSState, total=False):
    """State of one question and its image."""

    image: Annotated[ImageSource, PathOrName]
    """Where the image comes from."""
    image_name: str
    """SHA-256 of its shape and pixels; written by the vision node, like the next four."""
    width: int
    """Pixels."""
    height: int
    """Pixels."""
    perception: NoisePerception | None
    """The noise it carries; None without a prototype bank."""
    calibration: CalibrationReport | None
    """Whether and how it was corrected, and why."""
    plain_image: bool
    """Whether a reviewer chose the uncorrected image; written by the review node."""
    answer: Answer | None
    """Written by the answer node."""
