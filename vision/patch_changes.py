"""What calibration changed of an image, patch by patch: for a heat map over the picture."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from vision.encoder.token_layout import infer_layout
from vision.encoder.vision_encoder import EncodedImage
from vision.pdc import CalibratedImage, Calibrator
from vision.reading.medical_image import MedicalImage


@dataclass(frozen=True)
class ImageComparison:
    """An image as it came in, and as the model saw it after calibration."""

    image: MedicalImage
    calibrated: CalibratedImage
    changes: NDArray[np.float32] | None
    """(rows, columns) of patches: norm of the change of a patch's features over the mean norm of
    all patches. None where nothing was changed, or the tokens lie on no known grid: a model that
    cuts images into tiles."""

    def _repr_html_(self) -> str:
        """As a notebook shows it."""
        shown = self.calibrated._repr_html_()
        if self.changes is None:
            return shown
        picture = self.calibrated.restored or self.image
        return shown + heat_overlay(picture, self.changes)._repr_html_()


def compare_image(calibrator: Calibrator, image: MedicalImage) -> ImageComparison:
    """Calibrate one image and measure the change of each patch; two passes of the encoder."""
    calibrated = calibrator(image)
    changes = None
    if calibrated.report.applied:
        changes = patch_changes(calibrator.encoder.encode(image), calibrated.features)
    return ImageComparison(image, calibrated, changes)


def patch_changes(plain: EncodedImage, changed: EncodedImage) -> NDArray[np.float32] | None:
    """The change of each patch between two encodings of one image, as `ImageComparison.changes`."""
    before, after = _tokens(plain), _tokens(changed)
    if before is None or after is None or before.shape != after.shape:
        return None
    layout = infer_layout(before.shape[0], plain.size)
    if not layout.has_grid:
        return None
    before, after = before[layout.prefix :], after[layout.prefix :]
    norm = before.norm(dim=1).mean().clamp_min(1e-9)
    relative = (after - before).norm(dim=1) / norm
    found: NDArray[np.float32] = relative.reshape(layout.height, layout.width).cpu().numpy()
    return found


def heat_map(values: NDArray[np.floating]) -> NDArray[np.uint8]:
    """Values on a grid as RGBA pixels (rows, columns, 4): red, the more opaque the larger.

    Args:
        values: (rows, columns), not negative: changes of patches, the members' disagreement.
    """
    pixels = np.zeros((*values.shape, 4), np.uint8)
    pixels[..., 0], pixels[..., 1] = 230, 40
    pixels[..., 3] = np.rint(255 * (values / max(float(values.max()), 1e-9)))
    return pixels


def heat_overlay(image: MedicalImage, values: NDArray[np.floating]) -> MedicalImage:
    """A picture with values on a grid over it, as `heat_map` colours them; each value covers the
    part of the picture that lies under it."""
    heat = Image.fromarray(heat_map(values)).resize(
        (image.width, image.height), Image.Resampling.NEAREST
    )
    shown = Image.alpha_composite(Image.fromarray(image.rgb).convert("RGBA"), heat)
    return MedicalImage.from_rgb(np.asarray(shown.convert("RGB")))


def _tokens(encoded: EncodedImage) -> torch.Tensor | None:
    """(tokens, dim) of the image's projected features; None for several tiles."""
    pooled = encoded.output.pooler_output
    parts = [pooled] if isinstance(pooled, torch.Tensor) else list(pooled)
    if len(parts) != 1:
        return None
    features: torch.Tensor = parts[0].detach().float()
    features = features.squeeze(0) if features.ndim == 3 and features.shape[0] == 1 else features
    return features if features.ndim == 2 else None
