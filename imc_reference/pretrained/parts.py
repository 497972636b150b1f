"""The trained parts on disk: projector and low-rank changes in one small safetensors file.

Beside the tensors (float16) stands what they belong to (the language file, the tower), how they
were trained and what was measured of them: numbers and names, no text of a question.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save

from imc_core.files import replace_file
from imc_reference.pretrained.package import PretrainedRefused

FORMAT = "imc-pretrained-parts-1"
SHIPPED = Path(__file__).parent.parent / "data" / "pretrained.safetensors"
"""The parts that this project trained."""

Tensors = dict[str, torch.Tensor]


@dataclass(frozen=True)
class TrainedParts:
    """Projector and low-rank changes, and what they belong to."""

    tensors: Tensors
    rank: int
    language: str
    """SHA-256 of the language file."""
    tower: str
    """Digest of the vision tower's weights."""
    recipe: dict[str, Any] = field(default_factory=dict)
    """Settings and length of the training."""
    report: dict[str, Any] | None = None
    """What `imc_reference.evaluation` measured; None: not measured."""
    curve: list[dict[str, float]] = field(default_factory=list)
    """Points of the learning curve."""

    def save(self, path: Path) -> None:
        """Write them, whole or not at all."""
        stated = {
            "format": FORMAT,
            "rank": str(self.rank),
            "language": self.language,
            "tower": self.tower,
            "recipe": json.dumps(self.recipe),
            "report": json.dumps(self.report),
            "curve": json.dumps(self.curve),
        }
        half = {n: t.detach().cpu().half().contiguous() for n, t in self.tensors.items()}
        replace_file(path, save(half, metadata=stated))

    @classmethod
    def load(cls, path: Path, *, language: str, tower: str) -> TrainedParts:
        """Read them.

        Args:
            path: the file.
            language: digest of the language file that they are to be added to.
            tower: digest of the tower before them.

        Raises:
            PretrainedRefused: missing, damaged, of another format, or of another model.
        """
        remedy = "train them again: imc reference pretrained --train --data FOLDER"
        try:
            with safe_open(path, framework="pt") as opened:
                stated = opened.metadata() or {}
                tensors = {name: opened.get_tensor(name) for name in opened.keys()}  # noqa: SIM118
            if stated.get("format") != FORMAT:
                raise ValueError("format")
            parts = cls(
                tensors,
                int(stated["rank"]),
                stated["language"],
                stated["tower"],
                json.loads(stated["recipe"]),
                json.loads(stated["report"]),
                json.loads(stated["curve"]),
            )
        except FileNotFoundError:
            raise PretrainedRefused(f"trained parts {path}: no such file; {remedy}") from None
        except (OSError, ValueError, KeyError, SafetensorError):
            raise PretrainedRefused(
                f"trained parts {path.name}: damaged or of another format; {remedy}"
            ) from None
        if parts.language != language:
            raise PretrainedRefused(
                f"trained parts {path.name}: they belong to other language weights; {remedy}"
            )
        if parts.tower != tower:
            raise PretrainedRefused(
                f"trained parts {path.name}: they were trained behind another vision tower than "
                f"the embedded model's; {remedy}"
            )
        return parts
