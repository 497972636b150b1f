"""One item of a finished run as a method was given it: its image and question, noise included."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from imc_bench.conditions import SWAPPED, Condition, RunRefused
from imc_bench.datasets import load_dataset, load_pixels
from imc_bench.run.image_preparation import input_size
from vision.encoder.vision_encoder import VisionEncoder
from vision.reading.medical_image import MedicalImage
from vision.reading.resizing import resize_rgb


def item_inputs(
    arguments: Mapping[str, Any],
    item_id: str,
    condition: Condition,
    *,
    folder: Path | None,
    encoder: VisionEncoder | None,
) -> tuple[MedicalImage, str]:
    """The image and the question of one item under one condition.

    Args:
        arguments: of the run, as its store holds them.
        item_id: of the item.
        condition: the noise that was put on it.
        folder: of the data set; None for `phantom`.
        encoder: of the model; needed where the noise was put on images at its input size.

    Raises:
        DataRefused: the data set cannot be read.
        RunRefused: it holds no such item any more, or shows it another item's image.
    """
    loaded = load_dataset(
        str(arguments["data_set"]),
        folder,
        split=arguments.get("split") or None,
        limit=arguments.get("limit"),
        seed=int(arguments["seed"]),
    )
    item = next((one for one in loaded.items if one.item_id == item_id), None)
    if item is None:
        raise RunRefused(f"item {item_id!r} is not in {loaded.name}: give the run's own data set")
    if condition.image_noise == SWAPPED:
        raise RunRefused(f"under {condition} an item is shown another item's image: choose another")
    seed = int(arguments["seed"])
    image = load_pixels(item)
    rgb = image.rgb
    if not condition.image_is_clean:
        if arguments.get("noise_at") == "input" and encoder is not None:
            rgb = resize_rgb(rgb, input_size(encoder, image.height, image.width))
        rgb = condition.corrupt_image(rgb, image.sha256, seed)
        image = MedicalImage.from_rgb(rgb, image.source_format)
    return image, condition.corrupt_text(item.question, item.item_id, seed)
