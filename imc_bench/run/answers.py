"""The answers of a run: one for each distinct pair of features and question, in batches."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from langchain_core.messages import AIMessage, convert_to_messages

from imc_agents.errors import QuestionRefused
from imc_bench.methods import PreparedImage, Tools, local_chat


@dataclass(frozen=True)
class AnswerRequest:
    """A question to be answered about an image."""

    item_id: str
    image: PreparedImage
    question: str
    """As the model is shown it, with its options."""

    @property
    def key(self) -> tuple[str, str]:
        """Equal for requests that must have the same answer."""
        return self.image.key, self.question


@dataclass(frozen=True)
class ModelAnswer:
    """One answer of the model."""

    text: str
    confidence: float
    ms: float
    """Milliseconds, an equal share of its batch."""


class Answers:
    """Asks the model."""

    def __init__(self, tools: Tools) -> None:
        """Raises RunRefused where the model is remote."""
        self._tools, self._chat = tools, local_chat(tools.context)

    def ask(
        self, requests: Iterable[AnswerRequest], refused: dict[str, str], alive: Callable[[], None]
    ) -> dict[tuple[str, str], ModelAnswer]:
        """An answer by `AnswerRequest.key`; `refused` gets the items whose question is refused."""
        wanted: dict[tuple[str, str], list[AnswerRequest]] = {}
        for request in requests:
            wanted.setdefault(request.key, []).append(request)
        answered: dict[tuple[str, str], ModelAnswer] = {}
        alike = list(wanted.values())
        for start in range(0, len(alike), self._tools.batch):
            batch = alike[start : start + self._tools.batch]
            answers = self._answers([same[0] for same in batch])
            for same, answer in zip(batch, answers, strict=True):
                if isinstance(answer, ModelAnswer):
                    answered[same[0].key] = answer
                else:
                    refused.update({request.item_id: answer for request in same})
            alive()
        return answered

    def _answers(self, requests: Sequence[AnswerRequest]) -> list[ModelAnswer | str]:
        """Each answer, or why its question was refused."""
        prompt, policy = self._tools.context.prompts.answer, self._tools.context.policy
        start = time.perf_counter()
        try:
            replies = self._chat.generate_batch(
                [convert_to_messages(prompt.messages(question=one.question)) for one in requests],
                features=[one.image.features for one in requests],
                max_new_tokens=policy.max_answer_tokens,
            )
        except QuestionRefused as error:
            if len(requests) == 1:
                return [str(error)]
            return [answer for one in requests for answer in self._answers([one])]
        ms = (time.perf_counter() - start) * 1000.0 / len(requests)
        return [ModelAnswer(str(reply.text).strip(), _confidence(reply), ms) for reply in replies]


def _confidence(reply: AIMessage) -> float:
    return min(1.0, max(0.0, float(reply.response_metadata.get("confidence", 0.0))))
