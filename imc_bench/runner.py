"""A run: claims units of the plan, measures each under every method, writes it, until all are done.

Within a unit everything is done once: a noisy image is encoded once for each sight and shared by
all its questions, a question is refined once for each reading, and an answer is generated once for
each pair of features and question, in batches. Memory holds one unit, whatever the run's length.
"""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial

import numpy as np
from langchain_core.messages import AIMessage, convert_to_messages
from numpy.typing import NDArray
from PIL import Image

from imc_agents.errors import QuestionRefused
from imc_agents.questions import check_question
from imc_bench.conditions import SWAPPED, Condition, RunRefused
from imc_bench.errors import DataRefused
from imc_bench.items import BenchItem, ImageSource, load_pixels
from imc_bench.methods import Method, Read, Seen, Tools, local_chat
from imc_bench.plan import Plan, Unit
from imc_bench.scoring import score
from imc_bench.store import Standing, Store
from imc_bench.text_distance import character_error, new_violations
from vision.encoder import VisionEncoder
from vision.errors import ImageRefused
from vision.reading import MedicalImage

POLL_SECONDS = 0.5
"""How often a process without work looks whether another one left some."""
READINGS_HELD = 4096
"""Refined questions kept in memory: the clean ones come again under every image noise."""

Advance = Callable[[Standing], None]


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


@dataclass
class _Made:
    """What a unit's items came to, before the answers."""

    seen: dict[tuple[str, ImageSource], Seen] = field(default_factory=dict)
    read: dict[tuple[str, str], Read] = field(default_factory=dict)
    refused: dict[str, str] = field(default_factory=dict)
    """Item id: why it is left out."""


@dataclass(frozen=True)
class _Told:
    text: str
    confidence: float
    ms: float


class Runner:
    """Measures units of one plan with one model."""

    def __init__(
        self, plan: Plan, methods: Sequence[Method], tools: Tools, settings: RunSettings
    ) -> None:
        """Raises RunRefused where the model's input size is unknown, or the model is remote."""
        if tools.context.calibrator is None:
            raise RunRefused("the model has no image side: answers cannot be measured")
        self.plan, self.methods, self.tools, self.settings = plan, methods, tools, settings
        self.chat = local_chat(tools.context)
        self.encoder = tools.context.calibrator.encoder
        if settings.noise_at == "input":
            input_size(self.encoder, 64, 64)
        self._clean: dict[tuple[str, ImageSource], Seen] = {}
        self._clean_chunk = -1
        self._readings: OrderedDict[tuple[str, str], Read] = OrderedDict()

    def run(self, store: Store, advance: Advance = lambda standing: None) -> Standing:
        """Work until the whole run is done, by this process and whoever shares it.

        Raises StoreRefused where the store cannot be written; what was written is safe.
        """
        try:
            while True:
                number = store.claim()
                if number is not None:
                    start = time.perf_counter()
                    rows, skipped = self.measure(
                        self.plan.unit(number), partial(store.renew, number)
                    )
                    store.finish(number, rows, skipped, time.perf_counter() - start)
                standing = store.standing()
                advance(standing)
                if standing.complete:
                    return standing
                if number is None:
                    time.sleep(POLL_SECONDS)
        finally:
            store.release()

    def measure(
        self, unit: Unit, alive: Callable[[], None] = lambda: None
    ) -> tuple[list[dict[str, object]], list[dict[str, object]]]:
        """The rows of one unit, and the items that had to be left out; `alive` between batches."""
        condition, seed = unit.condition, self.settings.seed
        made = _Made()
        given = {
            item.item_id: condition.spoil_text(item.question, item.item_id, seed)
            for item in unit.items
        }
        self._see(unit, made, alive)
        self._read(unit, given, made, alive)
        told = self._ask(unit, given, made, alive)
        rows = [
            self._row(unit.condition, item, given[item.item_id], method, made, told)
            for item in unit.items
            if item.item_id not in made.refused
            for method in self.methods
        ]
        skipped: list[dict[str, object]] = [
            {**_cell(condition), "item_id": item_id, "why": why}
            for item_id, why in made.refused.items()
        ]
        return rows, skipped

    # -- images ---------------------------------------------------------------------------------

    def _see(self, unit: Unit, made: _Made, alive: Callable[[], None]) -> None:
        """Features of every image of the unit under every sight; clean ones are kept for the chunk.

        An image that cannot be read leaves its items out.
        """
        if unit.chunk != self._clean_chunk:
            self._clean, self._clean_chunk = {}, unit.chunk
        sights = {method.sight: method for method in self.methods}
        by_image: dict[ImageSource, list[BenchItem]] = {}
        for item in unit.items:
            by_image.setdefault(item.image, []).append(item)
        if unit.condition.image_is_clean:
            made.seen.update(self._clean)
        waiting = [
            image for image in by_image if any((sight, image) not in made.seen for sight in sights)
        ]
        for start in range(0, len(waiting), self.tools.batch):
            pictures = {}
            for image in waiting[start : start + self.tools.batch]:
                try:
                    pictures[image] = self._picture(unit.condition, by_image[image][0])
                except (ImageRefused, DataRefused) as error:
                    for item in by_image[image]:
                        made.refused[item.item_id] = str(error)
            for sight, method in sights.items():
                if pictures:
                    seen = method.see(list(pictures.values()), self.tools)
                    made.seen.update(
                        {(sight, image): one for image, one in zip(pictures, seen, strict=True)}
                    )
            alive()
        if unit.condition.image_is_clean:
            self._clean = dict(made.seen)

    def _picture(self, condition: Condition, item: BenchItem) -> MedicalImage:
        shown = self.plan.swapped[item.image] if condition.image_noise == SWAPPED else item
        image = load_pixels(shown)
        rgb = image.rgb
        if self.settings.noise_at == "input":
            rgb = _resized(rgb, input_size(self.encoder, image.height, image.width))
        # named by the file's own pixels: the same draw at either resolution
        return MedicalImage.from_rgb(
            condition.spoil_image(rgb, image.sha256, self.settings.seed), image.source_format
        )

    # -- questions ------------------------------------------------------------------------------

    def _read(
        self, unit: Unit, given: dict[str, str], made: _Made, alive: Callable[[], None]
    ) -> None:
        """Each question under every reading; one that no model can be put leaves its item out."""
        for item in unit.items:
            if item.item_id not in made.refused:
                try:
                    check_question(given[item.item_id])
                except QuestionRefused as error:
                    made.refused[item.item_id] = str(error)
        readings = {method.reading: method for method in self.methods}
        for reading, method in readings.items():
            wanted = dict.fromkeys(
                given[item.item_id] for item in unit.items if item.item_id not in made.refused
            )
            for question in wanted:
                held = self._readings.get((reading, question))
                if held is not None:
                    self._readings.move_to_end((reading, question))
                    made.read[reading, question] = held
            left = [question for question in wanted if (reading, question) not in made.read]
            for start in range(0, len(left), self.tools.batch):
                questions = left[start : start + self.tools.batch]
                for question, result in zip(
                    questions, self._read_some(method, questions), strict=True
                ):
                    if isinstance(result, Read):
                        made.read[reading, question] = result
                        self._hold(reading, question, result)
                        continue
                    for item in unit.items:
                        if given[item.item_id] == question:
                            made.refused[item.item_id] = result
                alive()

    def _read_some(self, method: Method, questions: list[str]) -> list[Read | str]:
        """What the method made of each, or why it was refused."""
        try:
            return list(method.read(questions, self.tools))
        except QuestionRefused as error:
            if len(questions) == 1:
                return [str(error)]
            return [one for question in questions for one in self._read_some(method, [question])]

    def _hold(self, reading: str, question: str, read: Read) -> None:
        self._readings[reading, question] = read
        while len(self._readings) > READINGS_HELD:
            self._readings.popitem(last=False)

    # -- answers --------------------------------------------------------------------------------

    def _ask(
        self, unit: Unit, given: dict[str, str], made: _Made, alive: Callable[[], None]
    ) -> dict[tuple[str, str], _Told]:
        """An answer for each distinct pair of features and question, in batches."""
        wanted: dict[tuple[str, str], tuple[Seen, list[BenchItem]]] = {}
        for item in unit.items:
            if item.item_id in made.refused:
                continue
            for method in self.methods:
                seen = made.seen[method.sight, item.image]
                question = _shown(made.read[method.reading, given[item.item_id]].text, item)
                wanted.setdefault((seen.key, question), (seen, []))[1].append(item)
        told: dict[tuple[str, str], _Told] = {}
        pairs = list(wanted)
        for start in range(0, len(pairs), self.tools.batch):
            batch = pairs[start : start + self.tools.batch]
            answers = self._answers(batch, [wanted[pair][0] for pair in batch])
            for pair, answer in zip(batch, answers, strict=True):
                if isinstance(answer, _Told):
                    told[pair] = answer
                    continue
                for item in wanted[pair][1]:
                    made.refused[item.item_id] = answer
            alive()
        return told

    def _answers(self, pairs: Sequence[tuple[str, str]], seen: Sequence[Seen]) -> list[_Told | str]:
        """Each answer, or why its question was refused."""
        prompt, policy = self.tools.context.prompts.answer, self.tools.context.policy
        start = time.perf_counter()
        try:
            replies = self.chat.generate_batch(
                [convert_to_messages(prompt.messages(question=text)) for _, text in pairs],
                features=[one.features for one in seen],
                max_new_tokens=policy.max_answer_tokens,
            )
        except QuestionRefused as error:
            if len(pairs) == 1:
                return [str(error)]
            alone = zip(pairs, seen, strict=True)
            return [answer for pair, one in alone for answer in self._answers([pair], [one])]
        ms = (time.perf_counter() - start) * 1000.0 / len(pairs)
        return [_Told(str(reply.text).strip(), _confidence(reply), ms) for reply in replies]

    # -- rows -----------------------------------------------------------------------------------

    def _row(
        self,
        condition: Condition,
        item: BenchItem,
        given: str,
        method: Method,
        made: _Made,
        told: dict[tuple[str, str], _Told],
    ) -> dict[str, object]:
        seen, read = made.seen[method.sight, item.image], made.read[method.reading, given]
        answer = told[seen.key, _shown(read.text, item)]
        edited = read.text != given
        perceived = seen.perception
        return {
            "run_key": self.settings.run_key,
            "dataset": self.settings.dataset,
            "split": self.settings.split,
            "item_id": item.item_id,
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
            "question_edited": int(edited),
            "question_restored": int(read.text == item.question),
            "cer_before": round(character_error(item.question, given), 6),
            "cer_after": round(character_error(item.question, read.text), 6),
            "protected_violations": len(new_violations(item.question, given, read.text)),
            "touched": int(seen.touched),
            "perceived_kind": "" if perceived is None else perceived.kind,
            "perceived_severity": 0 if perceived is None else perceived.severity,
            "clean_p_value": None if perceived is None else round(perceived.clean_p_value, 6),
            "calls": read.calls + 1,
            "ms": round(seen.ms + read.ms + answer.ms, 3),
            "question_asked": read.text if self.settings.keep_text else None,
        }


def _cell(condition: Condition) -> dict[str, object]:
    return {
        "image_noise": condition.image_noise,
        "image_severity": condition.image_severity,
        "text_noise": condition.text_noise,
        "text_severity": condition.text_severity,
    }


def _shown(question: str, item: BenchItem) -> str:
    """The question with its options, where it has some; noise and methods never touch those."""
    return f"{question}\nOptions: {'; '.join(item.options)}" if item.options else question


def _confidence(reply: AIMessage) -> float:
    return min(1.0, max(0.0, float(reply.response_metadata.get("confidence", 0.0))))


def input_size(encoder: VisionEncoder, height: int, width: int) -> tuple[int, int]:
    """(height, width) in pixels that the model's processor brings an image of this size to.

    Raises RunRefused for a processor whose size varies with more than the image's shape.
    """
    side = encoder.input_side
    if side is None:
        raise RunRefused(
            "this model's processor has no fixed input size; put the noise on the images as they "
            "are with --noise-at native"
        )
    if encoder.has_fixed_tokens and not _keeps_shape(encoder.processor):
        return side, side
    short = min(height, width)
    return max(1, round(height * side / short)), max(1, round(width * side / short))


def _keeps_shape(processor: object) -> bool:
    """The processor scales the shorter side and crops, instead of squeezing into a square."""
    size = getattr(getattr(processor, "image_processor", processor), "size", None)
    shortest = (
        size.get("shortest_edge")
        if isinstance(size, dict)
        else getattr(size, "shortest_edge", None)
    )
    return shortest is not None


def _resized(rgb: NDArray[np.uint8], size: tuple[int, int]) -> NDArray[np.uint8]:
    if rgb.shape[:2] == size:
        return rgb
    height, width = size
    small = Image.fromarray(rgb).resize((width, height), Image.Resampling.BICUBIC)
    return np.asarray(small)
