"""Image augmentation for training: small shifts, turns, zooms and exposure; never a flip.

A flip would teach that left is right, and the benchmark's noises are left out on purpose.
"""

import math

import torch

from imc_reference.architecture import IMAGE_SIZE


def augment(pixels: torch.Tensor, generator: torch.Generator, strength: float) -> torch.Tensor:
    """Augment (n, 3, S, S) floats in 0..1 and resample to IMAGE_SIZE.

    `strength` 1 is: turns of ±10°, zooms of 0.85 to 1.12, shifts of ±7 %, gain of ±18 %.
    """
    count = pixels.shape[0]

    def uniform(low: float, high: float) -> torch.Tensor:
        return low + (high - low) * torch.rand(count, generator=generator)

    angle = uniform(-1, 1) * math.radians(10) * strength
    zoom = 1 + uniform(-0.12, 0.15) * strength
    theta = torch.zeros(count, 2, 3)
    theta[:, 0, 0] = torch.cos(angle) * zoom
    theta[:, 0, 1] = -torch.sin(angle) * zoom
    theta[:, 1, 0] = torch.sin(angle) * zoom
    theta[:, 1, 1] = torch.cos(angle) * zoom
    theta[:, 0, 2] = uniform(-0.14, 0.14) * strength
    theta[:, 1, 2] = uniform(-0.14, 0.14) * strength
    grid = torch.nn.functional.affine_grid(
        theta, [count, 3, IMAGE_SIZE, IMAGE_SIZE], align_corners=False
    )
    warped = torch.nn.functional.grid_sample(pixels, grid, mode="bilinear", align_corners=False)
    gain = 1 + uniform(-0.18, 0.18) * strength
    gamma = torch.exp(uniform(-0.2, 0.2) * strength)
    bright = (warped.clamp(1e-4, 1) ** gamma[:, None, None, None]) * gain[:, None, None, None]
    return bright.clamp(0, 1)
