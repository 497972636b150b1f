"""The noise in many images, batch by batch; an image that is refused leaves its line instead."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from imc_app.perceivers import Perceiver
from imc_app.refusals import refusal_line

if TYPE_CHECKING:
    from vision.reading.medical_image import MedicalImage
    from vision.report import NoisePerception

TOGETHER_PIXELS = 32_000_000
"""A batch is perceived early once it holds so many: 16 large radiographs would fill the memory."""


@dataclass(frozen=True)
class PerceivedFile:
    """One image file and the noise found in it."""

    path: Path
    image: MedicalImage
    noise: NoisePerception


@dataclass(frozen=True)
class RefusedFile:
    """A file that gave no result, and the line that says why."""

    path: Path
    why: str


def perceive_files(
    batches: Iterator[list[Path]],
    open_perceiver: Callable[[], Perceiver],
    frame: int | None,
    corrupt: Callable[[MedicalImage], MedicalImage] = lambda image: image,
) -> Iterator[PerceivedFile | RefusedFile]:
    """Yield a result for every path, in order; `corrupt` adds noise on purpose.

    `open_perceiver` is called once, when the first image was read: where none can be, nothing is
    loaded. What it raises, and faults of ours, are raised.
    """
    perceiver: Perceiver | None = None
    for paths in batches:
        for held in read_parts(paths, frame, corrupt):
            if perceiver is None and not all(isinstance(image, str) for _, image in held):
                perceiver = open_perceiver()
            yield from _perceive(perceiver, held)


Held = list[tuple[Path, "MedicalImage | str"]]
"""Each path with its image, or the line that says why there is none."""


def read_parts(
    paths: Sequence[Path],
    frame: int | None,
    corrupt: Callable[[MedicalImage], MedicalImage] = lambda image: image,
) -> Iterator[Held]:
    """The images of paths, in parts of at most `TOGETHER_PIXELS` and one image."""
    from vision.reading.medical_image import read_image

    held: Held = []
    pixels = 0
    for path in paths:
        try:
            image = corrupt(read_image(path, frame=frame))
        except ValueError as error:
            held.append((path, refusal_line(error)))
            continue
        held.append((path, image))
        pixels += image.width * image.height
        if pixels >= TOGETHER_PIXELS:
            yield held
            held, pixels = [], 0
    if held:
        yield held


def _perceive(perceiver: Perceiver | None, held: Held) -> Iterator[PerceivedFile | RefusedFile]:
    images = [image for _, image in held if not isinstance(image, str)]
    found: list[NoisePerception | str] = []
    if perceiver is not None and images:
        try:
            found = list(perceiver.perceive_batch(images))
        except ValueError as error:
            refusal_line(error)  # raises what is no refusal
            # one image cannot be examined: which one is found by perceiving each alone
            found = [_perceive_alone(perceiver, image) for image in images]
    noises = iter(found)
    for path, image in held:
        if isinstance(image, str):
            yield RefusedFile(path, image)
            continue
        noise = next(noises)
        if isinstance(noise, str):
            yield RefusedFile(path, f"{path}: {noise}")
        else:
            yield PerceivedFile(path, image, noise)


def _perceive_alone(perceiver: Perceiver, image: MedicalImage) -> NoisePerception | str:
    try:
        return perceiver.perceive(image)
    except ValueError as error:
        return refusal_line(error)
