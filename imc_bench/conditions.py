"""What is done to the items before they are asked: which noise, at which severity, on which side.

A condition is clean, one noise, an image noise with a text noise (the 3 × 3 matrix needs both),
several image noises one after the other (what no prototype was fitted for), or
a control: the image blanked, or swapped for another patient's.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from imc_bench.errors import RunRefused as RunRefused
from imc_noise import (
    CORE_IMAGE,
    CORE_TEXT,
    EXTENDED_IMAGE,
    EXTENDED_TEXT,
    Severity,
    apply_image,
    apply_text,
    get_noise,
    noise_rng,
)
from imc_noise.seeds import check_severity

BLANK, SWAPPED = "blank", "swapped"
CONTROLS = (BLANK, SWAPPED)
"""Without the image: black pixels, or the image of another group."""
SUITES = {
    "core": CORE_IMAGE + CORE_TEXT,
    "core-image": CORE_IMAGE,
    "core-text": CORE_TEXT,
    "extended": EXTENDED_IMAGE + EXTENDED_TEXT,
}
"""Names of several noises together."""


@dataclass(frozen=True)
class Condition:
    """What every item of one cell meets. Empty names and severity 0: nothing was done."""

    image_noise: str = ""
    """A noise, several joined by `+`, `blank` or `swapped`."""
    image_severity: Severity = 0
    text_noise: str = ""
    text_severity: Severity = 0

    @property
    def image_noises(self) -> tuple[str, ...]:
        """The noises added to the image, in their order."""
        return tuple(name for name in self.image_noise.split("+") if name not in {"", *CONTROLS})

    @property
    def image_is_clean(self) -> bool:
        """The image is the item's own, untouched."""
        return not self.image_noise

    def __str__(self) -> str:
        """For a reader: `low_dose 3 + typo 3`."""
        parts = [
            f"{name} {severity:g}" if severity else name
            for name, severity in (
                (self.image_noise, self.image_severity),
                (self.text_noise, self.text_severity),
            )
            if name
        ]
        return " + ".join(parts) or "clean"

    def corrupt_image(self, rgb: NDArray[np.uint8], name: str, seed: int) -> NDArray[np.uint8]:
        """The pixels (H, W, 3) as this condition shows them; drawn by the image's name and seed.

        Each of several noises has a generator of its own, so that it draws what it draws alone.
        """
        if self.image_noise == BLANK:
            return np.zeros_like(rgb)
        for noise in self.image_noises:
            rng = noise_rng(name, noise, self.image_severity, seed)
            rgb = apply_image(noise, rgb, self.image_severity, rng)
        return rgb

    def corrupt_text(self, question: str, item_id: str, seed: int) -> str:
        """The question under this condition; drawn by the item's id and the seed."""
        if not self.text_noise:
            return question
        rng = noise_rng(item_id, self.text_noise, self.text_severity, seed)
        return apply_text(self.text_noise, question, self.text_severity, rng)


def make_conditions(noises: Iterable[str], severities: Sequence[Severity]) -> tuple[Condition, ...]:
    """Clean first (what everything is compared with), then every noise at every severity.

    Args:
        noises: names of noises, of `SUITES`, of `CONTROLS` (they have no severity), or noises
            joined by `+`, all at the same severity: image noises, added in this order, and at
            most one text noise.
        severities: 1..5.

    Raises:
        UnknownNoise: a name or a severity that is not there.
        RunRefused: two text noises joined, a noise with itself, or noises without a severity.
    """
    levels = [_plain(severity) for severity in severities]
    found: dict[Condition, None] = {Condition(): None}
    for name in noises:
        for one in SUITES.get(name, (name,)):
            if one in CONTROLS:
                found[Condition(one)] = None
            else:
                if not levels:
                    raise RunRefused(f"noise {one!r} has no severity; give one or more of 1 to 5")
                found.update({_condition(one, level): None for level in levels})
    return tuple(found)


def _plain(severity: Severity) -> Severity:
    value = check_severity(severity)
    return int(value) if value.is_integer() else value


def _condition(name: str, severity: Severity) -> Condition:
    sides: dict[str, list[str]] = {"image": [], "text": []}
    for part in name.split("+"):
        side = sides[get_noise(part).modality]
        if part in side:
            raise RunRefused(f"{name!r} joins {part!r} with itself; give each noise once")
        side.append(part)
    if len(sides["text"]) > 1:
        raise RunRefused(f"{name!r} joins two text noises; join image noises and one text noise")
    image, text = "+".join(sides["image"]), "".join(sides["text"])
    return Condition(image, severity if image else 0, text, severity if text else 0)
