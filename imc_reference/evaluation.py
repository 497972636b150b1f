"""Measuring the reference model: real data, its controls, and phantoms by topic.

Every answer is generated greedily by `generate` on the model as it is loaded from its folder, and
scored by the strict rule. Controls: another patient's image (a seeded draw, each image once), a
blank image, and the most common training answer of the same question (question-only lookup).
"""

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from transformers import AutoModelForImageTextToText

from imc_data.errors import DataRefused
from imc_data.strict_match import is_right
from imc_reference.architecture import IMAGE_SIZE, load_processor
from imc_reference.corpus import as_rgb
from imc_reference.phantoms import make_phantom
from imc_reference.prompting import answer_prompt, chat_text
from imc_reference.questions import Pair, phantom_pairs
from imc_reference.real_data import RealImage, load_slake, load_vqa_rad, question_prior

PHANTOM_SEED = 20_251
"""Far from the training seeds; evaluation phantoms are never trained on."""

DRAWS = 1000

Say = Callable[[str], None]


@dataclass(frozen=True)
class EvaluateConfig:
    """What to measure; without `data` only phantoms are."""

    model: Path
    data: Path | None = None
    slake_split: str = "validate"
    phantoms: int = 400
    images: int | None = None
    """Most images of each real data set, drawn by the seed; None: all."""
    batch: int = 48
    max_new_tokens: int = 48
    seed: int = 0


@dataclass(frozen=True)
class Share:
    """A share of right answers with its 95 % interval, bootstrapped by image."""

    value: float
    low: float
    high: float
    count: int


@dataclass
class EvaluationReport:
    """All measured shares: `tables[data set][condition][all|open|closed or topic]`."""

    tables: dict[str, dict[str, dict[str, Share]]] = field(default_factory=dict)
    config: dict[str, Any] = field(default_factory=dict)

    def to_json(self) -> str:
        """The report as JSON, with stable key order."""
        return json.dumps(self.to_dict(), indent=1)

    def to_dict(self) -> dict[str, Any]:
        """The same as plain values."""
        return {"config": self.config, "tables": _plain(self.tables)}

    @classmethod
    def from_dict(cls, stated: dict[str, Any]) -> "EvaluationReport":
        """What `to_dict` gave."""
        tables = {
            data: {
                condition: {name: Share(**share) for name, share in shares.items()}
                for condition, shares in conditions.items()
            }
            for data, conditions in stated["tables"].items()
        }
        return cls(tables, dict(stated["config"]))


def _plain(value: Any) -> Any:
    if isinstance(value, Share):
        return {k: round(v, 4) if isinstance(v, float) else v for k, v in asdict(value).items()}
    if isinstance(value, dict):
        return {k: _plain(v) for k, v in value.items()}
    return value


class Answerer:
    """Answers many questions about images, each image encoded once."""

    def __init__(self, config: EvaluateConfig) -> None:
        self.config = config
        self.model = AutoModelForImageTextToText.from_pretrained(
            config.model, local_files_only=True, use_safetensors=True, dtype=torch.float32
        ).eval()
        self.processor = load_processor(str(config.model))
        self.role = answer_prompt(self.model.config)
        self.tokenizer = self.processor.tokenizer
        self.tokenizer.padding_side = "left"

    def prompt(self, question: str) -> str:
        """The chat prompt of one question about one image."""
        return chat_text(self.processor, self.role, question)

    def answers(
        self, images: Sequence[NDArray[np.uint8]], questions: Sequence[tuple[int, str]]
    ) -> list[str]:
        """Greedy answers; each question names its image by index."""
        return self.answers_from(self._features(images), questions)

    def answers_from(
        self, features: Sequence[torch.Tensor], questions: Sequence[tuple[int, str]]
    ) -> list[str]:
        """The same from projected features (tokens, width) of each image."""
        answers: list[str] = []
        for start in range(0, len(questions), self.config.batch):
            chunk = questions[start : start + self.config.batch]
            # the processor expands each image slot into the tokens its picture takes
            inputs = self.processor(
                images=[_BLANK] * len(chunk),
                text=[self.prompt(question) for _, question in chunk],
                return_tensors="pt",
                padding=True,
            )
            inputs.pop("pixel_values")
            output = self._encoder_output(torch.stack([features[index] for index, _ in chunk]))
            with torch.inference_mode():
                ids = self.model.generate(
                    **inputs,
                    mm_encoder_outputs={"image": output},
                    max_new_tokens=self.config.max_new_tokens,
                    do_sample=False,
                )
            new = ids[:, inputs["input_ids"].shape[1] :]
            answers += [
                str(t).strip() for t in self.tokenizer.batch_decode(new, skip_special_tokens=True)
            ]
        return answers

    def _features(self, images: Sequence[NDArray[np.uint8]]) -> list[torch.Tensor]:
        features: list[torch.Tensor] = []
        for start in range(0, len(images), self.config.batch):
            chunk = [Image.fromarray(image) for image in images[start : start + self.config.batch]]
            pixels = self.processor.image_processor(chunk, return_tensors="pt")["pixel_values"]
            with torch.inference_mode():
                output = self.model.get_image_features(pixel_values=pixels, return_dict=True)
            features += list(output.pooler_output)
        return features

    @staticmethod
    def _encoder_output(stacked: torch.Tensor) -> Any:
        from transformers.modeling_outputs import BaseModelOutputWithPooling

        return BaseModelOutputWithPooling(pooler_output=list(stacked))


_BLANK = Image.new("RGB", (IMAGE_SIZE, IMAGE_SIZE))


def evaluate(
    config: EvaluateConfig, progress: Say = lambda line: None, answerer: Answerer | None = None
) -> EvaluationReport:
    """Measure the model; raises `DataRefused` when a data set is named but not there.

    `answerer` None: every question by `generate`, alone.
    """
    report = EvaluationReport(
        config={
            "slake_split": config.slake_split,
            "phantoms": config.phantoms,
            **({} if config.images is None else {"images": config.images}),
            "phantom_seed": PHANTOM_SEED,
            "bootstrap_seed": config.seed,
            "scoring": "strict",
        }
    )
    answerer = answerer if answerer is not None else Answerer(config)
    if config.data is not None:
        train = _training_pairs(config.data, progress)
        for name, every in _real_sets(config.data, config.slake_split, progress):
            images = _drawn(every, config)
            progress(f"{name}: {sum(len(i.pairs) for i in images)} questions")
            report.tables[name] = _real_table(answerer, images, train, config.seed)
    progress(f"phantom: {config.phantoms} images")
    report.tables["phantom"] = {"image": _phantom_table(answerer, config)}
    return report


def _real_sets(data: Path, split: str, progress: Say) -> list[tuple[str, list[RealImage]]]:
    """The real data sets that are there; one that is not is named, none at all is refused."""
    found: list[tuple[str, list[RealImage]]] = []
    missing: list[str] = []
    for name, load, folder, part in (
        (f"slake {split}", load_slake, "slake", split),
        ("vqa-rad test", load_vqa_rad, "vqa-rad", "test"),
    ):
        try:
            found.append((name, load(data / folder, part)))
        except DataRefused as error:
            missing.append(str(error))
            progress(f"not measured: {error}")
    if not found:
        raise DataRefused("; ".join(missing))
    return found


def _drawn(images: list[RealImage], config: EvaluateConfig) -> list[RealImage]:
    """At most so many images, in their own order."""
    if config.images is None or config.images >= len(images):
        return images
    rng = np.random.default_rng(config.seed)
    chosen = rng.choice(len(images), size=config.images, replace=False)
    return [images[int(index)] for index in sorted(chosen)]


def _training_pairs(data: Path, progress: Say) -> list[RealImage]:
    """Training pairs for the question-only lookup, as far as they are there."""
    train: list[RealImage] = []
    for name, load in (("slake", load_slake), ("vqa-rad", load_vqa_rad)):
        try:
            train += load(data / name, "train")
        except DataRefused:
            progress(f"question-only lookup goes without {name} train: it is not there")
    return train


def _real_table(
    answerer: Answerer, images: list[RealImage], train: list[RealImage], seed: int
) -> dict[str, dict[str, Share]]:
    pixels = [np.asarray(Image.open(image.path).convert("RGB")) for image in images]
    asked = [(row, pair) for row, image in enumerate(images) for pair in image.pairs]
    questions = [(row, pair.question) for row, pair in asked]
    by_question, overall = question_prior(train) if train else ({}, {})
    other = _derangement(len(images), seed)
    swapped = [(other[row], question) for row, question in questions]
    blank = [(0, question) for _, question in questions]
    conditions: dict[str, list[str]] = {
        "image": answerer.answers(pixels, questions),
        "other patient": answerer.answers(pixels, swapped),
        "blank image": answerer.answers([np.zeros_like(pixels[0])], blank),
    }
    if train:
        conditions["question-only lookup"] = [
            by_question.get(pair.question.lower(), overall.get(pair.closed, ""))
            for _, pair in asked
        ]
    return {
        name: _shares(asked, answers, seed, lambda pair: "closed" if pair.closed else "open")
        for name, answers in conditions.items()
    }


def _derangement(count: int, seed: int) -> list[int]:
    """Another index for each of `count`, drawn from `seed`: a random cycle through all of them."""
    order = np.random.default_rng(seed).permutation(count)
    following = np.empty(count, dtype=np.int64)
    following[order] = np.roll(order, -1)
    return [int(index) for index in following]


def _phantom_table(answerer: Answerer, config: EvaluateConfig) -> dict[str, Share]:
    rng = np.random.default_rng(PHANTOM_SEED)
    phantoms = [make_phantom(rng, size=IMAGE_SIZE) for _ in range(config.phantoms)]
    asked = [(row, p) for row, ph in enumerate(phantoms) for p in phantom_pairs(ph, rng)]
    answers = answerer.answers(
        [as_rgb(p.image) for p in phantoms], [(row, p.question) for row, p in asked]
    )
    return _shares(asked, answers, config.seed, lambda pair: pair.topic)


def _shares(
    asked: list[tuple[int, Pair]],
    answers: list[str],
    seed: int,
    group: Callable[[Pair], str],
) -> dict[str, Share]:
    right = [
        is_right(answer, pair.answer, closed=pair.closed)
        for (_, pair), answer in zip(asked, answers, strict=True)
    ]
    names = ["all", *sorted({group(pair) for _, pair in asked})]
    return {name: _share(asked, right, seed, name, group) for name in names}


def _share(
    asked: list[tuple[int, Pair]],
    right: list[bool],
    seed: int,
    name: str,
    group: Callable[[Pair], str],
) -> Share:
    chosen = [i for i, (_, pair) in enumerate(asked) if name in ("all", group(pair))]
    rows = np.array([asked[i][0] for i in chosen])
    hits = np.array([right[i] for i in chosen], dtype=float)
    _, cluster = np.unique(rows, return_inverse=True)
    hit_sum, size = np.bincount(cluster, weights=hits), np.bincount(cluster)
    rng = np.random.default_rng(seed)
    draws = rng.integers(len(size), size=(DRAWS, len(size)))
    values = hit_sum[draws].sum(1) / size[draws].sum(1)
    low, high = np.percentile(values, (2.5, 97.5))
    return Share(float(hits.mean()), float(low), float(high), len(chosen))


def report_lines(report: EvaluationReport) -> Iterator[str]:
    """The report as a Markdown table, a line at a time."""
    yield "| data | condition | questions | right (95 % interval) | count |"
    yield "| --- | --- | --- | --- | --- |"
    for data, conditions in report.tables.items():
        for condition, shares in conditions.items():
            for name, share in shares.items():
                yield (
                    f"| {data} | {condition} | {name} | {share.value:.3f} "
                    f"({share.low:.3f}-{share.high:.3f}) | {share.count} |"
                )
