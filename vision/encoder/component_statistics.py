"""Statistics of components of a tap's patches, over patches and over their grid."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from vision.encoder.token_layout import TokenLayout, position_features

FLOOR = 1e-8
"""Added under logarithms of energies along directions of clean variance one."""
_DARK = 0.3
"""Share of the patches, the darkest, that counts as dark."""


def grid_shape(layout: TokenLayout) -> tuple[int, int]:
    """Rows and columns of patches; one row where there is no grid."""
    return (layout.height, layout.width) if layout.has_grid else (1, layout.patches)


def quantiles(values: Tensor, shares: tuple[float, ...]) -> list[Tensor]:
    """Quantiles over the second axis of (images, patches, k), (images, k) each, not interpolated.

    On a CPU by selection along contiguous memory, several times faster than `Tensor.kthvalue`; on
    an accelerator by sorting, so that no patches leave it. Both select the same values.
    """
    ranks = [min(int(share * values.shape[1]), values.shape[1] - 1) for share in shares]
    lying = values.transpose(1, 2).contiguous()
    if values.device.type == "cpu":
        found = torch.from_numpy(np.partition(lying.numpy(), ranks, axis=2)[:, :, ranks])
    else:
        found = lying.sort(dim=2).values[:, :, ranks]
    return list(found.unbind(2))


def band_energies(components: Tensor, bands: Sequence[int]) -> Tensor:
    """(images, n, bands) mean square over each band of (images, n, k) components."""
    apart = components.square().split(list(bands), dim=2)
    return torch.stack([band.mean(dim=2) for band in apart], dim=2)


def log_quantiles(energy: Tensor, shares: tuple[float, ...]) -> Tensor:
    """(images, shares * bands) logarithms of quantiles over the second axis of an energy.

    Of an energy of nothing, where there is one row of patches: zeros.
    """
    images, count, bands = energy.shape
    if not count:
        return energy.new_zeros(images, len(shares) * bands)
    return torch.cat([torch.log(one + FLOOR) for one in quantiles(energy, shares)], dim=1)


def by_brightness(energy: Tensor, brightness: Tensor) -> list[Tensor]:
    """(images, patches, bands) energies in four equal parts of the patches, the darkest first.

    Fewer than four patches are repeated.
    """
    order = brightness.argsort(dim=1)[:, :, None].expand_as(energy)
    ordered = energy.gather(1, order)
    if ordered.shape[1] < 4:
        ordered = ordered.repeat_interleave(4, dim=1)
    return list(ordered.tensor_split(4, dim=1))


def slow_trend(leading: Tensor, layout: TokenLayout) -> Tensor:
    """(images, k + 5) log share of slow cosines in k components' variance, the first's weights.

    Of components (images, patches, k). Zeros where there is no grid.
    """
    images, count, components = leading.shape
    found = leading.new_zeros(images, components + 5)
    if layout.has_grid and count > 10:
        basis = torch.linalg.qr(position_features(layout)).Q.to(leading)
        slow = torch.einsum("pk,npc->nkc", basis, leading)[:, 1:]
        total = (leading - leading.mean(dim=1, keepdim=True)).square().sum(dim=1)
        share = torch.log(slow.square().sum(dim=1) + FLOOR) - torch.log(total + FLOOR)
        found[:, :components] = share
        found[:, components:] = slow[:, :5, 0] / count**0.5
    return found


def log_trend(brightness: Tensor, layout: TokenLayout) -> Tensor:
    """(images, 7) second-order trend of the log brightness over patches that are not dark.

    A slow multiplicative field is a slow additive one of the logarithm: five slopes, and the log
    spread of trend and residual. Zeros where there is no grid.
    """
    found = brightness.new_zeros(len(brightness), 7)
    if not layout.has_grid or layout.patches < 16:
        return found
    above = brightness - brightness.amin(dim=1, keepdim=True)
    most = above.amax(dim=1, keepdim=True).clamp_min(FLOOR)
    weight = (above > 0.1 * most).to(above)
    log = torch.log(above / most + 0.02)
    y, x = torch.meshgrid(
        torch.linspace(-1.0, 1.0, layout.height), torch.linspace(-1.0, 1.0, layout.width),
        indexing="ij",
    )
    terms = [torch.ones_like(x), x, y, x * y, x.square(), y.square()]
    basis = torch.stack([term.reshape(-1) for term in terms], dim=1).to(above)
    gram = torch.einsum("pi,np,pj->nij", basis, weight, basis)
    gram = gram + 1e-3 * layout.patches * torch.eye(6).to(above)
    slopes = torch.linalg.solve(gram, torch.einsum("pi,np->ni", basis, weight * log))
    fitted = slopes @ basis.T
    total = weight.sum(dim=1).clamp_min(1.0)
    centred = fitted - (weight * fitted).sum(dim=1, keepdim=True) / total[:, None]
    found[:, :5] = slopes[:, 1:]
    found[:, 5] = 0.5 * torch.log((weight * centred.square()).sum(dim=1) / total + 1e-4)
    found[:, 6] = 0.5 * torch.log((weight * (log - fitted).square()).sum(dim=1) / total + 1e-4)
    return found


def copies(leading: Tensor, layout: TokenLayout) -> Tensor:
    """(images, 2 * 6) regression of dark patches on bright ones displaced along rows and columns.

    A ghost is a displaced copy, and over air it is the only signal. Per axis: coefficients of
    shifts by a half, a third and a quarter of the grid, the largest, its excess over the median,
    and the spread over shifts from two patches on. Zeros where there is no grid.
    """
    found = leading.new_zeros(len(leading), 12)
    if not layout.has_grid or min(layout.height, layout.width) < 4:
        return found
    brightness = leading[..., 0]
    rank = max(int(_DARK * layout.patches), 1)
    dark = (brightness <= brightness.kthvalue(rank, dim=1, keepdim=True).values).to(leading)
    centred = leading - leading.mean(dim=1, keepdim=True)
    # within the dark patches their own mean is no signal
    level = (dark[..., None] * centred).sum(dim=1, keepdim=True) / dark.sum(1)[:, None, None]
    grid = (layout.height, layout.width)
    here = (dark[..., None] * (centred - level)).unflatten(1, grid)
    there = ((1.0 - dark)[..., None] * centred).unflatten(1, grid)
    mask = dark[..., None].unflatten(1, grid)
    for number, axis in enumerate((1, 2)):
        size = grid[axis - 1]
        reference = torch.fft.rfft(there, dim=axis)
        power = torch.fft.rfft(there.square().sum(dim=-1, keepdim=True), dim=axis)
        cross = (torch.fft.rfft(here, dim=axis) * reference.conj()).sum(dim=(3 - axis, 3))
        seen = (torch.fft.rfft(mask, dim=axis) * power.conj()).sum(dim=(3 - axis, 3))
        above = torch.fft.irfft(cross, n=size, dim=1)
        below = torch.fft.irfft(seen, n=size, dim=1).clamp_min(0.0)
        coefficients = above / (below + 1e-2 * there.square().sum(dim=(1, 2, 3))[:, None] + FLOOR)
        far = coefficients[:, 2 : size - 1]
        most = far.amax(dim=1)
        shifts = [coefficients[:, size // part] for part in (2, 3, 4)]
        values = [*shifts, most, most - far.median(dim=1).values, far.std(dim=1, correction=0)]
        found[:, 6 * number : 6 * number + 6] = torch.stack(values, dim=1)
    return found
