"""What the runner asks of a method, and the values that go between them."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, Protocol

from graphs.context import IMCContext
from imc_bench.conditions import Condition, RunRefused
from vision.encoder.vision_encoder import EncodedImage
from vision.reading.medical_image import MedicalImage
from vision.report import NoisePerception

if TYPE_CHECKING:
    from imc_agents.chat.chat_model import ChatLocalMLLM

Side = Literal["nothing", "image", "text", "both"]


@dataclass(frozen=True)
class PreparedImage:
    """One image as a method shows it to the model."""

    features: EncodedImage
    key: str
    """Names the features' content: equal keys are bit-identical features."""
    touched: bool
    """The method changed something."""
    perception: NoisePerception | None
    """What was perceived of the image; None where the method perceives nothing."""
    ms: float
    """Milliseconds, an equal share of the batch it was made in."""


@dataclass(frozen=True)
class PreparedQuestion:
    """One question as a method asks the model."""

    text: str
    calls: int = 0
    """Passes through the model that it took."""
    ms: float = 0.0


@dataclass
class Tools:
    """What methods work with: a model's context, and batches."""

    context: IMCContext
    batch: int = 64
    """Most prompts in one pass of the model."""
    condition: Condition | None = None
    """What was done to the images at hand: for methods that are given the truth, which no user
    has. None where nothing is known."""


class Method(Protocol):
    """What the runner asks of a method. Both sides must not depend on the batch they are in."""

    @property
    def name(self) -> str:
        """How tables call it."""

    @property
    def acts_on(self) -> Side:
        """What it may change."""

    @property
    def image_side(self) -> str:
        """Name of the image side."""

    @property
    def text_side(self) -> str:
        """Name of the text side."""

    def prepare_images(self, images: Sequence[MedicalImage], tools: Tools) -> list[PreparedImage]:
        """Each image as the model will be shown it."""

    def prepare_questions(self, questions: Sequence[str], tools: Tools) -> list[PreparedQuestion]:
        """Each question as the model will be asked it."""


def local_chat(context: IMCContext) -> ChatLocalMLLM:
    """The context's chat model. Raises RunRefused where it is not one that takes features."""
    from imc_agents.chat.chat_model import ChatLocalMLLM

    if not isinstance(context.chat, ChatLocalMLLM):
        raise RunRefused("the benchmark needs a local model; give one with --model")
    return context.chat


def since(start: float) -> float:
    """Milliseconds since a `time.perf_counter` reading."""
    return (time.perf_counter() - start) * 1000.0
