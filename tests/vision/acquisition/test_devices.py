"""The restorer on another device: all that it computes with goes there, its results come back."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from tests.vision.conftest import scan
from vision.acquisition import AcquisitionHalf
from vision.acquisition.scales import planes_of
from vision.restore import scale_space
from vision.restore.thumbnails import quantiles

META = torch.device("meta")


@pytest.mark.parametrize("side", [40, 80])
def test_a_restorer_computes_where_its_maps_lie(side: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """The meta device refuses to compute with a tensor that lies elsewhere."""
    copied: list[torch.Size] = []

    def cpu(tensor: Tensor) -> Tensor:
        copied.append(tensor.shape)
        return torch.zeros(tensor.shape) if tensor.is_meta else tensor

    monkeypatch.setattr(Tensor, "cpu", cpu)
    restorer = AcquisitionHalf.shipped().restorer
    planes = planes_of(scan(1, side), (side, side))[None].expand(1, 3, -1, -1)
    weights = torch.full((1, len(restorer.classes)), 1.0 / len(restorer.classes))
    members = restorer.maps.shape[1]
    for device in (META, torch.device("cpu")):
        copied.clear()
        found = restorer.to(device)(planes, weights)
        assert found.changes.shape == (1, members, 3, side, side)
        assert {found.changes.device.type, found.mass.device.type} == {"cpu"}
        assert max(shape.numel() for shape in copied) == found.changes.numel()


def test_a_half_stays_on_the_cpu_for_any_device_but_a_gpu() -> None:
    half = AcquisitionHalf.shipped()
    assert half.on(torch.device("cpu")) is half
    assert half.on(torch.device("mps")) is half


@pytest.mark.parametrize("kernel", [(1, 7), (3, 3), (9, 9)])
def test_a_convolution_by_products_is_the_convolution(kernel: tuple[int, int]) -> None:
    picture, kernels = torch.rand(2, 1, 20, 24), torch.rand(5, 1, *kernel)
    found = scale_space._unfolded(picture, kernels)
    assert torch.allclose(found, F.conv2d(picture, kernels), atol=1e-4)


def test_quantiles_by_sorting_are_those_by_selection() -> None:
    values, shares = torch.rand(3, 501), (0.01, 0.5, 0.999)
    by_sorting = torch.quantile(values, torch.tensor(shares), dim=1).T
    assert torch.allclose(quantiles(values, shares), by_sorting, atol=1e-6)
