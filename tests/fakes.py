"""Fake models for tests: typed, scripted, with the interfaces of the real ones."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from langchain_core.callbacks import CallbackManagerForLLMRun
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, BaseMessage
from langchain_core.outputs import ChatGeneration, ChatResult
from pydantic import PrivateAttr
from rapidfuzz.distance import Levenshtein

from vision.encoder.vision_encoder import EncodedImage
from vision.pdc import CalibratedImage
from vision.reading.medical_image import MedicalImage, read_image
from vision.report import CalibrationReport, NoisePerception

Reply = str | Exception
Script = Callable[[list[BaseMessage]], Reply]


def always(reply: Reply) -> Script:
    """A script that says one thing."""
    return lambda messages: reply


class AskedChat(BaseChatModel):
    """A chat model that can only be asked: no score, no choose. `script` says what it replies."""

    script: Script = always("yes")
    heard: list[str] = []
    """The last message of every call, in order."""

    @property
    def _llm_type(self) -> str:
        return "asked"

    def _generate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        *,
        features: Any = None,
        **kwargs: Any,
    ) -> ChatResult:
        self.heard.append(str(messages[-1].text))
        reply = self.script(messages)
        if isinstance(reply, Exception):
            raise reply
        message = AIMessage(reply, response_metadata={"confidence": 0.9})
        return ChatResult(generations=[ChatGeneration(message=message)])


@dataclass(frozen=True)
class FakeScore:
    """Log-probability of a text, in nats."""

    text: str
    logprob: float

    @property
    def per_char(self) -> float:
        return self.logprob / len(self.text)


@dataclass(frozen=True)
class FakeChoice:
    """Probabilities of options."""

    probabilities: tuple[float, ...]


class ScriptedChat(AskedChat):
    """A model that also scores and chooses.

    A text's log-probability is the sum over its words: `usual` words cost 1 nat, others 25; each
    character costs `per_character` nats besides. `agreement` is its vote on every pair.
    """

    usual: frozenset[str] = frozenset()
    per_character: float = 0.05
    agreement: float | Exception = 0.8
    _passes: list[list[str]] = PrivateAttr(default_factory=list)

    @property
    def passes(self) -> list[list[str]]:
        """The texts of every scoring pass, in order."""
        return self._passes

    def score_batch(self, items: Sequence[tuple[Sequence[BaseMessage], str]]) -> list[FakeScore]:
        self._passes.append([text for _, text in items])
        return [FakeScore(text, self.log_probability(text)) for _, text in items]

    def log_probability(self, text: str) -> float:
        words = [word.strip(".,?!;:()").lower() for word in text.split()]
        cost = sum(1.0 if word in self.usual else 25.0 for word in words)
        return -cost - self.per_character * len(text)

    def choose(self, messages: Sequence[BaseMessage], options: Sequence[str]) -> FakeChoice:
        if isinstance(self.agreement, Exception):
            raise self.agreement
        return FakeChoice((self.agreement, 1 - self.agreement))


@dataclass(frozen=True)
class FakeSuggestion:
    """A word near a written one."""

    word: str
    distance: int
    frequency: int


@dataclass(eq=False)  # one lexicon is itself alone, as the real one is
class FakeLexicon:
    """A handful of words with their frequencies."""

    frequencies: dict[str, int]
    alike: dict[str, list[str]] = field(default_factory=dict)

    def __contains__(self, word: object) -> bool:
        return isinstance(word, str) and word.lower() in self.frequencies

    @property
    def clinical(self) -> frozenset[str]:
        return frozenset(word for word, count in self.frequencies.items() if count == CLINICAL)

    @property
    def familiar(self) -> frozenset[str]:
        return frozenset(word for word, count in self.frequencies.items() if count >= CLINICAL)

    def mistaken(self, word: str) -> Sequence[str]:
        return [other for other in sorted(self.familiar) if Levenshtein.distance(other, word) == 1]

    def split(self, word: str, limit: int = 4) -> Sequence[FakeSuggestion]:
        return []

    def joined(self, first: str, second: str) -> str | None:
        return None

    def frequency(self, word: str) -> int:
        return self.frequencies.get(word.lower(), 0)

    def suggest(self, word: str, max_distance: int = 2, limit: int = 8) -> Sequence[FakeSuggestion]:
        near = [
            FakeSuggestion(other, distance, self.frequencies[other])
            for other in self.frequencies
            if (distance := Levenshtein.distance(other, word.lower())) <= max_distance
        ]
        return sorted(near, key=lambda one: (one.distance, -one.frequency))[:limit]

    def homophones(self, word: str, limit: int = 8) -> Sequence[str]:
        return self.alike.get(word.lower(), [])

    def taken_for(self, word: str) -> Sequence[str]:
        return self.alike.get(word.lower(), [])


COMMON = 100_000_000
CLINICAL = 5_000_000
RARE = 1_000


def small_lexicon(extra: Iterable[str] = ()) -> FakeLexicon:
    """Enough English for the tests' questions."""
    common = "is are the a in of there this what which any shown left right no used to take"
    common += " was and fell his bike"
    clinical = "lung lungs liver heart lesion pleural effusion pneumothorax modality organ image"
    clinical += " patient evidence normal"
    words = {word: COMMON for word in [*common.split(), *extra]}
    words |= {word: CLINICAL for word in clinical.split()} | {"plural": RARE}
    return FakeLexicon(words, {"plural": ["pleural"], "pleural": ["plural"]})


def small_chat(**changes: Any) -> ScriptedChat:
    """A model to which the small lexicon's words are usual, `plural` is not."""
    usual = frozenset(small_lexicon().frequencies) - {"plural", "fell", "bike", "his"}
    return ScriptedChat(usual=usual, **changes)


class FakeCalibrator:
    """Counts its passes; perceives what it is told to."""

    alpha = 0.04

    def __init__(self, kind: str = "clean", error: Exception | None = None) -> None:
        self.kind = kind
        self.error = error
        self.forwards = 0

    def __call__(self, image: MedicalImage, *, calibrate: bool = True) -> CalibratedImage:
        if self.error is not None:
            raise self.error
        self.forwards += 1
        noisy = self.kind != "clean"
        perception = NoisePerception(
            kind=self.kind,
            severity=3 if noisy else 0,
            probability=0.9,
            clean_p_value=0.001 if noisy else 0.7,
            posterior={self.kind: 0.9, "clean": 0.1},
        )
        report = CalibrationReport(applied=calibrate and noisy, reason="the gate is closed")
        features = EncodedImage(image.sha256, (image.height, image.width), None)
        restored = grey_square() if report.applied else None
        return CalibratedImage(features, perception, report, restored)


def grey_square(value: int = 128, side: int = 16) -> MedicalImage:
    """A plain image."""
    return read_image(np.full((side, side, 3), value, dtype=np.uint8))
