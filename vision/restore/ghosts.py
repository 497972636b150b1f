"""Ghosts: displaced copies of what is in the picture, told by how it resembles itself.

Along each axis the picture's detail is correlated with itself, displaced (circularly: copies wrap).
Peaks above the texture's own correlation are copies, their height is how bright; the picture
displaced by every peak and weighed by its height is what the copies added. Over air a copy stands
alone and may be bright where over the body it is dark (the scanner shows a magnitude), so there it
is measured by itself. `vision.perceive.artefact_statistics` describes the same likeness to
perception, as statistics.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from vision.restore.scale_space import blurred
from vision.restore.thumbnails import quantiles

GHOSTS = 10
"""Per axis: copies, those over air, copies of copies; what air tells, over air and beside it."""

_DETAIL = 2.0
"""Standard deviation in pixels beyond which brightness counts as slow."""
_SMOOTH = 1.0
_AIR = (0.3, 0.12)
"""Air is the darkest three tenths, or what is darker than this share of the brightest."""
_NEAREST = 0.08
"""Copies nearer than this share of the side are the body's own texture."""
_WINDOW = 15
"""Displacements over which the texture's own correlation is told, as their median."""
_SURE = 3.0
"""Peaks fade out below so many typical deviations."""
_FLOOR = 1e-4


def ghost_context(grey: Tensor) -> Tensor:
    """(images, H, W) in [0, 1] -> (images, GHOSTS, H, W); H and W at least 16."""
    picture = grey.float()
    detail = picture - blurred(picture[:, None], _DETAIL)[:, 0]
    smooth = blurred(picture[:, None], _SMOOTH)[:, 0]
    low, bright = quantiles(smooth.flatten(1), (_AIR[0], 0.99)).T[:, :, None, None]
    air = (smooth <= torch.maximum(low, _AIR[1] * bright)).float()
    body = detail * (1.0 - air)
    found = []
    for axis in (1, 2):
        size = picture.shape[axis]
        alike = _correlation(detail, detail, axis)
        over_all = _peaks(alike / (alike[:, :1] + 1e-6))
        power = _correlation(air, body.square(), axis).clamp_min(0.0)
        floor = 1e-3 * body.square().sum(dim=(1, 2))[:, None] + 1e-6
        over_air = _peaks(_correlation(detail * air, body, axis) / (power + floor))
        kernel, spectrum = _along(over_all, axis), torch.fft.rfft(picture, dim=axis)
        copies = torch.fft.irfft(spectrum * kernel, n=size, dim=axis)
        again = torch.fft.irfft(spectrum * kernel.square(), n=size, dim=axis)
        alone = torch.fft.rfft(picture * (1.0 - air), dim=axis) * _along(over_air, axis)
        told = torch.fft.irfft(alone, n=size, dim=axis)
        found += [copies, copies * air, again, told * air, told * (1.0 - air)]
    return torch.stack(found, dim=1)


def _correlation(a: Tensor, b: Tensor, axis: int) -> Tensor:
    """Circular correlation along an axis, summed over the other: (images, size)."""
    spectra = torch.fft.rfft(a, dim=axis) * torch.fft.rfft(b, dim=axis).conj()
    told: Tensor = torch.fft.irfft(spectra.sum(dim=3 - axis), n=a.shape[axis], dim=1)
    return told


def _peaks(coefficients: Tensor) -> Tensor:
    """Of (images, size) by displacement, what stands out: shrunk, and none near the body."""
    size = coefficients.shape[1]
    around = F.pad(coefficients[:, None], (_WINDOW // 2,) * 2, mode="circular")[:, 0]
    out = coefficients - around.unfold(1, _WINDOW, 1).median(dim=2).values
    displaced = torch.arange(size)
    far = torch.minimum(displaced, size - displaced) >= max(3, int(_NEAREST * size))
    typical = out[:, far].abs().median(dim=1, keepdim=True).values + _FLOOR
    kept = 1.0 - (_SURE * typical / out.abs().clamp_min(1e-6)).square()
    return out * kept.clamp_min(0.0) * far


def _along(kernel: Tensor, axis: int) -> Tensor:
    """The spectrum of (images, size) as a factor of (images, H, W)'s along an axis."""
    spectrum: Tensor = torch.fft.rfft(kernel, dim=1).unsqueeze(3 - axis)
    return spectrum
