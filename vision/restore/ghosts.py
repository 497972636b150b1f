"""Ghosts: displaced copies of the picture, located by circular autocorrelation along each axis.

Peaks above the autocorrelation of texture are copies, and their height is the copies' amplitude.
The sum of the picture displaced by every peak, weighted by its height, estimates what the copies
added. Over air a copy is the only signal, and its sign may differ from that over the body (the
scanner shows a magnitude), so the amplitudes over air are estimated separately.
`vision.perceive.artefact_statistics` computes the same correlations for the noise classifier.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from vision.restore.scale_space import blurred
from vision.restore.thumbnails import quantiles

GHOSTS = 10
"""Channels, five per axis: copies, copies over air, copies of copies, and the copies estimated from
air, over air and over the body."""

_DETAIL = 2.0
"""Standard deviation, in pixels, of the blur that separates detail from slow brightness."""
_SMOOTH = 1.0
_AIR = (0.3, 0.12)
"""Air: the darkest 0.3 of the pixels, or those below 0.12 of the 0.99 quantile."""
_MIN_DISPLACEMENT = 0.08
"""Displacements below this share of the side are ignored: texture correlates there."""
_WINDOW = 15
"""Window, in displacements, of the median that estimates the correlation of texture."""
_SHRINK_BELOW = 3.0
"""Peaks below this multiple of the median deviation are set to zero; higher ones are shrunk."""
_FLOOR = 1e-4


def ghost_context(grey: Tensor) -> Tensor:
    """Channels (images, GHOSTS, H, W) of (images, H, W) in [0, 1]; H and W at least 16."""
    picture = grey.float()
    detail = picture - blurred(picture[:, None], _DETAIL)[:, 0]
    smooth = blurred(picture[:, None], _SMOOTH)[:, 0]
    low, bright = quantiles(smooth.flatten(1), (_AIR[0], 0.99)).T[:, :, None, None]
    air = (smooth <= torch.maximum(low, _AIR[1] * bright)).float()
    body = detail * (1.0 - air)
    found = []
    for axis in (1, 2):
        size = picture.shape[axis]
        correlation = _correlation(detail, detail, axis)
        over_all = _peaks(correlation / (correlation[:, :1] + 1e-6))
        power = _correlation(air, body.square(), axis).clamp_min(0.0)
        floor = 1e-3 * body.square().sum(dim=(1, 2))[:, None] + 1e-6
        over_air = _peaks(_correlation(detail * air, body, axis) / (power + floor))
        kernel, spectrum = _along(over_all, axis), torch.fft.rfft(picture, dim=axis)
        copies = torch.fft.irfft(spectrum * kernel, n=size, dim=axis)
        second_order = torch.fft.irfft(spectrum * kernel.square(), n=size, dim=axis)
        alone = torch.fft.rfft(picture * (1.0 - air), dim=axis) * _along(over_air, axis)
        from_air = torch.fft.irfft(alone, n=size, dim=axis)
        found += [copies, copies * air, second_order, from_air * air, from_air * (1.0 - air)]
    return torch.stack(found, dim=1)


def _correlation(a: Tensor, b: Tensor, axis: int) -> Tensor:
    """Circular correlation along an axis, summed over the other: (images, size)."""
    spectra = torch.fft.rfft(a, dim=axis) * torch.fft.rfft(b, dim=axis).conj()
    found: Tensor = torch.fft.irfft(spectra.sum(dim=3 - axis), n=a.shape[axis], dim=1)
    return found


def _peaks(coefficients: Tensor) -> Tensor:
    """Peaks of (images, size) coefficients by displacement, shrunk; zero at small displacements."""
    size = coefficients.shape[1]
    around = F.pad(coefficients[:, None], (_WINDOW // 2,) * 2, mode="circular")[:, 0]
    out = coefficients - around.unfold(1, _WINDOW, 1).median(dim=2).values
    displaced = torch.arange(size)
    far = torch.minimum(displaced, size - displaced) >= max(3, int(_MIN_DISPLACEMENT * size))
    typical = out[:, far].abs().median(dim=1, keepdim=True).values + _FLOOR
    kept = 1.0 - (_SHRINK_BELOW * typical / out.abs().clamp_min(1e-6)).square()
    return out * kept.clamp_min(0.0) * far.to(out.device)


def _along(kernel: Tensor, axis: int) -> Tensor:
    """Spectrum of a kernel (images, size), to multiply that of (images, H, W) along `axis`."""
    spectrum: Tensor = torch.fft.rfft(kernel, dim=1).unsqueeze(3 - axis)
    return spectrum
