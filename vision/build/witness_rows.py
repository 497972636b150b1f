"""Training data of the encoder's witness, accumulated batch by batch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

Floats = NDArray[np.float64]


@dataclass
class WitnessRows:
    """Statistics by tap, class scores, class number and reference number: one row per image."""

    tokens: dict[str, list[Tensor]] = field(default_factory=dict)
    """By tap: (n, s) per batch."""
    acquisition: list[Tensor] = field(default_factory=list)
    """(n, classes) per batch; empty without an acquisition half."""
    labels: list[int] = field(default_factory=list)
    references: list[int] = field(default_factory=list)

    def add(
        self,
        statistics: Mapping[str, Tensor],
        scores: Tensor | None,
        label: int,
        numbers: Sequence[int],
    ) -> None:
        """Add versions of one class of the references of these numbers."""
        for tap, values in statistics.items():
            self.tokens.setdefault(tap, []).append(values)
        if scores is not None:
            self.acquisition.append(scores.double())
        self.labels.extend([label] * len(numbers))
        self.references.extend(numbers)

    def statistics(self, taps: Sequence[str]) -> dict[str, Floats]:
        """(n, s) by tap, in the order of `taps`."""
        return {tap: torch.cat(self.tokens[tap]).double().numpy() for tap in taps}

    def acquisition_scores(self) -> Floats | None:
        """(n, classes); None without an acquisition half."""
        return torch.cat(self.acquisition).numpy() if self.acquisition else None

    def to_tensors(self) -> dict[str, Tensor]:
        """Every array by name."""
        tensors = {f"tokens.{tap}": torch.cat(parts) for tap, parts in self.tokens.items()}
        if self.acquisition:
            tensors["acquisition"] = torch.cat(self.acquisition)
        tensors["labels"] = torch.tensor(self.labels)
        tensors["references"] = torch.tensor(self.references)
        return tensors

    def extend(self, tensors: Mapping[str, Tensor]) -> None:
        """Add the rows of `to_tensors`; KeyError where an array is missing."""
        for name, values in tensors.items():
            if name.startswith("tokens."):
                self.tokens.setdefault(name.removeprefix("tokens."), []).append(values)
        if "acquisition" in tensors:
            self.acquisition.append(tensors["acquisition"])
        self.labels.extend(tensors["labels"].tolist())
        self.references.extend(tensors["references"].tolist())
