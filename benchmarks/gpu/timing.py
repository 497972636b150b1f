"""Times and memory of one model: each method on clean and on noisy inputs, alone and in a batch."""

from __future__ import annotations

import itertools
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, Literal, cast, get_args

import torch

from graphs.context import IMCContext
from graphs.imc import build_imc_graph
from graphs.stores import FeatureStore
from imc_agents.chat.chat_model import ChatLocalMLLM
from imc_agents.policy import Margins, Method
from imc_bench.methods import Tools, get_methods
from imc_bench.run.answers import AnswerRequest, Answers
from imc_noise import CORE_TEXT, Severity, apply_image, apply_text, noise_rng
from imc_reference.corpus import as_rgb
from imc_reference.phantoms import make_phantom
from vision.acquisition import AcquisitionHalf
from vision.reading.medical_image import MedicalImage

Input = Literal["clean", "noisy"]
METHODS: tuple[Method, ...] = get_args(Method)
QUESTIONS = (
    "Does the scan show a mass in the liver?",
    "Where is the hyperdense lesion?",
    "Is there a lesion in the left lung?",
)
"""Words of the first two have alternatives, which are scored; those of the last have none."""
SEVERITY: Severity = 4
IMAGE_NOISES = ("gaussian", "low_contrast", "low_dose")
_WIDE = Margins.model_validate(dict.fromkeys(Margins.model_fields, 1e6))
"""No clean question is suspected: what margins that were measured for a model are for. Under the
shipped ones a model of random weights suspects many."""


@dataclass(frozen=True)
class Asked:
    """A picture and a question about it."""

    image: MedicalImage
    question: str


def draw_inputs(kind: Input, side: int, count: int, seed: int) -> list[Asked]:
    """Phantoms, `side` pixels wide, and questions; clean, or with one noise each.

    The clean pictures are such as PDC leaves alone, the noisy ones such as it restores.
    """
    return list(itertools.islice(_inputs(kind, side, seed), count))


def _inputs(kind: Input, side: int, seed: int) -> Iterator[Asked]:
    half = AcquisitionHalf.shipped()
    for number in itertools.count():
        rng = np_rng(seed, number)
        rgb, question = as_rgb(make_phantom(rng, size=side).image), QUESTIONS[number % 3]
        if kind == "noisy":
            question = QUESTIONS[number % 3 - 1]
            noise = IMAGE_NOISES[number % 3]
            rgb = apply_image(noise, rgb, SEVERITY, noise_rng(f"{seed} {number}", noise, SEVERITY))
            noise = CORE_TEXT[number % len(CORE_TEXT)]
            text_rng = noise_rng(f"{seed} {number}", noise, SEVERITY)
            question = apply_text(noise, question, SEVERITY, text_rng)
        image = MedicalImage.from_rgb(rgb)
        (found,) = half.restore_batch([image])
        if (found.image is image) is (kind == "clean"):
            yield Asked(image, question)


def np_rng(*seed: int) -> Any:
    """A generator of this check's own draws."""
    import numpy as np

    return np.random.default_rng([8_231, *seed])


@dataclass
class Row:
    """One method on one kind of input; lists hold one entry a repeat."""

    model: str
    kind: Input
    method: Method
    alone: list[float] = field(default_factory=list)
    """Seconds of one question."""
    together: list[float] = field(default_factory=list)
    """Seconds of a batch."""
    calls: list[int] = field(default_factory=list)
    """Passes through the language model for one question."""
    peak_alone: int = 0
    """Bytes on the device beside the weights, at most."""
    peak_together: int = 0


@dataclass
class Timing:
    """Measures one model.

    Args:
        context: over the model, with the `imc` method's policy.
        name: of the model.
        device: of the model.
        weights: bytes of the model.
        inputs: by kind; each batch and each repeat takes others, from the first on.
        batch: questions of a batch.
        repeats: of the single questions.
    """

    context: IMCContext
    name: str
    device: torch.device
    weights: int
    inputs: dict[Input, list[Asked]]
    batch: int
    repeats: int

    def __post_init__(self) -> None:
        """One more chat model over the same model, for batches of this size."""
        chat = cast("ChatLocalMLLM", self.context.chat)
        self.batching = chat.from_parts(
            chat.model, chat.processor, chat.model_name, batch_size=self.batch
        )

    def run(self, rows: list[Row]) -> None:
        """Measure; every row is in `rows` from the start, and filled as the measurement goes on."""
        made = [Row(self.name, kind, method) for kind in self.inputs for method in METHODS]
        rows += made
        contexts = {(row.kind, row.method): self._context(row) for row in made}
        for kind, asked in self.inputs.items():  # the first questions pay for what is made lazily
            for one in asked[-2:]:
                self._ask(contexts[kind, "imc"], one)
        # methods take turns: what else the machine does meets all of them
        for number in range(self.repeats):
            for row in made:
                one = self.inputs[row.kind][number]
                ask = partial(self._ask, contexts[row.kind, row.method], one)
                seconds, peak, calls = self._measured(ask)
                row.alone.append(seconds)
                row.calls.append(calls)
                row.peak_alone = max(row.peak_alone, peak)
        tools = {
            key: Tools(replace(context, chat=self.batching), self.batch)
            for key, context in contexts.items()
        }
        for first in (True, False):
            for row in made:
                asked = self.inputs[row.kind][: self.batch]
                if first and row.method != "imc":
                    continue  # of each kind one batch, to begin with
                ask = partial(_ask_all, row.method, asked, tools[row.kind, row.method])
                seconds, peak, _ = self._measured(ask)
                if not first:
                    row.together.append(seconds)
                    row.peak_together = max(row.peak_together, peak)

    def _context(self, row: Row) -> IMCContext:
        """A store of features of its own: no method finds what another has encoded."""
        margins = {"margins": _WIDE} if row.kind == "clean" else {}
        context = self.context.with_policy(method=row.method, **margins)
        return replace(context, features=FeatureStore())

    @staticmethod
    def _ask(context: IMCContext, asked: Asked) -> int:
        """One question through the graph; the passes that it took."""
        given: Any = {"image": context.images.put(asked.image), "question": asked.question}
        state = build_imc_graph().invoke(given, context=context)
        if state["answer"].failure:
            raise RuntimeError(f"a question was not answered: {state['answer'].failure}")
        return sum(step.calls for step in state["trace"])

    def _measured(self, work: Callable[[], int]) -> tuple[float, int, int]:
        """Seconds, peak bytes beside the weights, and what the work returns."""
        on_gpu = self.device.type == "cuda"
        if on_gpu:
            torch.cuda.synchronize(self.device)
            torch.cuda.reset_peak_memory_stats(self.device)
        start = time.perf_counter()
        found = work()
        if on_gpu:
            torch.cuda.synchronize(self.device)
        seconds = time.perf_counter() - start
        peak = torch.cuda.max_memory_allocated(self.device) - self.weights if on_gpu else 0
        return seconds, peak, found


def _ask_all(name: Method, asked: Sequence[Asked], tools: Tools) -> int:
    """A batch, as `imc bench run` does it; the number of answers."""
    (method,) = get_methods([name])
    images = method.prepare_images([one.image for one in asked], tools)
    questions = method.prepare_questions([one.question for one in asked], tools)
    requests = [
        AnswerRequest(str(number), image, question.text)
        for number, (image, question) in enumerate(zip(images, questions, strict=True))
    ]
    refused: dict[str, str] = {}
    found = Answers(tools).ask(requests, refused, lambda: None)
    if refused:
        raise RuntimeError(f"{len(refused)} of {len(requests)} questions were not answered")
    return len(found)


def ratio(rows: Sequence[Row], of: Row, times: Literal["alone", "together"]) -> float | None:
    """A row's median time over that of `none` on the same inputs; None where one is missing."""
    (bare,) = (
        row
        for row in rows
        if (row.model, row.kind, row.method) == (of.model, of.kind, "none")
    )
    own, other = getattr(of, times), getattr(bare, times)
    return statistics.median(own) / statistics.median(other) if own and other else None
