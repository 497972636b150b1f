"""What a model half's file says of itself, checked field by field."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from vision.bank.metadata import ClassPairs, Name, NoisyPairs, Share, StoredHeader, checked_pairs

FORMAT: Literal["imc-model-half-3"] = "imc-model-half-3"

_MOST_TAPS = 10_000
Taps = Annotated[list[Name], Field(max_length=_MOST_TAPS)]


class ModelHalfHeader(StoredHeader):
    """The description of a model half."""

    format: Literal["imc-model-half-3"] = FORMAT
    fingerprint: Annotated[str, Field(min_length=1, max_length=200)]
    acquisition: Annotated[str, Field(max_length=200)]
    """Digest of the acquisition half that it was fitted with; empty: with none."""
    classes: ClassPairs
    images: Annotated[int, Field(ge=1, le=10**9)]
    seed: Annotated[int, Field(ge=0, lt=2**63)]
    taps: Annotated[Taps, Field(min_length=1)]
    maps: Annotated[dict[Name, Taps], Field(max_length=2)]
    """By what the maps are applied to: taps with maps, in order of depth."""
    gains: dict[str, dict[str, dict[str, Share]]]
    blocks: Annotated[str, Field(max_length=500)] = ""
    """Dotted name of the vision blocks where they were named (`--blocks`), else empty."""
    restored: NoisyPairs = Field(default_factory=list)
    """Classes of its own restorer; empty: it has none."""
    most_harm: Share = 0.0
    """Probability of harm below which that one's restorations are kept."""

    @model_validator(mode="after")
    def _agree(self) -> Self:
        checked_pairs(self.classes)
        for name, taps in (("taps", self.taps), *self.maps.items()):
            if len(set(taps)) != len(taps):
                raise ValueError(f"its {name} repeat")
        return self
