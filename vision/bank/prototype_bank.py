"""The prototype bank of one model: noise classifiers and correction maps, as one file."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from safetensors import safe_open
from safetensors.torch import save as serialize
from torch import Tensor

from vision.bank.checks import check_classifiers, check_maps, check_restorer
from vision.bank.metadata import FORMAT, BankMetadata
from vision.bank.stored import check_values, named_below, reading, write_parts
from vision.calibrate.cascade import TapMaps
from vision.errors import BankRefused
from vision.perceive.noise_classifier import SCORER_TYPES, SOURCES, NoiseClassifier
from vision.perceive.noise_features import Gaussians
from vision.restore.restorer import PixelRestorer, restorer_classes

_HALF_FROM = 4096
"""Tensors with at least this many values are stored in half precision."""


@dataclass(frozen=True)
class PrototypeBank:
    """Noise classifiers and correction maps of one model, fitted on clean images of one domain."""

    fingerprint: str
    """The model's (`vision.encoder.vision_encoder.model_fingerprint`)."""
    kinds: tuple[str, ...]
    severities: tuple[int, ...]
    images: int
    """How many distinct clean references it was built from."""
    seed: int
    side: int
    """Side in pixels at which acquisition statistics are taken."""
    perception_tap: str
    """The tap whose token statistics the noise classifiers use; `""` where there is none."""
    noise_classifier: NoiseClassifier = field(repr=False)
    maps: dict[str, TapMaps] = field(repr=False)
    """By tap, in order of depth: where a class has a map, and the perception tap."""
    restored: dict[str, dict[str, float]] = field(default_factory=dict, repr=False)
    """By tap and kind: share of the residual of held-out references that is corrected; `pixels` is
    the pixel stage."""
    restorer: PixelRestorer | None = field(default=None, repr=False)
    """The pixel stage; None: features alone are calibrated."""
    residual_classifier: NoiseClassifier | None = field(default=None, repr=False)
    """Classifies restored pictures; its clean class is "restored, no noise left"."""
    blocks: str = ""
    """Dotted name of the encoder's blocks where they were named; empty: found by structure."""

    @property
    def taps(self) -> tuple[str, ...]:
        """The taps that are calibrated."""
        return tuple(tap for tap, maps in self.maps.items() if not maps.is_empty)

    def _contents(self) -> tuple[dict[str, Tensor], dict[str, str]]:
        """The file's tensors and its header."""
        tensors: dict[str, Tensor] = {}
        tensors.update(_classifier_tensors("perceiver", self.noise_classifier))
        if self.residual_classifier is not None:
            tensors.update(_classifier_tensors("again", self.residual_classifier))
        if self.restorer is not None:
            for key, tensor in self.restorer.to_tensors().items():
                half = tensor.numel() >= _HALF_FROM and key != "maps"
                tensors[f"restorer.{key}"] = tensor.half() if half else tensor
        for tap, maps in self.maps.items():
            for key, tensor in maps.to_tensors().items():
                half = tensor.numel() >= _HALF_FROM
                tensors[f"maps.{tap}.{key}"] = tensor.half() if half else tensor
        metadata = BankMetadata(
            fingerprint=self.fingerprint,
            kinds=list(self.kinds),
            severities=list(self.severities),
            images=self.images,
            seed=self.seed,
            side=self.side,
            perception_tap=self.perception_tap,
            taps=list(self.maps),
            classes=[list(pair) for pair in self.noise_classifier.classes],
            restored=self.restored,
            blocks=self.blocks,
        )
        contiguous = {name: tensor.clone().contiguous() for name, tensor in tensors.items()}
        return contiguous, metadata.to_header()

    @property
    def digest(self) -> str:
        """SHA-256 of the bank's file."""
        tensors, header = self._contents()
        return hashlib.sha256(serialize(tensors, metadata=header)).hexdigest()

    def save(self, path: str | Path) -> None:
        """Write the bank as one safetensors file, whole or not at all.

        Raises BankRefused where it cannot be written: a full disk leaves what was there.
        """
        tensors, header = self._contents()
        write_parts(path, tensors, header, "prototype bank")

    @classmethod
    def load(cls, path: str | Path, *, fingerprint: str | None) -> PrototypeBank:
        """Read a bank for the model of `fingerprint` (None: of any model, to show it).

        Raises BankRefused: no such file, truncated or not a bank, of an unknown format version, of
        another model, with values that are not finite, or with parts that do not fit together.
        """
        source = Path(path)
        named = f"prototype bank {source.name!r}"
        remedy = "build it again with `imc prototypes build`"
        if not source.is_file():
            raise BankRefused(f"{named} is not a file: {remedy}")
        with reading(named, remedy):
            with safe_open(source, framework="pt") as stored:
                header = stored.metadata()
                if BankMetadata.format_of(header) != FORMAT:
                    raise BankRefused(
                        f"{source.name!r} is not a prototype bank of format {FORMAT!r}: {remedy}"
                    )
                metadata = BankMetadata.from_header(header)
                if fingerprint is not None and metadata.fingerprint != fingerprint:
                    raise BankRefused(
                        f"{named} was built for another model (its fingerprint differs): build one "
                        "for this model with `imc prototypes build`"
                    )
                tensors = {name: stored.get_tensor(name) for name in stored.keys()}  # noqa: SIM118
            check_values(tensors)
            bank = cls._from(metadata, tensors)
            check_maps(bank.maps)
            check_classifiers(bank._classifiers, bank.maps, bank.perception_tap)
            if bank.restorer is not None:
                check_restorer(bank.restorer)
        return bank

    @property
    def _classifiers(self) -> list[NoiseClassifier]:
        every = (self.noise_classifier, self.residual_classifier)
        return [one for one in every if one is not None]

    @classmethod
    def _from(cls, about: BankMetadata, tensors: dict[str, Tensor]) -> PrototypeBank:
        def under(prefix: str) -> dict[str, Tensor]:
            return named_below(prefix, tensors)

        def arrays(prefix: str) -> dict[str, np.ndarray[tuple[int, ...], np.dtype[np.float64]]]:
            return {key: value.double().numpy() for key, value in under(prefix).items()}

        classes = about.class_pairs

        def classifier(prefix: str) -> NoiseClassifier:
            names = [name for name in SOURCES if under(f"{prefix}.reduction.{name}.")]
            every = [*names, "joint"] if len(names) > 1 else names
            return NoiseClassifier(
                classes,
                {
                    n: SCORER_TYPES[n].from_tensors(arrays(f"{prefix}.reduction.{n}."))
                    for n in names
                },
                {n: Gaussians.from_tensors(arrays(f"{prefix}.density.{n}.")) for n in every},
                {n: tensors[f"{prefix}.clean.{n}"].double().numpy() for n in every},
            )

        pixels = under("restorer.")
        return cls(
            fingerprint=about.fingerprint,
            kinds=tuple(about.kinds),
            severities=tuple(about.severities),
            images=about.images,
            seed=about.seed,
            side=about.side,
            perception_tap=about.perception_tap,
            noise_classifier=classifier("perceiver"),
            maps={
                tap: TapMaps.from_tensors(under(f"maps.{tap}."), len(classes))
                for tap in about.taps
            },
            restored=about.restored,
            restorer=(
                PixelRestorer.from_tensors(restorer_classes(classes), pixels) if pixels else None
            ),
            residual_classifier=classifier("again") if under("again.") else None,
            blocks=about.blocks,
        )


def _classifier_tensors(prefix: str, classifier: NoiseClassifier) -> dict[str, Tensor]:
    """By the names of the file format, `PREFIX.reduction.SOURCE.ARRAY` and so on."""
    tensors = {}
    for name, scorer in classifier.scorers.items():
        for key, value in scorer.to_tensors().items():
            tensors[f"{prefix}.reduction.{name}.{key}"] = torch.from_numpy(value).float()
    for name, density in classifier.densities.items():
        for key, value in density.to_tensors().items():
            tensors[f"{prefix}.density.{name}.{key}"] = torch.from_numpy(value)
        tensors[f"{prefix}.clean.{name}"] = torch.from_numpy(classifier.clean_scores[name])
    return tensors
