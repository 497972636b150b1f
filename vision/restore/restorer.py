"""The pixel stage: what a noise took away from the picture, before the encoder sees it.

    x' = x + sum_k p_k w_k . phi(x)

with p_k the posterior of kind and severity k, and phi(x) of a pixel its context
(`vision.restore.pixel_context`), what prototypes of that kind say was lost there: additively, and
as a smooth gain (`vision.restore.landmarks` on `vision.restore.thumbnails`), and a curve of its
brightness (`vision.restore.tone_curves`). Every map is closed form; the posterior
mean of the clean picture under a mixture of kinds is the mixture of their posterior means.
Colour planes get the same change: noise is restored in brightness, colour differences stay.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from vision.encoder.vision_encoder import VisionEncoder
from vision.reading.medical_image import MedicalImage
from vision.reading.resizing import resize_rgb
from vision.report import UNKNOWN
from vision.restore.landmarks import LandmarkRegression
from vision.restore.pixel_context import CHANNELS, read_out
from vision.restore.thumbnails import SIDE, brightened, enlarged, thumbnail, vectors
from vision.restore.tone_curves import TONES, drives, toned

RECALLED = 3
"""The additive loss, the gain's change and its change of detail."""
READ = CHANNELS + RECALLED + TONES
"""Entries of phi: the context, what prototypes recall, the tone."""
LEAST_SIDE = 16
"""Pictures with a shorter side than this are not restored."""

_BATCH = 16
_VARYING_SIDE = 224
"""Shorter side at which pictures are restored for models whose input size varies."""


@dataclass(frozen=True)
class Prototypes:
    """What prototypes of one kind say of a noisy picture."""

    additive: LandmarkRegression
    """Of grey thumbnails: the loss in each cell."""
    gain: LandmarkRegression
    """Of log thumbnails: the smooth log gain's coefficients."""


@dataclass(frozen=True)
class PixelRestorer:
    """Restores pictures of known, mixed or unknown noise."""

    classes: tuple[tuple[str, int], ...]
    """(kind, severity) of each map; the last is ("unknown", 0), pooled over all kinds."""
    maps: Tensor
    """(classes, READ)."""
    prototypes: Mapping[str, Prototypes]
    """By kind, `unknown` included."""

    def __call__(self, grey: Tensor, weights: Tensor) -> Tensor:
        """What to add to pictures (images, H, W) in [0, 1] under weights (images, classes)."""
        change = torch.zeros_like(grey)
        for start in range(0, len(grey), _BATCH):
            part = slice(start, start + _BATCH)
            change[part] = self._change(grey[part], weights[part])
        return change

    def _change(self, grey: Tensor, weights: Tensor) -> Tensor:
        change = read_out(grey, weights @ self.maps[:, :CHANNELS])
        for kind in self.prototypes:
            own = torch.tensor([name == kind for name, _ in self.classes])
            read = weights[:, own] @ self.maps[own, CHANNELS:]
            rows = (weights[:, own].sum(dim=1) > 0).nonzero().flatten()
            if len(rows):
                some, heard = grey[rows], read[rows]
                lost, gain = self.told(kind, some)
                told = recalled(some, lost, gain)
                change[rows] += torch.einsum("nchw,nc->nhw", told, heard[:, :RECALLED])
                change[rows] += toned(some, drives(some, lost, gain), heard[:, RECALLED:])
        return change

    def told(self, kind: str, grey: Tensor) -> tuple[Tensor, Tensor]:
        """(loss (images, SIDE ** 2), gain coefficients) that the kind's prototypes tell."""
        plain, logarithmic = vectors(grey)
        return self.prototypes[kind].additive(plain), self.prototypes[kind].gain(logarithmic)

    def to_tensors(self) -> dict[str, Tensor]:
        """Every array by name."""
        tensors = {"maps": self.maps}
        for kind, known in self.prototypes.items():
            for side, regression in (("additive", known.additive), ("gain", known.gain)):
                for name, tensor in regression.to_tensors().items():
                    tensors[f"{kind}.{side}.{name}"] = tensor
        return tensors

    @classmethod
    def from_tensors(
        cls, classes: tuple[tuple[str, int], ...], tensors: Mapping[str, Tensor]
    ) -> PixelRestorer:
        """Rebuild from `to_tensors`; KeyError or ValueError where something does not fit."""
        maps = tensors["maps"]
        if maps.shape != (len(classes), READ):
            raise ValueError(f"pixel maps of shape {tuple(maps.shape)}, not {(len(classes), READ)}")

        def regression(prefix: str) -> LandmarkRegression:
            return LandmarkRegression.from_tensors(
                {
                    name[len(prefix) :]: tensor
                    for name, tensor in tensors.items()
                    if name.startswith(prefix)
                }
            )

        kinds = dict.fromkeys(kind for kind, _ in classes)
        known = {
            kind: Prototypes(regression(f"{kind}.additive."), regression(f"{kind}.gain."))
            for kind in kinds
        }
        return cls(classes, maps, known)


def recalled(grey: Tensor, lost: Tensor, gain: Tensor) -> Tensor:
    """What prototypes told, as changes of each pixel: (images, 3, H, W)."""
    shape = (grey.shape[1], grey.shape[2])
    added = enlarged(lost.reshape(-1, SIDE, SIDE), shape)
    bright = brightened(grey, gain)
    detail = bright - enlarged(thumbnail(grey), shape)
    return torch.stack([added, bright - grey, detail], dim=1)


def grey_tensor(image: MedicalImage) -> Tensor:
    """(H, W) brightness in [0, 1]: the mean of the colour planes."""
    return torch.from_numpy(image.rgb.astype(np.float32).mean(axis=2) / 255.0)


def at_size(image: MedicalImage, size: tuple[int, int]) -> MedicalImage:
    """`image` brought to (height, width) pixels as processors do (bicubic)."""
    if (image.height, image.width) == size:
        return image
    return MedicalImage.from_rgb(resize_rgb(image.rgb, size), image.source_format)


def unknown_last(classes: tuple[tuple[str, int], ...]) -> tuple[tuple[str, int], ...]:
    """The maps' classes: every noisy class of a bank, then unknown."""
    return (*(pair for pair in classes if pair[1] > 0), (UNKNOWN, 0))


@dataclass(frozen=True)
class Working:
    """An image and the size at which it is restored."""

    image: MedicalImage
    """At that size where every image of the model has one; else as it is."""
    size: tuple[int, int]
    """(height, width) in pixels."""

    @classmethod
    def of(cls, image: MedicalImage, encoder: VisionEncoder) -> Working:
        """At the size that the model's processor brings it to, so that nothing is resized after
        noise was taken away; where that varies, the change is made small and enlarged."""
        size = encoder.input_size(image.height, image.width)
        if size is not None and encoder.has_fixed_tokens:
            return cls(at_size(image, size), size)
        scale = min(1.0, _VARYING_SIDE / min(image.height, image.width))
        return cls(image, (round(image.height * scale), round(image.width * scale)))

    @property
    def grey(self) -> Tensor:
        """(H, W) in [0, 1] at the working size."""
        return grey_tensor(at_size(self.image, self.size))

    def restored(self, change: Tensor) -> MedicalImage:
        """The image with a change (H, W) at the working size added to every colour plane."""
        shape = (self.image.height, self.image.width)
        if self.size != shape:
            change = F.interpolate(
                change[None, None], size=shape, mode="bicubic", align_corners=False
            )[0, 0]
        rgb = self.image.rgb.astype(np.float32) + 255.0 * change.numpy()[:, :, None]
        whole = np.clip(np.rint(rgb), 0, 255).astype(np.uint8)
        return MedicalImage.from_rgb(whole, self.image.source_format)


def restorations(
    restorer: PixelRestorer, workings: Sequence[Working], weights: Tensor
) -> list[Tensor]:
    """What `restorer` adds to each picture (H, W) at its working size, under weights (n, classes);
    nothing to one that is too small. Pictures of one size go together."""
    together: dict[tuple[int, int], list[int]] = {}
    for position, working in enumerate(workings):
        together.setdefault(working.size, []).append(position)
    changes: dict[int, Tensor] = {}
    for size, positions in together.items():
        if min(size) < LEAST_SIDE:
            changes.update((i, torch.zeros(size)) for i in positions)
            continue
        grey = torch.stack([workings[i].grey for i in positions])
        changes.update(zip(positions, restorer(grey, weights[positions]), strict=True))
    return [changes[i] for i in range(len(workings))]
