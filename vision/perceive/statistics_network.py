"""Class scores from the few statistics of the pixels, by an ensemble of two small networks.

Each network has two hidden layers and is trained on noisy draws of the references with a fixed
seed; their log probabilities are averaged. On the pixels' statistics they detect more mild noise
than `vision.perceive.noise_features.ClassScorer` at the same rate of false alarms; on the hundreds
of statistics of an encoder's tap they overfit. The multimodal model itself is never trained.
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
MAX_STEPS = 2400
"""Upper limit on the training steps, for banks of many references."""

_BATCH = 512
_LEARNING_RATE = 4e-3
_WEIGHT_DECAY = 1e-3
_DROPOUT_STATISTICS = 0.1
_DROPOUT_HIDDEN = 0.3
_SMOOTHING = 0.02
_CLIP = 8.0
"""Standard deviations at which a statistic is clipped."""


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
        hidden = torch.from_numpy(self._standardise(statistics))[None]
        for layer, (weight, bias) in enumerate(zip(self.weights, self.biases, strict=True)):
            hidden = hidden @ torch.from_numpy(weight) + torch.from_numpy(bias)[:, None]
            if layer < len(self.weights) - 1:
                hidden = nn.functional.gelu(hidden)
        log_p = hidden.log_softmax(dim=-1).mean(dim=0)
        return np.asarray((log_p - log_p.mean(dim=1, keepdim=True)).numpy(), dtype=np.float64)

    def _standardise(self, statistics: Floats) -> Floats:
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
    """Train on statistics (n, p) with class numbers (n,); reproducible on one machine."""
    centre = statistics.mean(axis=0)
    scale: Floats = np.maximum(statistics.std(axis=0), 1e-6)
    empty = (np.zeros(0), np.zeros(0), np.zeros(0))
    standard = StatisticsNetwork(centre, scale, empty, empty)._standardise(statistics)
    inputs, targets = torch.from_numpy(standard).float(), torch.from_numpy(labels)
    with torch.random.fork_rng(devices=[]), torch.inference_mode(mode=False), torch.enable_grad():
        torch.manual_seed(int(rng.integers(2**31)))
        networks = [_train(inputs.clone(), targets.clone(), classes) for _ in range(NETWORKS)]
    layers = [[part for part in net if isinstance(part, nn.Linear)] for net in networks]

    def stacked(name: str, layer: int) -> Floats:
        parts = [getattr(net[layer], name).detach().double().numpy() for net in layers]
        return np.stack([part.T if part.ndim == 2 else part for part in parts])

    return StatisticsNetwork(
        centre,
        scale,
        (stacked("weight", 0), stacked("weight", 1), stacked("weight", 2)),
        (stacked("bias", 0), stacked("bias", 1), stacked("bias", 2)),
    )


def _train(inputs: torch.Tensor, targets: torch.Tensor, classes: int) -> nn.Sequential:
    network = nn.Sequential(
        nn.Dropout(_DROPOUT_STATISTICS),
        nn.Linear(inputs.shape[1], HIDDEN),
        nn.GELU(),
        nn.Dropout(_DROPOUT_HIDDEN),
        nn.Linear(HIDDEN, HIDDEN),
        nn.GELU(),
        nn.Dropout(_DROPOUT_HIDDEN),
        nn.Linear(HIDDEN, classes),
    )
    steps_per_epoch = max(len(inputs) // _BATCH, 1)
    steps = min(EPOCHS * steps_per_epoch, MAX_STEPS)
    optimiser = torch.optim.AdamW(network.parameters(), _LEARNING_RATE, weight_decay=_WEIGHT_DECAY)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, _LEARNING_RATE, total_steps=steps)
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
