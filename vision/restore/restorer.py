"""The pixel stage: a linear estimate of the clean picture, applied before the encoder.

    x' = x + sum_k p_k w_k . phi(x)

p_k is the posterior of class k, a kind and severity. phi(x) of a pixel holds its context
(`vision.restore.pixel_context`), the additive loss and the smooth gain that kernel regression on
prototypes of the kind predicts (`vision.restore.landmarks` on `vision.restore.thumbnails`), and a
piecewise linear curve of its brightness (`vision.restore.tone_curves`). Every w_k is a closed-form
ridge regression; the posterior mean of the clean picture under a mixture of classes is the mixture
of their posterior means. The change is added to every colour plane alike, so that colour
differences stay as they are.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from vision.encoder.seen_size import MIN_SIDE
from vision.encoder.vision_encoder import VisionEncoder
from vision.reading.medical_image import MedicalImage
from vision.reading.resizing import resize_rgb
from vision.report import UNKNOWN
from vision.restore.landmarks import LandmarkRegression
from vision.restore.pixel_context import CHANNELS, weighted_context
from vision.restore.thumbnails import SIDE, apply_gain, enlarged, thumbnail, thumbnail_vectors
from vision.restore.tone_curves import TONE_FEATURES, curve_covariates, tone_change

PROTOTYPE_FEATURES = 3
"""Features from prototypes: the additive loss, the change by the gain, its change of detail."""
PIXEL_FEATURES = CHANNELS + PROTOTYPE_FEATURES + TONE_FEATURES
"""Entries of phi: pixel context, prototype features, tone features."""

_BATCH = 16
_BATCH_AREA = 16 * 336 * 336
"""Most pixels of a batch, which bounds memory; a single picture may have more."""

_CORRECTIONS = 2
"""Corrections of an enlarged change: of grain's error in what the model sees, .10 is left without,
.03 with one, .02 with two or more (LLaVA-NeXT, pictures of 600 x 800 pixels seen at 504 x 672)."""


@dataclass(frozen=True)
class Prototypes:
    """The regressions on prototypes of one kind of noise."""

    additive: LandmarkRegression
    """Grey thumbnail vectors -> additive loss in each cell, (n, SIDE ** 2)."""
    gain: LandmarkRegression
    """Log thumbnail vectors -> coefficients of the smooth log gain, (n, ORDERS ** 2)."""


@dataclass(frozen=True)
class PixelRestorer:
    """Predicts the change from a noisy picture to the clean one, under class weights."""

    classes: tuple[tuple[str, int], ...]
    """(kind, severity) of each map; the last is ("unknown", 0), fitted on all kinds together."""
    maps: Tensor
    """(classes, PIXEL_FEATURES) weights w_k."""
    prototypes: Mapping[str, Prototypes]
    """By kind, `unknown` included."""

    def __call__(self, grey: Tensor, weights: Tensor) -> Tensor:
        """Change (images, H, W) of grey pictures in [0, 1] under weights (images, classes)."""
        change = torch.zeros_like(grey)
        batch = max(1, min(_BATCH, _BATCH_AREA // (grey.shape[1] * grey.shape[2])))
        for start in range(0, len(grey), batch):
            part = slice(start, start + batch)
            change[part] = self._change(grey[part], weights[part])
        return change

    def _change(self, grey: Tensor, weights: Tensor) -> Tensor:
        change = weighted_context(grey, weights @ self.maps[:, :CHANNELS])
        for kind in self.prototypes:
            own = torch.tensor([name == kind for name, _ in self.classes])
            combined = weights[:, own] @ self.maps[own, CHANNELS:]
            rows = (weights[:, own].sum(dim=1) > 0).nonzero().flatten()
            if len(rows):
                some = grey[rows]
                on_prototypes = combined[rows, :PROTOTYPE_FEATURES]
                on_tones = combined[rows, PROTOTYPE_FEATURES:]
                lost, gain = self.predict_loss_and_gain(kind, some)
                features = prototype_features(some, lost, gain)
                change[rows] += torch.einsum("nchw,nc->nhw", features, on_prototypes)
                change[rows] += tone_change(some, curve_covariates(some, lost, gain), on_tones)
        return change

    def predict_loss_and_gain(self, kind: str, grey: Tensor) -> tuple[Tensor, Tensor]:
        """Predictions of a kind's prototypes for pictures (images, H, W).

        Returns the additive loss (images, SIDE ** 2) and the gain coefficients (images, ORDERS**2).
        """
        plain, logarithmic = thumbnail_vectors(grey)
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
        """Rebuild from `to_tensors`.

        Raises KeyError where an array is missing, ValueError where the maps have a wrong shape.
        """
        maps = tensors["maps"]
        if maps.shape != (len(classes), PIXEL_FEATURES):
            wanted = (len(classes), PIXEL_FEATURES)
            raise ValueError(f"pixel maps of shape {tuple(maps.shape)}, not {wanted}")

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


def prototype_features(grey: Tensor, lost: Tensor, gain: Tensor) -> Tensor:
    """Predicted loss and gain as changes of each pixel: (images, PROTOTYPE_FEATURES, H, W).

    Args:
        grey: (images, H, W) in [0, 1].
        lost: (images, SIDE ** 2) additive loss in each cell.
        gain: (images, ORDERS ** 2) coefficients of the log gain.
    """
    shape = (grey.shape[1], grey.shape[2])
    added = enlarged(lost.reshape(-1, SIDE, SIDE), shape)
    bright = apply_gain(grey, gain)
    detail = bright - enlarged(thumbnail(grey), shape)
    return torch.stack([added, bright - grey, detail], dim=1)


def grey_tensor(image: MedicalImage) -> Tensor:
    """(H, W) brightness in [0, 1]: the mean of the colour planes."""
    return torch.from_numpy(image.rgb.astype(np.float32).mean(axis=2) / 255.0)


def at_size(image: MedicalImage, size: tuple[int, int]) -> MedicalImage:
    """`image` resized to (height, width) pixels, bicubic, as image processors do."""
    if (image.height, image.width) == size:
        return image
    return MedicalImage.from_rgb(resize_rgb(image.rgb, size), image.source_format)


def enlarged_change(change: Tensor, shape: tuple[int, int]) -> Tensor:
    """A change (h, w) for a picture of `shape`, such that the picture, reduced, has changed by it.

    Bicubic enlarging and the processor's reducing each lose fine detail. So what is lost after both
    is added, enlarged, a few times (van Cittert's iteration).
    """
    wanted = change[None, None]
    large = torch.zeros(1, 1, *shape)
    left = wanted
    for _ in range(1 + _CORRECTIONS):
        large = large + F.interpolate(left, size=shape, mode="bicubic", align_corners=False)
        left = wanted - F.interpolate(
            large, size=wanted.shape[2:], mode="bicubic", align_corners=False, antialias=True
        )
    return large[0, 0]


def restorer_classes(classes: tuple[tuple[str, int], ...]) -> tuple[tuple[str, int], ...]:
    """The classes of a restorer's maps: every noisy class of a bank, then unknown."""
    return (*(pair for pair in classes if pair[1] > 0), (UNKNOWN, 0))


@dataclass(frozen=True)
class WorkingImage:
    """An image with the size at which it is restored."""

    image: MedicalImage
    """Resized to the model's input size where it has one; else at its own size."""
    size: tuple[int, int]
    """(height, width) in pixels at which its change is computed."""

    @classmethod
    def of(cls, image: MedicalImage, encoder: VisionEncoder) -> WorkingImage:
        """`image` with the size at which the model sees it (`VisionEncoder.working_size`).

        Where the model has one input size the image is brought to it, so that it is not resized
        after restoration; else it keeps its own, so that it is cut into the same tiles.
        """
        fixed = encoder.fixed_size(image.height, image.width)
        size = encoder.working_size(image.height, image.width)
        return cls(image if fixed is None else at_size(image, fixed), size)

    @property
    def grey(self) -> Tensor:
        """(H, W) in [0, 1] at the working size."""
        return grey_tensor(at_size(self.image, self.size))

    def restored(self, change: Tensor) -> MedicalImage:
        """The image with `change` (H, W), at the working size, added to every colour plane."""
        shape = (self.image.height, self.image.width)
        if self.size != shape:
            change = enlarged_change(change, shape)
        rgb = self.image.rgb.astype(np.float32) + 255.0 * change.numpy()[:, :, None]
        whole = np.clip(np.rint(rgb), 0, 255).astype(np.uint8)
        return MedicalImage.from_rgb(whole, self.image.source_format)


def predict_changes(
    restorer: PixelRestorer, workings: Sequence[WorkingImage], weights: Tensor
) -> list[Tensor]:
    """The change (H, W) of each picture at its working size, under weights (n, classes).

    Zeros where a side is shorter than `MIN_SIDE`. Pictures of one size are computed as a batch.
    """
    together: dict[tuple[int, int], list[int]] = {}
    for position, working in enumerate(workings):
        together.setdefault(working.size, []).append(position)
    changes: dict[int, Tensor] = {}
    for size, positions in together.items():
        if min(size) < MIN_SIDE:
            changes.update((i, torch.zeros(size)) for i in positions)
            continue
        grey = torch.stack([workings[i].grey for i in positions])
        changes.update(zip(positions, restorer(grey, weights[positions]), strict=True))
    return [changes[i] for i in range(len(workings))]
