"""Noise of an acquisition line by line in k-space: the patient moves, or pulsates; lines lack."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from imc_noise.image.planes import Planes

FEWEST_LINES = 8
"""An axis shorter than this cannot carry phase encoding worth the name; the longer one is used."""

HARMONICS = 3
"""Slow drifts in the path of a patient: at most this many periods over the whole scan."""

CENTRE_WEIGHT = 1.5
"""Line k counts (1 + |k|)^-1.5 in the size of a path. Counting all lines alike, two paths of one
size corrupted pictures twice as unequally (spread of mean SSIM over draws .042 against .016)."""

SECOND_HARMONIC = 0.35
"""A heart's pulsation is no pure sine: amplitude of its second harmonic against the first."""


def motion(planes: Planes, strength: float, rng: np.random.Generator) -> Planes:
    """The patient moves while k-space is read line by line: blurred edges and trailing copies.

    `strength` is the root-mean-square displacement as a fraction of the field of view, weighted
    towards the centre of k-space, where a picture's energy lies. A rigid
    shift d(t) multiplies the line read at time t by exp(−2πi k·d(t)) (Fourier shift theorem). The
    path is a slow drift plus one sudden start, measured from where the patient lay when the centre
    of k-space was read, so the picture is corrupted and not merely shifted. The scanner shows the
    magnitude. Colour planes share one path.
    """
    lines_first = _phase_axis(planes.shape, rng) == 1
    turned = planes if lines_first else planes.transpose(0, 2, 1)
    lines, samples = turned.shape[1:]
    path = _patient_path(lines, rng) * (strength * np.sqrt(lines * samples))
    k_line = np.fft.fftfreq(lines)
    k_sample = np.fft.fftfreq(samples)
    angle = k_line * path[0]
    angle = angle[:, None] + path[1][:, None] * k_sample[None, :]
    phase = np.exp((-2j * np.pi * angle).astype(np.complex64))
    corrupted = np.stack([np.abs(np.fft.ifft2(np.fft.fft2(plane) * phase)) for plane in turned])
    back = corrupted if lines_first else corrupted.transpose(0, 2, 1)
    return back.astype(np.float32)


def ghosting(planes: Planes, strength: float, rng: np.random.Generator) -> Planes:
    """Pulsation modulates the lines of k-space: displaced copies along the phase direction.

    `strength` is the amplitude of the modulation. Lines k are multiplied by
    1 + a·e^(iψ)·(cos(2πkδ + φ) + 0.35·cos(4πkδ + φ₂)), which puts copies at ±δ and ±2δ of the
    field of view (Fourier shift theorem), over the picture's own edge where they wrap. The scanner
    shows the magnitude; the picture keeps its own intensity, so the copies add light and nothing
    is scaled back. Colour planes share one modulation.
    """
    axis = _phase_axis(planes.shape, rng)
    lines = planes.shape[axis]
    k = np.fft.fftfreq(lines, d=1.0 / lines)
    shift = rng.uniform(0.12, 0.45)
    first, second, turn = rng.uniform(0.0, 2.0 * np.pi, size=3)
    wave = np.cos(2.0 * np.pi * k * shift + first)
    wave += SECOND_HARMONIC * np.cos(4.0 * np.pi * k * shift + second)
    factor = (1.0 + strength * np.exp(1j * turn) * wave).astype(np.complex64)
    factor = factor[:, None] if axis == 1 else factor[None, :]
    return np.stack(
        [
            np.abs(np.fft.ifft(np.fft.fft(plane, axis=axis - 1) * factor, axis=axis - 1))
            for plane in planes
        ]
    ).astype(np.float32)


def gibbs(planes: Planes, strength: float, rng: np.random.Generator) -> Planes:
    """A scan with too small a matrix: the outer part of k-space was never read, edges ring.

    Kept is what lies within e^(−s) of the furthest point, in a circle, in a square or, where one
    direction alone was cut short, in a band, by chance. A stronger draw keeps part of what a weaker
    one does. The scanner shows the magnitude. Colour planes are cut alike.
    """
    height, width = planes.shape[1:]
    down = np.abs(np.fft.fftfreq(height))[:, None]
    across = np.abs(np.fft.fftfreq(width))[None, :]
    shapes = (
        np.hypot(down, across) / math.sqrt(2.0),
        np.maximum(down, across),
        down + 0.0 * across,
        across + 0.0 * down,
    )
    furthest = shapes[int(rng.integers(len(shapes)))]
    # A ramp of one line at the edge: severities between whole lines differ.
    beyond = furthest - 0.5 * np.exp(-strength)
    factor = np.clip(1.0 - beyond * min(height, width), 0.0, 1.0).astype(np.float32)
    return np.stack([np.abs(np.fft.ifft2(np.fft.fft2(p) * factor)) for p in planes]).astype(
        np.float32
    )


def _phase_axis(shape: tuple[int, ...], rng: np.random.Generator) -> int:
    """The axis of (channels, H, W) read line by line: 1 (rows) or 2 (columns), by chance."""
    drawn = 1 + int(rng.integers(2))
    return drawn if shape[drawn] >= FEWEST_LINES else 1 + int(shape[2] > shape[1])


def _patient_path(lines: int, rng: np.random.Generator) -> NDArray[np.float64]:
    """(2, lines): displacement along and across the lines, weighted RMS 1, by k-space line."""
    time = np.linspace(0.0, 1.0, lines)
    periods = np.arange(1, HARMONICS + 1)
    waves = np.sin(2.0 * np.pi * (periods[:, None] * time + rng.uniform(size=(HARMONICS, 1))))
    drift = (rng.standard_normal((2, HARMONICS)) / periods) @ waves
    # One sudden start, before or after the centre of k-space was read.
    start = rng.uniform(0.55, 0.85)
    jump = 1.0 / (1.0 + np.exp(-60.0 * (time - start)))
    jump = jump[::-1] if rng.integers(2) else jump
    path = drift + rng.standard_normal((2, 1)) * jump
    path -= path[:, [lines // 2]]
    weight = (1.0 + np.abs(np.arange(lines) - lines // 2)) ** -CENTRE_WEIGHT
    spread = float(np.sqrt(np.average(np.sum(path**2, axis=0), weights=weight)))
    path /= spread if spread > 0.0 else 1.0
    return np.asarray(np.fft.ifftshift(path, axes=1))
