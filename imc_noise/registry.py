"""The noises by name: `apply_image`, `apply_text`, and `register_noise` for one of your own.

A noise of this project is one `_image(...)` or `_text(...)` entry below, plus, for an image noise,
its rows in `data/image_strengths.tsv` (`benchmarks/noise_ssim.py --calibrate` makes them).
"""

from __future__ import annotations

from collections import ChainMap
from collections.abc import Callable, Iterable, Mapping, Sequence
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from imc_core.plugins import OwnEntries
from imc_noise.errors import NoiseRefused, UnknownNoise
from imc_noise.image import acquisition, fields, kspace, objects, optics, quanta, sensor, tone
from imc_noise.image.planes import ImageCorruption, check_pixels, corrupt_pixels
from imc_noise.noise import Modality, Noise, OwnNoise, check_strengths
from imc_noise.seeds import Severity, check_severity
from imc_noise.strengths import strength
from imc_noise.text import dictation, distraction, documents, keying, spelling

TextCorruption = Callable[[str, float, np.random.Generator], str]
"""A text noise: text (not blank), severity 1..5, generator -> corrupted text (not blank)."""


OwnImageCorruption = Callable[[NDArray[np.uint8], float, np.random.Generator], NDArray[np.uint8]]
"""A user's image noise: pixels (H, W, 3) uint8, not to be written; strength; generator -> new
pixels of the same shape and type."""

_NOISES: dict[str, Noise] = {}
_OWN: OwnEntries[OwnNoise] = OwnEntries()
_IMAGE: dict[str, ImageCorruption] = {}
_TEXT: dict[str, TextCorruption] = {}


def _image(name: str, corrupt: ImageCorruption, meaning: str, *, recoverable: bool = True) -> None:
    _NOISES[name] = Noise(name, "image", meaning, recoverable)
    _IMAGE[name] = corrupt


def _text(name: str, corrupt: TextCorruption, meaning: str, *, recoverable: bool = True) -> None:
    _NOISES[name] = Noise(name, "text", meaning, recoverable)
    _TEXT[name] = corrupt


_image("gaussian", quanta.gaussian, "Electronic noise of the read-out, the same everywhere.")
_image("low_dose", quanta.low_dose, "Too few X-ray quanta: grain and streaks in dense regions.")
_image("motion", kspace.motion, "The patient moved while k-space was read line by line.")
_image("ghosting", kspace.ghosting, "Pulsation put displaced copies along the phase direction.")
_image("bias_field", fields.bias_field, "An uneven receive coil shades the picture smoothly.")
_image("low_contrast", fields.low_contrast, "Under-exposed and veiled by scatter: little contrast.")
_text("typo", spelling.typo, "Keyboard slips: a neighbouring, swapped, missing or doubled letter.")
_text("ocr", spelling.ocr, "Scanned text misread: shapes that look alike (rn for m, l for 1).")
_text("homophone", dictation.homophone, "Dictation heard another word that sounds the same.")
_text("word_drop", dictation.word_drop, "Words lost, small ones first.", recoverable=False)
_text("distractor", distraction.distractor, "Clinical sentences that are beside the question.")

_image("speckle", sensor.speckle, "Coherent waves interfere: grain in proportion to brightness.")
_image("impulse", sensor.impulse, "Dead and stuck pixels: black and white dots.")
_image("shot", sensor.shot, "Too little light: photons counted one by one in camera or microscope.")
_image("defocus", optics.defocus, "A lens out of focus: every point is a disc.")
_image("zoom", optics.zoom, "The distance changed during the exposure: radial blur.")
_image(
    "pixelate", optics.pixelate, "Stored too small and blown up: square blocks.", recoverable=False
)
_image("jpeg", optics.jpeg, "Lossy compression: blocks of 8 pixels, ringing.", recoverable=False)
_image(
    "brightness_up",
    tone.brightness_up,
    "Over-exposed: every grey scaled up, the brightest lost in white.",
    recoverable=False,
)
_image("brightness_down", tone.brightness_down, "Under-exposed: every grey scaled down.")
_image(
    "contrast_up",
    tone.contrast_up,
    "Window too narrow: greys cut at black and white.",
    recoverable=False,
)
_image("contrast_down", tone.contrast_down, "Window too wide: all greys near their mean.")
_image("gamma_up", tone.gamma_up, "Display curve too steep: mid-greys too dark.")
_image("gamma_down", tone.gamma_down, "Display curve too flat: mid-greys too light.")
_image("saturate", tone.saturate, "Colours too strong; a grey picture stays as it is.")
_image("stain", objects.stain, "A dye spilt on slide, film or lens hides part.", recoverable=False)
_image("bubble", objects.bubble, "Air bubbles before the lens or in the gel.", recoverable=False)
_image(
    "black_corner",
    objects.black_corner,
    "The round aperture of a scope: black corners.",
    recoverable=False,
)
_image(
    "characters", objects.characters, "Letters and digits burnt into the image.", recoverable=False
)
_image("rician", acquisition.rician, "Thermal noise of an MR receiver, with its grey floor.")
_image("kspace_spike", acquisition.kspace_spike, "Discharges in k-space: stripes over the image.")
_image(
    "undersampling",
    acquisition.undersampling,
    "Lines of k-space left out to scan faster: smear and ripple.",
    recoverable=False,
)
_image(
    "sparse_view",
    acquisition.sparse_view,
    "CT from too few views: streaks across the field.",
    recoverable=False,
)
_image("motion_blur", optics.motion_blur, "Moved during the exposure: every point is a line.")
_image("gibbs", kspace.gibbs, "Too small a matrix: blurred, and edges ring.", recoverable=False)
_image(
    "shading",
    fields.shading,
    "Uneven light: one part too bright, another too dark.",
)
_text("transpose", keying.transpose, "Neighbouring letters typed in the wrong order.")
_text("word_swap", keying.word_swap, "Neighbouring words in the wrong order.")
_text("repetition", keying.repetition, "Words stuttered or pasted twice.")
_text("case_punctuation", keying.case_punctuation, "Wrong case; punctuation lost or doubled.")
_text("abbreviation", keying.abbreviation, "Clinical shorthand and words without their vowels.")
_text("ocr_line_breaks", documents.ocr_line_breaks, "Scanned line ends, words divided by hyphens.")
_text("redaction", documents.redaction, "Words blacked out, content first.", recoverable=False)

NOISES: Mapping[str, Noise] = MappingProxyType(ChainMap(_OWN, _NOISES))  # type: ignore[arg-type]
"""Every noise by name, this project's first, then those that were registered."""
CORE_IMAGE = ("gaussian", "low_dose", "motion", "ghosting", "bias_field", "low_contrast")
CORE_TEXT = ("typo", "ocr", "homophone", "word_drop", "distractor")
EXTENDED_IMAGE = tuple(name for name in _IMAGE if name not in CORE_IMAGE)
"""The image noises beyond the core, in the registry's order."""
EXTENDED_TEXT = tuple(name for name in _TEXT if name not in CORE_TEXT)
"""The text noises beyond the core, in the registry's order."""


RESERVED = frozenset({"blank", "clean", "core", "extended", "none", "swapped", "unknown"})
"""Classes of a posterior, and words of `--noises`, that no noise may be called."""


def register_noise(
    name: str,
    corrupt: OwnImageCorruption | TextCorruption,
    *,
    modality: Modality = "image",
    meaning: str = "A noise of your own.",
    strengths: Sequence[float] | None = None,
    recoverable: bool = True,
) -> None:
    """Add a noise of your own to this process: from now on its name is as good as any other.

    It is tried at once on a small image or question. In a plug-in file, it reaches every command
    that takes `--plugin`, among them the fit of an acquisition half that knows it.

    Args:
        name: letters, digits and `_`.
        corrupt: `OwnImageCorruption` or `TextCorruption`. Whatever it draws must come from the
            generator it is given, or nothing could be repeated.
        modality: `image` or `text`.
        meaning: what happened, in one sentence.
        strengths: what `corrupt` is given at severities 1 to 5, in a unit of its own, linear
            between them; without it, the severity.
        recoverable: whether what was there can, in principle, be recovered from what is left.

    Raises:
        NoiseRefused: the name is taken or no name, the strengths are not five numbers, or the
            trial failed: an error, another shape or type, an input changed in place, or draws
            from another source.
    """
    if name in NOISES or name in RESERVED:
        what = "noise" if name in NOISES else "word of reports and commands"
        raise NoiseRefused(f"there is a {what} {name!r} already; give yours another name")
    if not name.isidentifier():
        raise NoiseRefused(f"{name!r} is no name for a noise; use letters, digits and _")
    if modality not in ("image", "text"):
        raise NoiseRefused(f"noise {name!r}: modality {modality!r} is neither image nor text")
    if not callable(corrupt):
        raise NoiseRefused(f"noise {name!r}: corrupt is a {type(corrupt).__name__}, no function")
    steps = check_strengths(name, strengths)
    noise = OwnNoise(name, modality, meaning, recoverable, corrupt, steps)
    noise.check()
    _OWN[name] = noise


def own_noise_digests(names: Iterable[str]) -> dict[str, str]:
    """Of those of `names` that were registered: a digest of function and strengths."""
    return {name: _OWN[name].digest for name in names if name in _OWN}


def get_noise(name: str, modality: Modality | None = None) -> Noise:
    """The noise called `name`, of one modality where that is given.

    Raises:
        UnknownNoise: no such noise has that name; the message lists those there are.
    """
    known = {k: n for k, n in NOISES.items() if modality is None or n.modality == modality}
    if name not in known:
        raise UnknownNoise.named(name, known, modality)
    return known[name]


def apply_image(
    name: str, image: NDArray[np.uint8], severity: Severity, rng: np.random.Generator
) -> NDArray[np.uint8]:
    """`image` corrupted by the image noise `name`; the input is left as it was.

    Args:
        name: one of the image noises of `NOISES`.
        image: (H, W) grey or (H, W, 3) colour, uint8, any size from one pixel.
        severity: 1..5; the strength is calibrated by SSIM for the image's own size.
        rng: where every draw comes from; `noise_rng` makes a stable one.

    Returns:
        A new uint8 array of the same shape. Values are rounded and clipped, never rescaled.

    Raises:
        UnknownNoise: no image noise has that name, or the severity is outside 1..5.
        NoiseRefused: a registered noise fails, or gives anything but such pixels.
        ValueError: `image` is not such an array.
    """
    level = check_severity(severity)
    get_noise(name, "image")
    check_pixels(image)
    if name in _OWN:
        return _OWN[name].corrupt_image(image, level, rng)
    return corrupt_pixels(image, strength(name, level, image.shape), _IMAGE[name], rng)


def apply_text(name: str, text: str, severity: Severity, rng: np.random.Generator) -> str:
    """`text` corrupted by the text noise `name`.

    With the same generator state a higher severity corrupts what a lower one corrupts, and more. At
    least one thing changes wherever the noise finds anything it can change; otherwise (and for
    blank text) the text comes back as it was. A text with words never comes back empty. These are
    noises: what they change may carry meaning (numbers, sides, negation).

    Raises:
        UnknownNoise: no text noise has that name, or the severity is outside 1..5.
        NoiseRefused: a registered noise fails, or gives anything but a text.
    """
    level = check_severity(severity)
    get_noise(name, "text")
    if name in _OWN and text.strip():
        return _OWN[name].corrupt_text(text, level, rng)
    return _TEXT[name](text, level, rng) if text.strip() else text
