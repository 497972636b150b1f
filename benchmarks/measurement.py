"""Measuring on `imc_bench`'s runner and store: conditions and methods that no command names.

Each run has a store of its own, named by its content: the same run is never measured twice, a
stopped one goes on where it was, and another model, half or code begins another store. The same
command in a second process takes a share of the work.
"""

from __future__ import annotations

import argparse
import hashlib
import re
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from graphs.context import IMCContext, load_context
from imc_agents.policy import Policy
from imc_bench.conditions import Condition
from imc_bench.datasets import load_dataset, load_pixels
from imc_bench.methods import BaselineMethod, Method, PreparedImage, Side, Tools, encode
from imc_bench.metrics.bootstrap import ClusterBootstrap
from imc_bench.plan import Plan
from imc_bench.run.session import CheckedRequest, RunRequest, identity_of, open_run
from imc_bench.store.result_store import Store
from imc_data.items import LoadedSet, VQAItem
from imc_reference import MODEL_DIR
from vision.encoder.vision_encoder import EncodedImage
from vision.pdc import Calibrator
from vision.reading.medical_image import MedicalImage

Pixels = NDArray[np.uint8]
Corruption = Callable[[Pixels, str], Pixels]
"""(pixels (H, W, 3), name of the image's own pixels) -> corrupted pixels."""

ANSWER_TOKENS = 16
"""Where answers are cut."""


@dataclass(frozen=True)
class NamedCondition(Condition):
    """A condition with a corruption of its own: `image_noise` is its name; clean without one."""

    corruption: Corruption | None = field(default=None, compare=False, kw_only=True)

    def corrupt_image(self, rgb: Pixels, name: str, seed: int) -> Pixels:
        """The pixels as this condition shows them."""
        return rgb if self.corruption is None else self.corruption(rgb, name)


class CalibratedBy(BaselineMethod):
    """PDC with a calibrator of its own, which may depend on the condition."""

    acts_on: Side = "image"

    def __init__(self, name: str, make: Callable[[Condition | None], Calibrator]) -> None:
        self.name = self.image_side = name
        self.make = make

    def prepare_images(self, images: Sequence[MedicalImage], tools: Tools) -> list[PreparedImage]:
        """As PDC calibrates; several methods share the answers about features that are equal."""
        context = replace(tools.context, calibrator=self.make(tools.condition))
        prepared = encode(images, replace(tools, context=context), calibrate=True)
        return [
            replace(one, key=features_digest(one.features)) if one.touched else one
            for one in prepared
        ]


def features_digest(encoded: EncodedImage) -> str:
    """SHA-256 of an image's projected features: equal for features that are bit-identical."""
    projected = encoded.output.pooler_output
    parts = [projected] if isinstance(projected, torch.Tensor) else list(projected)
    made = hashlib.sha256()
    for part in parts:
        made.update(part.detach().cpu().float().numpy().tobytes())
    return made.hexdigest()


@dataclass(frozen=True)
class Responses:
    """What one method answered under one condition, in the order of the items."""

    answers: list[str]
    right: list[bool]
    touched: int
    """Images that the method changed."""


@dataclass
class Measurement:
    """Items, a model, and the folder of its stores."""

    context: IMCContext
    items: Sequence[VQAItem]
    folder: Path
    code: str
    """Digest of whatever else determines an answer."""
    clusters: Mapping[str, str]
    """By image group the name of its cluster: draws of the bootstrap follow their order."""

    def __post_init__(self) -> None:
        self.bootstrap = ClusterBootstrap([self.clusters[item.image_group] for item in self.items])
        self._stores: dict[str, Path] = {}
        self._responses: dict[Path, dict[tuple[str, str], Responses]] = {}

    def image_names(self) -> dict[str, str]:
        """The image's group by the name of its own pixels: what `Corruption` is given."""
        images = {item.image: item for item in self.items}
        return {load_pixels(item).sha256: item.image_group for item in images.values()}

    def checked(self, conditions: Sequence[Condition], methods: Sequence[Method]) -> CheckedRequest:
        """A run as `imc_bench` has it."""
        return CheckedRequest(
            RunRequest("benchmark"),
            tuple(conditions),
            tuple(methods),
            LoadedSet("benchmark", "", tuple(self.items)),
            Plan(self.items, conditions, 0),
            {"code": self.code},
        )

    def store(self, name: str, checked: CheckedRequest) -> Path:
        """Where the rows of the run of this name are."""
        if name not in self._stores:
            slug, key = re.sub(r"\W+", "-", name), identity_of(checked, self.context).run_key
            self._stores[name] = self.folder / f"{slug}-{key}.sqlite"
        return self._stores[name]

    def is_measured(self, store: Path) -> bool:
        """Whether all rows of a run are there."""
        if not store.is_file():
            return False
        with Store.read(store) as opened:
            return opened.progress().complete

    def measure(self, name: str, checked: CheckedRequest) -> Path:
        """Measure what is not measured yet."""
        path = self.store(name, checked)
        if not self.is_measured(path):
            self.folder.mkdir(parents=True, exist_ok=True)
            start, spent = time.monotonic(), time.process_time()
            runner, store = open_run(checked, self.context, path)
            with store:
                runner.run(store)
            say(
                f"{name}: {len(checked.conditions)} conditions in {time.monotonic() - start:.0f} "
                f"s, {time.process_time() - spent:.0f} s of CPU"
            )
        return path

    def responses(self, store: Path, condition: str, method: str) -> Responses:
        """What a method answered under the condition of this name (`""` for clean)."""
        if store not in self._responses:
            self._responses[store] = self._read(store)
        return self._responses[store][condition, method]

    def _read(self, store: Path) -> dict[tuple[str, str], Responses]:
        rows: dict[tuple[str, str], dict[str, Mapping[str, object]]] = {}
        with Store.read(store) as opened:
            for row in opened.rows():
                of_cell = rows.setdefault((row["image_noise"], row["method"]), {})
                of_cell[row["item_id"]] = row
        found = {}
        for cell, by_item in rows.items():
            ordered = [by_item[item.item_id] for item in self.items]
            found[cell] = Responses(
                [str(row["prediction"]) for row in ordered],
                [bool(row["correct_strict"]) for row in ordered],
                len({row["image_group"] for row in ordered if row["touched"]}),
            )
        return found


def load_items(data: Path, dataset: str, split: str, images: int | None) -> list[VQAItem]:
    """All questions on the first so many images of a split, in the order of its file."""
    items = load_dataset(dataset, data, split=split).items
    chosen = set(list(dict.fromkeys(item.image_group for item in items))[:images])
    return [item for item in items if item.image_group in chosen]


def add_model_options(parser: argparse.ArgumentParser) -> None:
    """The options that name a model and its two halves."""
    parser.add_argument("--model", type=Path, default=MODEL_DIR)
    parser.add_argument("--half", type=Path, help="model half; default: the model folder's own")
    parser.add_argument("--acquisition", type=Path, help="acquisition half; default: the shipped")


def open_model(
    model: Path, half: Path | None = None, acquisition: Path | None = None
) -> tuple[IMCContext, Calibrator]:
    """A model, whose answers are cut at `ANSWER_TOKENS`, and its calibrator with both halves."""
    context = load_context(
        model,
        half,
        acquisition=acquisition,
        device="cpu",
        dtype="float32",
        thresholds=False,
        policy=Policy(max_answer_tokens=ANSWER_TOKENS),
    )
    calibrator = context.calibrator
    if calibrator is None or calibrator.model_half is None:
        raise SystemExit(f"{model} has no model half: name one with --half")
    return context, calibrator


def halves_named(calibrator: Calibrator) -> str:
    """Both halves in a few words, for a page."""
    origins = calibrator.acquisition.origins
    half = calibrator.model_half
    built = "" if half is None else f", its model half of {half.images} references"
    return (
        f"the embedded model, an acquisition half of {sum(origins.values())} clean images of "
        f"{len(origins)} origins{built}"
    )


def say(line: str) -> None:
    """Print with the time of day."""
    print(f"{time.strftime('%H:%M:%S')} {line}", flush=True)


_PLACES = {
    "--data": "DATA",
    "--model": "MODEL",
    "--half": "FILE",
    "--acquisition": "FILE",
    "--fit": "FIT",
}
_OUTPUTS = ("--out", "--work", "--json")


def shown_command(arguments: Sequence[str]) -> str:
    """A command's arguments for its page, which names no folder of a machine."""
    kept: list[str] = []
    words = [part for word in arguments for part in _parted(word)]
    for before, word in zip(["", *words], words, strict=False):
        if word in _OUTPUTS or before in _OUTPUTS:
            continue
        kept.append(_PLACES.get(before, word))
    return " ".join(kept)


def _parted(word: str) -> list[str]:
    """`--option=value` as two words."""
    option, given, value = word.partition("=")
    return [option, value] if given and option in {*_PLACES, *_OUTPUTS} else [word]
