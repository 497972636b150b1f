"""A contact sheet: one image under every noise at five severities, with SSIM to the clean one.

The pictures are those that a run would show the model: the same draws by the image's own hash and
the seed, and at `input` the same pixels.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from imc_bench.conditions import Condition, RunRefused, make_conditions
from imc_bench.metrics.similarity import grey_plane, ssim
from imc_bench.phantom_items import PHANTOM_SIZE
from imc_noise import CORE_IMAGE, EXTENDED_IMAGE, Noise, get_noise
from imc_noise.image.planes import GREY_SPREAD
from imc_noise.strengths import NOT_BY_SSIM
from vision.reading.medical_image import MedicalImage
from vision.reading.resizing import resize_rgb

Pixels = NDArray[np.uint8]
NoiseAt = Literal["input", "native", "bounded"]
Advance = Callable[[int, int], None]
"""Called with the number of pictures done, and of all."""

SEVERITIES = (1, 2, 3, 4, 5)
BOUND = 512
"""Longest side in pixels at `bounded`: every noise in half a minute, at a size of the severities'
own calibration."""
SMALLEST, LARGEST = 16, 2048
"""Input sizes that a sheet is made at, in pixels a side."""
TILE = 224
"""Longest side of a tile in pixels; larger pictures are shrunk for display alone."""
SET_BY_SSIM = frozenset(CORE_IMAGE + EXTENDED_IMAGE) - frozenset(NOT_BY_SSIM)
PLACES = 3
"""Decimals of an SSIM: of what is printed, and of what is compared from severity to severity."""


@dataclass(frozen=True)
class SheetRequest:
    """What a sheet is to show."""

    noises: tuple[str, ...] = ("core", "extended")
    """As `imc_bench.conditions.make_conditions` takes them."""
    noise_at: NoiseAt = "bounded"
    """Where image noise is added: `native`, on the image as it is; `input`, on the image squeezed
    into a square of `size`, as the embedded model's processor does; `bounded`, on the image as it
    is unless its longest side is over `BOUND`."""
    size: int | None = None
    """Pixels a side at `input`; None: the embedded model's."""
    seed: int = 0
    question: str | None = field(default=None, repr=False)
    """Shown under the text noises; None: no text noise is shown."""


@dataclass(frozen=True)
class SheetRow:
    """Image noise at severity 1..5."""

    noises: tuple[Noise, ...]
    """Added in this order; most rows have one."""
    tiles: tuple[Pixels, ...] = field(repr=False)
    """(h, w, 3) each, as large as they are displayed."""
    ssim: tuple[float, ...]
    """To the clean image, at the size that the noise was added to."""
    changes: bool
    """Some severity changed some pixel."""

    @property
    def name(self) -> str:
        """As a run names it."""
        return "+".join(noise.name for noise in self.noises)

    @property
    def recoverable(self) -> bool:
        """What the noise hides can, in principle, be restored."""
        return all(noise.recoverable for noise in self.noises)

    @property
    def by_ssim(self) -> bool:
        """The severities were set by SSIM bands, not in steps of the noise's own unit."""
        return self.name in SET_BY_SSIM

    @property
    def monotone(self) -> bool:
        """No severity is more like the clean image than the one below it."""
        return all(later <= earlier for earlier, later in pairwise((1.0, *self.ssim)))


@dataclass(frozen=True)
class SheetQuestion:
    """The question under one text noise at severity 1..5."""

    noise: Noise
    corrupted: tuple[str, ...] = field(repr=False)


@dataclass(frozen=True)
class Sheet:
    """Everything that a contact sheet shows."""

    sha256: str
    """Of the image as it was read: what the noise is drawn by."""
    width: int
    """Pixels of the image that the noise was added to."""
    height: int
    grey: bool
    """The image counts as grey for the noises (`imc_noise.image.planes`)."""
    noise_at: NoiseAt
    seed: int
    clean: Pixels = field(repr=False)
    """(h, w, 3), as large as it is displayed."""
    rows: tuple[SheetRow, ...]
    questions: tuple[SheetQuestion, ...] = ()

    def remarks(self, row: SheetRow) -> tuple[str, ...]:
        """What a reader of a row's figures should know, in a few words each."""
        said = []
        if not row.changes:
            said.append("no effect on grey" if self.grey else "no effect")
        if not row.by_ssim:
            said.append("not set by SSIM")
        if not row.monotone:
            said.append("SSIM not falling")
        return tuple(said)


def make_sheet(
    image: MedicalImage, request: SheetRequest, advance: Advance = lambda done, total: None
) -> Sheet:
    """Add every noise of the request to the image, and to the question where there is one.

    Raises:
        UnknownNoise: a name that is not there.
        RunRefused: nothing that a sheet can show, a size out of range or an image too small.
    """
    kinds = row_names(request)
    rgb = _sized(image.rgb, request)
    clean = grey_plane(rgb)
    rows: list[SheetRow] = []
    for name in kinds["image"]:
        tiles, likeness, changes = [], [], False
        for severity in SEVERITIES:
            noisy = Condition(name, severity).corrupt_image(rgb, image.sha256, request.seed)
            likeness.append(round(ssim(clean, grey_plane(noisy)), PLACES))
            changes = changes or not np.array_equal(noisy, rgb)
            tiles.append(_tile(noisy))
            advance(len(rows) * len(SEVERITIES) + severity, len(kinds["image"]) * len(SEVERITIES))
        noises = tuple(get_noise(part) for part in name.split("+"))
        rows.append(SheetRow(noises, tuple(tiles), tuple(likeness), changes))
    return Sheet(
        image.sha256,
        rgb.shape[1],
        rgb.shape[0],
        float(np.mean(np.ptp(rgb, axis=2))) <= GREY_SPREAD,
        request.noise_at,
        request.seed,
        _tile(rgb),
        tuple(rows),
        tuple(_corrupted(name, request) for name in kinds["text"]),
    )


def sheet_document(sheet: Sheet) -> dict[str, Any]:
    """The sheet's figures for a program; no pixels."""
    return {
        "image": {"sha256": sheet.sha256, "grey": sheet.grey},
        "width": sheet.width,
        "height": sheet.height,
        "noise_at": sheet.noise_at,
        "seed": sheet.seed,
        "rows": [
            {
                "noise": row.name,
                "modality": "image",
                "recoverable": row.recoverable,
                "ssim": list(row.ssim),
                "monotone": row.monotone,
                "by_ssim": row.by_ssim,
                "changes": row.changes,
            }
            for row in sheet.rows
        ],
        "questions": [
            {
                "noise": row.noise.name,
                "modality": row.noise.modality,
                "recoverable": row.noise.recoverable,
                "corrupted": list(row.corrupted),
            }
            for row in sheet.questions
        ],
    }


def row_names(request: SheetRequest) -> dict[str, list[str]]:
    """The rows of each modality, in order; those of text only where there is a question.

    Raises:
        UnknownNoise, RunRefused: as `make_sheet`.
    """
    found: dict[str, list[str]] = {"image": [], "text": []}
    for condition in make_conditions(request.noises, SEVERITIES[:1])[1:]:
        if not condition.image_severity and not condition.text_severity:
            raise RunRefused(f"{condition.image_noise!r} is no noise but a control; leave it out")
        if condition.image_noise and condition.text_noise:
            raise RunRefused(
                f"'{condition.image_noise}+{condition.text_noise}' is noise on image and question; "
                "a row shows one of them: name them apart"
            )
        if condition.image_noise:
            found["image"].append(condition.image_noise)
        elif request.question is not None:
            found["text"].append(condition.text_noise)
    if not found["image"]:
        raise RunRefused("a sheet needs an image noise; name one, or core or extended")
    return found


def _sized(rgb: Pixels, request: SheetRequest) -> Pixels:
    """The pixels that the noise is added to."""
    height, width = rgb.shape[:2]
    if request.noise_at == "input":
        side = PHANTOM_SIZE if request.size is None else request.size
        if not SMALLEST <= side <= LARGEST:
            raise RunRefused(f"size {side}: give {SMALLEST} to {LARGEST} pixels")
        return resize_rgb(rgb, (side, side))
    if request.size is not None:
        raise RunRefused(
            f"size {request.size} is an input size; leave it out, or add the noise at input"
        )
    longest = max(height, width)
    if request.noise_at == "native" or longest <= BOUND:
        return rgb
    scale = BOUND / longest
    return resize_rgb(rgb, (max(1, round(height * scale)), max(1, round(width * scale))))


def _tile(rgb: Pixels) -> Pixels:
    """The picture as it is displayed: shrunk where it is large, small ones in whole pixels."""
    height, width = rgb.shape[:2]
    longest = max(height, width)
    if longest <= TILE:
        times = TILE // longest
        return rgb.repeat(times, axis=0).repeat(times, axis=1)
    scale = TILE / longest
    return resize_rgb(rgb, (max(1, round(height * scale)), max(1, round(width * scale))))


def _corrupted(name: str, request: SheetRequest) -> SheetQuestion:
    """Drawn by the question itself, as `imc ask --noise` draws."""
    question = request.question or ""
    return SheetQuestion(
        get_noise(name),
        tuple(
            Condition(text_noise=name, text_severity=severity).corrupt_text(
                question, question, request.seed
            )
            for severity in SEVERITIES
        ),
    )
