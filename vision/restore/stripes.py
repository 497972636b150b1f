"""Stripes: stray points of k-space, found as lone peaks of the spectrum and taken out.

A discharge while k-space is read lays a wave over the picture, often so strong that most pixels are
cut at black and white, where nothing linear brings anything back. The pixels that are not cut say
what the wave is (least squares, beside a slow background) and, with it taken off, what the picture
is there; a cut pixel lies between the wave and the cut, and is filled in from its neighbours within
those bounds. No prototypes are needed: a wave is known by its spectrum, not by likeness.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from vision.restore.scale_space import blurred

STRIPES = "stripes"
"""What a report calls this among the things undone."""

WAVES = 3
"""Most waves that are taken out of one picture."""
STANDS_OUT = 2.5
"""Log amplitude of a peak over the mean around it: clean pictures and other noises reach 2.3 away
from the slowest waves, a wave of a tenth of full scale 4, one that cuts most pixels 5 to 8."""

_SLOWEST = 6.0
"""Cycles over the shorter side below which a peak may be anatomy: the slow background's own."""
_INNER, _OUTER = 5, 9
"""Bins around a peak that are its own, and that it is compared with, as sides of squares."""
_ORDERS = 8
"""Cosine orders of the slow background along each axis."""
_CUT = (0.004, 0.996)
"""At or beyond these a pixel counts as cut: one grey level of 256."""
_FEWEST = 0.02
"""Share of pixels that must not be cut."""
_ONE_WAVE = 0.3
"""Where less than this share is not cut, what else stands out is the first wave's harmonics: the
few lines that are left cannot tell two waves apart."""
_TIGHT = 0.03
"""A cut pixel whose bounds lie so close is as good as seen."""
_FILLS = (0.7, 1.4, 2.8, 5.6)
"""Standard deviations in pixels over which cut pixels are filled in, the nearest first."""
_ENOUGH = 0.15
"""Share of seen neighbours, weighed by nearness, from which a fill is believed wholly."""
_RIDGE = 1e-6


def destriped(grey: Tensor) -> Tensor:
    """(H, W) in [0, 1] without its stripes; the very same tensor where it has none."""
    whole = grey.double()
    seen = (whole > _CUT[0]) & (whole < _CUT[1])
    share = float(seen.float().mean())
    if share < _FEWEST:
        return grey
    found: list[tuple[float, float]] = []
    clear = whole
    for _ in range(WAVES if share >= _ONE_WAVE else 1):
        peak = _peak(clear, found)
        if peak is None:
            break
        found.append(_refined(clear, *peak))
        wave = _waves(whole, seen, found)
        if not bool(torch.isfinite(wave).all()):
            return grey
        clear = _filled(whole, wave, seen)
    return clear.to(grey.dtype) if found else grey


def _window(height: int, width: int) -> Tensor:
    down = torch.hann_window(height, dtype=torch.float64)
    return down[:, None] * torch.hann_window(width, dtype=torch.float64)


def _peak(picture: Tensor, found: list[tuple[float, float]]) -> tuple[float, float] | None:
    """(down, across) cycles a pixel of the peak that stands out most; None where none does."""
    height, width = picture.shape
    spectrum = torch.fft.fft2((picture - picture.mean()) * _window(height, width)).abs()
    level = torch.log(spectrum + 1e-3)
    around = F.pad(level[None, None], (_OUTER // 2,) * 4, mode="circular")
    outer = F.avg_pool2d(around, _OUTER, stride=1)[0, 0] * _OUTER**2
    inside = _OUTER // 2 - _INNER // 2
    inner = F.avg_pool2d(around[..., inside:-inside, inside:-inside], _INNER, stride=1)[0, 0]
    ring = (outer - inner * _INNER**2) / (_OUTER**2 - _INNER**2)
    down, across = torch.fft.fftfreq(height)[:, None], torch.fft.fftfreq(width)[None]
    fast = torch.hypot(down, across) * min(height, width) > _SLOWEST
    for known_down, known_across in found:
        for sign in (1.0, -1.0):
            # frequencies wrap: a known wave near the highest one stands at both ends
            apart_down = torch.remainder(down - sign * known_down + 0.5, 1.0) - 0.5
            apart_across = torch.remainder(across - sign * known_across + 0.5, 1.0) - 0.5
            fast &= torch.maximum(apart_down.abs() * height, apart_across.abs() * width) > 1.5
    stands = torch.where(fast, level - ring, torch.full_like(level, -math.inf))
    best = int(stands.argmax())
    if float(stands.flatten()[best]) < STANDS_OUT:
        return None
    return float(down[best // width, 0]), float(across[0, best % width])


def _refined(picture: Tensor, down: float, across: float) -> tuple[float, float]:
    """The frequency between the spectrum's bins at which the wave is strongest."""
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


def _waves(picture: Tensor, seen: Tensor, found: list[tuple[float, float]]) -> Tensor:
    """(H, W) sum of waves at the frequencies `found`, as the seen pixels have it."""
    height, width = picture.shape
    rows = torch.arange(height, dtype=torch.float64)[:, None]
    columns = torch.arange(width, dtype=torch.float64)[None]
    phases = [2.0 * math.pi * (down * rows + across * columns) for down, across in found]
    waves = torch.stack([part(phase) for phase in phases for part in (torch.cos, torch.sin)])
    orders = torch.arange(_ORDERS, dtype=torch.float64)[:, None]
    slow_down = torch.cos(math.pi * orders * (rows.T + 0.5) / height)
    slow_across = torch.cos(math.pi * orders * (columns + 0.5) / width)
    slow = torch.einsum("ay,bx->abyx", slow_down, slow_across).flatten(0, 1)
    basis = torch.cat([waves, slow])[:, seen]
    gram = basis @ basis.T
    gram.diagonal().add_(_RIDGE * float(gram.trace()))
    weights = torch.linalg.solve(gram, basis @ picture[seen])
    summed: Tensor = torch.einsum("w,whx->hx", weights[: len(waves)], waves)
    return summed


def _filled(picture: Tensor, wave: Tensor, seen: Tensor) -> Tensor:
    """The picture with the wave taken off, cut pixels filled in between their bounds."""
    rest = picture - wave
    black = picture <= _CUT[0]
    # picture + wave fell to black, or rose to white: so far may the picture be from there
    low = torch.where(black, torch.zeros_like(wave), (1.0 - wave).clamp(0.0, 1.0))
    high = torch.where(black, (-wave).clamp(0.0, 1.0), torch.ones_like(wave))
    tight = ~seen & (high - low < _TIGHT)
    known = torch.where(seen, rest.clamp(0.0, 1.0), (low + high) / 2.0)
    believed = tight | (seen & (rest > -_TIGHT) & (rest < 1.0 + _TIGHT))
    weight = believed.float()
    told, left = torch.zeros_like(weight), torch.ones_like(weight)
    for sigma in _FILLS:
        near = blurred((known.float() * weight)[None, None], sigma)[0, 0]
        share = blurred(weight[None, None], sigma)[0, 0]
        sure = (share / _ENOUGH).clamp(0.0, 1.0) * left
        told += sure * near / share.clamp_min(1e-6)
        left = left - sure
    told += left * float((known * weight).sum() / weight.sum().clamp_min(1.0))
    filled = torch.where(believed, known, told.double())
    return torch.where(
        seen, filled.clamp(0.0, 1.0), torch.maximum(torch.minimum(filled, high), low)
    )
