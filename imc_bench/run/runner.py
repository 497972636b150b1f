"""The rows of one unit of a plan under every method.

Within a unit everything is done once: a noisy image is encoded once for each image side of the
methods and shared by all its questions, a question is refined once for each text side, and an
answer is generated once for each pair of features and question, in batches. Memory holds one unit,
whatever the run's length.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from imc_bench.conditions import Condition
from imc_bench.methods import Method, PreparedImage, PreparedQuestion, Tools
from imc_bench.metrics.scoring import score
from imc_bench.metrics.text_distance import character_error, new_violations
from imc_bench.plan import Plan, Unit
from imc_bench.run.answers import AnswerRequest, Answers, ModelAnswer
from imc_bench.run.driver import Advance, ThisProcess, drive
from imc_bench.run.image_preparation import ImagePreparer
from imc_bench.run.question_preparation import QuestionPreparer
from imc_bench.store.result_store import Store
from imc_bench.store.units import RunProgress
from imc_data.items import VQAItem


@dataclass(frozen=True)
class RunSettings:
    """What a run needs to know beside its plan and its methods."""

    dataset: str
    split: str
    run_key: str
    noise_at: str = "input"
    """`input`: noise on the image as the model's processor will size it; `native`: before."""
    seed: int = 0
    keep_text: bool = False


class Runner:
    """Measures units of one plan with one model."""

    def __init__(
        self, plan: Plan, methods: Sequence[Method], tools: Tools, settings: RunSettings
    ) -> None:
        """Raises RunRefused where the model's input size is unknown, or the model is remote."""
        self.plan, self.methods, self.settings = plan, methods, settings
        self._images = ImagePreparer(
            plan, methods, tools, noise_at=settings.noise_at, seed=settings.seed
        )
        self._questions = QuestionPreparer(methods, tools)
        self._answers = Answers(tools)

    def run(self, store: Store, advance: Advance = lambda progress: None) -> RunProgress:
        """Work until the whole run is done, by this process and whoever shares it.

        Raises StoreRefused where the store cannot be written; what was written is safe.
        """
        return drive(store, ThisProcess(self), advance)

    def measure(
        self, unit: Unit, alive: Callable[[], None] = lambda: None
    ) -> tuple[list[dict[str, object]], list[dict[str, object]]]:
        """The rows of one unit, and the items that had to be left out; `alive` between batches."""
        condition, seed = unit.condition, self.settings.seed
        given = {
            item.item_id: condition.corrupt_text(item.question, item.item_id, seed)
            for item in unit.items
        }
        refused: dict[str, str] = {}
        images = self._images.prepare(unit, refused, alive)
        questions = self._questions.prepare(given, refused, alive)
        requests = {
            (item, method.name): AnswerRequest(
                item.item_id,
                images[method.image_side, item.image],
                _shown(questions[method.text_side, given[item.item_id]].text, item),
            )
            for item in unit.items
            if item.item_id not in refused
            for method in self.methods
        }
        answers = self._answers.ask(requests.values(), refused, alive)
        rows = [
            self._row(
                condition,
                item,
                method,
                given[item.item_id],
                questions[method.text_side, given[item.item_id]],
                requests[item, method.name].image,
                answers[requests[item, method.name].key],
            )
            for item in unit.items
            if item.item_id not in refused
            for method in self.methods
        ]
        skipped: list[dict[str, object]] = [
            {**_cell(condition), "item_id": item_id, "why": why} for item_id, why in refused.items()
        ]
        return rows, skipped

    def _row(
        self,
        condition: Condition,
        item: VQAItem,
        method: Method,
        given: str,
        question: PreparedQuestion,
        image: PreparedImage,
        answer: ModelAnswer,
    ) -> dict[str, object]:
        perceived = image.perception
        return {
            "run_key": self.settings.run_key,
            "dataset": self.settings.dataset,
            "split": self.settings.split,
            "item_id": item.item_id,
            "image": self._images.name(condition, item),
            "image_group": item.image_group,
            "topic": item.topic,
            "closed": int(item.closed),
            **_cell(condition),
            "noise_at": self.settings.noise_at,
            "method": method.name,
            "prediction": answer.text,
            "answer": item.answer,
            "confidence": round(answer.confidence, 6),
            "correct_strict": int(score("strict", answer.text, item).correct),
            "question_noisy": int(given != item.question),
            "question_edited": int(question.text != given),
            "question_restored": int(question.text == item.question),
            "cer_before": round(character_error(item.question, given), 6),
            "cer_after": round(character_error(item.question, question.text), 6),
            "protected_violations": len(new_violations(item.question, given, question.text)),
            "touched": int(image.touched),
            "perceived_kind": "" if perceived is None else perceived.kind,
            "perceived_severity": 0 if perceived is None else perceived.severity,
            "clean_p_value": None if perceived is None else round(perceived.clean_p_value, 6),
            "calls": question.calls + 1,
            "ms": round(image.ms + question.ms + answer.ms, 3),
            "question_asked": question.text if self.settings.keep_text else None,
        }


def _cell(condition: Condition) -> dict[str, object]:
    return {
        "image_noise": condition.image_noise,
        "image_severity": condition.image_severity,
        "text_noise": condition.text_noise,
        "text_severity": condition.text_severity,
    }


def _shown(question: str, item: VQAItem) -> str:
    """The question with its options, where it has some; noise and methods never touch those."""
    return f"{question}\nOptions: {'; '.join(item.options)}" if item.options else question
