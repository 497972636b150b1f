"""The precision and the device in which statistics and changes of features are computed."""

from __future__ import annotations

from torch import Tensor

__all__ = ["in_single_precision"]


def in_single_precision(features: Tensor) -> Tensor:
    """Features in float32 where they lie; those of MPS on the CPU.

    Whatever number format a model has, statistics, maps and moments are computed in float32 or
    float64, and on the device of the layer that the features come from: only results, which are
    small, are copied to the CPU. MPS has no float64 and lacks decompositions.
    """
    single = features.detach().float()
    return single.cpu() if single.device.type == "mps" else single
