"""A witness: few statistics of an image -> how much it looks like each class of the bank.

Two small networks (two hidden layers each), trained on the references' draws with a fixed seed and
averaged. Where statistics are few and hand-made, as those of the pixels are, they find more mild
noise than `vision.perceive.noise_features.Reduction` at the same rate of false alarms; over the
hundreds of an encoder's tap they overfit. The model that answers stays as it is.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

Floats = NDArray[np.float64]
Labels = NDArray[np.int64]

NETWORKS = 2
HIDDEN = 256
EPOCHS = 40
MOST_STEPS = 2400
"""Bounds the time of a fit where there are many references."""

_BATCH = 512
_RATE = 4e-3
_DECAY = 1e-3
_DROP_STATISTICS = 0.1
_DROP_HIDDEN = 0.3
_SMOOTHING = 0.02
_CLIP = 8.0
"""Standard deviations at which a statistic is cut: beyond, only "far away" matters."""


@dataclass(frozen=True)
class StatisticsNetwork:
    """Statistics (n, p) -> one score per class (n, classes): centred mean log probabilities."""

    centre: Floats
    """(p,) mean of the references' statistics."""
    scale: Floats
    """(p,) their standard deviation, floored."""
    weights: tuple[Floats, Floats, Floats]
    """(networks, p, hidden), (networks, hidden, hidden), (networks, hidden, classes)."""
    biases: tuple[Floats, Floats, Floats]
    """(networks, hidden), (networks, hidden), (networks, classes)."""

    def __call__(self, statistics: Floats) -> Floats:
        """Scores (n, classes) of statistics (n, p)."""
        hidden = torch.from_numpy(self._standard(statistics))[None]
        for layer, (weight, bias) in enumerate(zip(self.weights, self.biases, strict=True)):
            hidden = hidden @ torch.from_numpy(weight) + torch.from_numpy(bias)[:, None]
            if layer < len(self.weights) - 1:
                hidden = nn.functional.gelu(hidden)
        told = hidden.log_softmax(dim=-1).mean(dim=0)
        return np.asarray((told - told.mean(dim=1, keepdim=True)).numpy(), dtype=np.float64)

    def _standard(self, statistics: Floats) -> Floats:
        return np.clip((statistics - self.centre) / self.scale, -_CLIP, _CLIP)

    def to_tensors(self) -> dict[str, Floats]:
        """Every array by name."""
        named = {"centre": self.centre, "scale": self.scale}
        for layer, (weight, bias) in enumerate(zip(self.weights, self.biases, strict=True)):
            named[f"weight{layer}"], named[f"bias{layer}"] = weight, bias
        return named

    @classmethod
    def from_tensors(cls, tensors: Mapping[str, Floats]) -> StatisticsNetwork:
        """Rebuild from `to_tensors`; KeyError where an array is missing."""
        return cls(
            tensors["centre"],
            tensors["scale"],
            (tensors["weight0"], tensors["weight1"], tensors["weight2"]),
            (tensors["bias0"], tensors["bias1"], tensors["bias2"]),
        )


def fit_network(
    statistics: Floats, labels: Labels, classes: int, rng: np.random.Generator
) -> StatisticsNetwork:
    """Train on statistics (n, p) with class numbers (n,); the same on every run of one machine."""
    centre = statistics.mean(axis=0)
    scale: Floats = np.maximum(statistics.std(axis=0), 1e-6)
    empty = (np.zeros(0), np.zeros(0), np.zeros(0))
    standard = StatisticsNetwork(centre, scale, empty, empty)._standard(statistics)
    inputs, targets = torch.from_numpy(standard).float(), torch.from_numpy(labels)
    with torch.random.fork_rng(devices=[]), torch.inference_mode(mode=False), torch.enable_grad():
        torch.manual_seed(int(rng.integers(2**31)))
        networks = [_trained(inputs.clone(), targets.clone(), classes) for _ in range(NETWORKS)]
    layers = [[part for part in net if isinstance(part, nn.Linear)] for net in networks]

    def stacked(read: str, layer: int) -> Floats:
        parts = [getattr(net[layer], read).detach().double().numpy() for net in layers]
        return np.stack([part.T if part.ndim == 2 else part for part in parts])

    return StatisticsNetwork(
        centre,
        scale,
        (stacked("weight", 0), stacked("weight", 1), stacked("weight", 2)),
        (stacked("bias", 0), stacked("bias", 1), stacked("bias", 2)),
    )


def _trained(inputs: torch.Tensor, targets: torch.Tensor, classes: int) -> nn.Sequential:
    network = nn.Sequential(
        nn.Dropout(_DROP_STATISTICS),
        nn.Linear(inputs.shape[1], HIDDEN),
        nn.GELU(),
        nn.Dropout(_DROP_HIDDEN),
        nn.Linear(HIDDEN, HIDDEN),
        nn.GELU(),
        nn.Dropout(_DROP_HIDDEN),
        nn.Linear(HIDDEN, classes),
    )
    a_pass = max(len(inputs) // _BATCH, 1)
    steps = min(EPOCHS * a_pass, MOST_STEPS)
    optimiser = torch.optim.AdamW(network.parameters(), _RATE, weight_decay=_DECAY)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, _RATE, total_steps=steps)
    order = torch.empty(0, dtype=torch.long)
    for _ in range(steps):
        if len(order) < min(_BATCH, len(inputs)):
            order = torch.randperm(len(inputs))
        chosen, order = order[:_BATCH], order[_BATCH:]
        loss = nn.functional.cross_entropy(
            network(inputs[chosen]), targets[chosen], label_smoothing=_SMOOTHING
        )
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        schedule.step()
    return network
