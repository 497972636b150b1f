"""Stripes from k-space spikes: found as isolated peaks of the spectrum, and subtracted.

A spike in k-space adds a sinusoid to the picture, often so strong that most pixels are clipped at
black and white, which no linear map can correct. The sinusoid is fitted by least squares, beside a
slow background, on the pixels that are not clipped, and subtracted there. For a clipped pixel, the
sinusoid and the clipping level bound the original value; it is interpolated from its neighbours
within those bounds. No prototypes are used.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from vision.restore.scale_space import blurred

STRIPES = "stripes"
"""Name of this correction in a report's rounds."""

MAX_WAVES = 3
"""Most sinusoids that are subtracted from one picture."""
PEAK_THRESHOLD = 2.5
"""Log amplitude of a peak above the mean around it. Above the lowest frequencies, clean pictures
and other noises reach 2.3, a sinusoid of a tenth of full scale 4, one that clips most pixels 5 to
8."""

_MIN_CYCLES = 6.0
"""Cycles over the shorter side; peaks below may be anatomy and are ignored."""
_INNER, _OUTER = 5, 9
"""Sides, in bins, of the squares around a peak that belong to it and that it is compared with."""
_ORDERS = 8
"""Cosine orders of the slow background along each axis."""
_CLIPPED = (0.004, 0.996)
"""Grey levels at or beyond which a pixel counts as clipped: one level of 256."""
_MIN_UNCLIPPED = 0.02
"""Least share of unclipped pixels; below, the picture is left as it is."""
_MIN_FOR_SEVERAL = 0.3
"""Share of unclipped pixels below which only one sinusoid is fitted: other peaks are its harmonics,
and the few remaining lines cannot separate two sinusoids."""
_NARROW = 0.03
"""A clipped pixel whose bounds are closer than this counts as measured."""
_SIGMAS = (0.7, 1.4, 2.8, 5.6)
"""Standard deviations, in pixels, of the Gaussians that interpolate clipped pixels."""
_FULL_SHARE = 0.15
"""Weighted share of measured neighbours from which an interpolation is used with full weight."""
_RIDGE = 1e-6


def remove_stripes(grey: Tensor) -> Tensor:
    """(H, W) in [0, 1] without stripes; the same tensor object where there are none."""
    whole = grey.double()
    unclipped = (whole > _CLIPPED[0]) & (whole < _CLIPPED[1])
    share = float(unclipped.float().mean())
    if share < _MIN_UNCLIPPED:
        return grey
    found: list[tuple[float, float]] = []
    clear = whole
    for _ in range(MAX_WAVES if share >= _MIN_FOR_SEVERAL else 1):
        peak = _peak(clear, found)
        if peak is None:
            break
        found.append(_refined(clear, *peak))
        wave = _waves(whole, unclipped, found)
        if not bool(torch.isfinite(wave).all()):
            return grey
        clear = _filled(whole, wave, unclipped)
    return clear.to(grey.dtype) if found else grey


def _window(height: int, width: int) -> Tensor:
    down = torch.hann_window(height, dtype=torch.float64)
    return down[:, None] * torch.hann_window(width, dtype=torch.float64)


def _peak(picture: Tensor, found: list[tuple[float, float]]) -> tuple[float, float] | None:
    """(down, across) cycles per pixel of the highest peak; None where none is high enough."""
    height, width = picture.shape
    spectrum = torch.fft.fft2((picture - picture.mean()) * _window(height, width)).abs()
    level = torch.log(spectrum + 1e-3)
    around = F.pad(level[None, None], (_OUTER // 2,) * 4, mode="circular")
    outer = F.avg_pool2d(around, _OUTER, stride=1)[0, 0] * _OUTER**2
    inside = _OUTER // 2 - _INNER // 2
    inner = F.avg_pool2d(around[..., inside:-inside, inside:-inside], _INNER, stride=1)[0, 0]
    ring = (outer - inner * _INNER**2) / (_OUTER**2 - _INNER**2)
    down, across = torch.fft.fftfreq(height)[:, None], torch.fft.fftfreq(width)[None]
    fast = torch.hypot(down, across) * min(height, width) > _MIN_CYCLES
    for known_down, known_across in found:
        for sign in (1.0, -1.0):
            # frequencies are periodic: one near the highest appears at both ends
            apart_down = torch.remainder(down - sign * known_down + 0.5, 1.0) - 0.5
            apart_across = torch.remainder(across - sign * known_across + 0.5, 1.0) - 0.5
            fast &= torch.maximum(apart_down.abs() * height, apart_across.abs() * width) > 1.5
    height_above = torch.where(fast, level - ring, torch.full_like(level, -math.inf))
    best = int(height_above.argmax())
    if float(height_above.flatten()[best]) < PEAK_THRESHOLD:
        return None
    return float(down[best // width, 0]), float(across[0, best % width])


def _refined(picture: Tensor, down: float, across: float) -> tuple[float, float]:
    """The frequency, between the bins of the spectrum, with the largest amplitude."""
    height, width = picture.shape
    windowed = ((picture - picture.mean()) * _window(height, width)).to(torch.complex128)
    rows, columns = torch.arange(height), torch.arange(width)

    def amplitude(at_down: float, at_across: float) -> float:
        left = torch.exp(-2j * math.pi * at_down * rows).to(torch.complex128)
        right = torch.exp(-2j * math.pi * at_across * columns).to(torch.complex128)
        return float((left @ windowed @ right).abs())

    best = amplitude(down, across)
    step = 0.5 / min(height, width)
    while step > 1e-3 / min(height, width):
        tries = [(down + step, across), (down - step, across)]
        tries += [(down, across + step), (down, across - step)]
        amplitudes = [amplitude(*one) for one in tries]
        strongest = max(amplitudes)
        if strongest > best:
            best, (down, across) = strongest, tries[amplitudes.index(strongest)]
        else:
            step /= 2.0
    return down, across


def _waves(picture: Tensor, unclipped: Tensor, found: list[tuple[float, float]]) -> Tensor:
    """(H, W) sum of sinusoids at the frequencies `found`, fitted on the unclipped pixels."""
    height, width = picture.shape
    rows = torch.arange(height, dtype=torch.float64)[:, None]
    columns = torch.arange(width, dtype=torch.float64)[None]
    phases = [2.0 * math.pi * (down * rows + across * columns) for down, across in found]
    waves = torch.stack([part(phase) for phase in phases for part in (torch.cos, torch.sin)])
    orders = torch.arange(_ORDERS, dtype=torch.float64)[:, None]
    slow_down = torch.cos(math.pi * orders * (rows.T + 0.5) / height)
    slow_across = torch.cos(math.pi * orders * (columns + 0.5) / width)
    slow = torch.einsum("ay,bx->abyx", slow_down, slow_across).flatten(0, 1)
    basis = torch.cat([waves, slow])[:, unclipped]
    gram = basis @ basis.T
    gram.diagonal().add_(_RIDGE * float(gram.trace()))
    weights = torch.linalg.solve(gram, basis @ picture[unclipped])
    summed: Tensor = torch.einsum("w,whx->hx", weights[: len(waves)], waves)
    return summed


def _filled(picture: Tensor, wave: Tensor, unclipped: Tensor) -> Tensor:
    """The picture less the sinusoids, with clipped pixels interpolated within their bounds."""
    rest = picture - wave
    black = picture <= _CLIPPED[0]
    # picture + wave was clipped to black or to white, which bounds the picture on one side
    low = torch.where(black, torch.zeros_like(wave), (1.0 - wave).clamp(0.0, 1.0))
    high = torch.where(black, (-wave).clamp(0.0, 1.0), torch.ones_like(wave))
    narrow = ~unclipped & (high - low < _NARROW)
    known = torch.where(unclipped, rest.clamp(0.0, 1.0), (low + high) / 2.0)
    measured = narrow | (unclipped & (rest > -_NARROW) & (rest < 1.0 + _NARROW))
    weight = measured.float()
    interpolated, left = torch.zeros_like(weight), torch.ones_like(weight)
    for sigma in _SIGMAS:
        near = blurred((known.float() * weight)[None, None], sigma)[0, 0]
        share = blurred(weight[None, None], sigma)[0, 0]
        weight_now = (share / _FULL_SHARE).clamp(0.0, 1.0) * left
        interpolated += weight_now * near / share.clamp_min(1e-6)
        left = left - weight_now
    interpolated += left * float((known * weight).sum() / weight.sum().clamp_min(1.0))
    filled = torch.where(measured, known, interpolated.double())
    return torch.where(
        unclipped, filled.clamp(0.0, 1.0), torch.maximum(torch.minimum(filled, high), low)
    )
