"""The prototype bank of one model: noise classifiers and correction maps, as one file."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from vision.bank.checks import check_fit
from vision.calibrate.cascade import TapMaps
from vision.errors import BankRefused
from vision.perceive.noise_classifier import SCORER_TYPES, SOURCES, NoiseClassifier
from vision.perceive.noise_features import Gaussians
from vision.restore.restorer import PixelRestorer, restorer_classes

FORMAT = "imc-prototypes-4"

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

    @property
    def taps(self) -> tuple[str, ...]:
        """The taps that are calibrated."""
        return tuple(tap for tap, maps in self.maps.items() if not maps.is_empty)

    def save(self, path: str | Path) -> None:
        """Write the bank as one safetensors file."""
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
        about = {
            "format": FORMAT,
            "fingerprint": self.fingerprint,
            "kinds": list(self.kinds),
            "severities": list(self.severities),
            "images": self.images,
            "seed": self.seed,
            "side": self.side,
            "perception_tap": self.perception_tap,
            "taps": list(self.maps),
            "classes": [list(pair) for pair in self.noise_classifier.classes],
            "restored": self.restored,
        }
        # A temporary file beside it: a killed build leaves no half-written bank.
        target = Path(path)
        writing = target.with_name(target.name + ".writing")
        contiguous = {name: tensor.clone().contiguous() for name, tensor in tensors.items()}
        save_file(contiguous, writing, metadata={"imc": json.dumps(about, sort_keys=True)})
        writing.replace(target)

    @classmethod
    def load(cls, path: str | Path, *, fingerprint: str | None) -> PrototypeBank:
        """Read a bank for the model of `fingerprint` (None: of any model, to show it).

        Raises BankRefused: no such file, truncated or not a bank, of an unknown format version, of
        another model, with values that are not finite, or with parts that do not fit together.
        """
        source = Path(path)
        mend = "build it again with `imc prototypes build`"
        if not source.is_file():
            raise BankRefused(f"prototype bank {source.name!r} is not a file: {mend}")
        try:
            with safe_open(source, framework="pt") as stored:
                about = json.loads((stored.metadata() or {}).get("imc", "null"))
                tensors = {name: stored.get_tensor(name) for name in stored.keys()}  # noqa: SIM118
        except (SafetensorError, OSError, ValueError) as problem:
            raise BankRefused(
                f"prototype bank {source.name!r} is truncated or no safetensors file: {mend}"
            ) from problem
        if not isinstance(about, dict) or about.get("format") != FORMAT:
            raise BankRefused(
                f"{source.name!r} is not a prototype bank of format {FORMAT!r}: {mend}"
            )
        if fingerprint is not None and about.get("fingerprint") != fingerprint:
            raise BankRefused(
                f"prototype bank {source.name!r} was built for another model "
                f"(its fingerprint differs): build one for this model with `imc prototypes build`"
            )
        for name, tensor in tensors.items():
            if not bool(torch.isfinite(tensor).all()):
                raise BankRefused(
                    f"prototype bank {source.name!r} holds values that are not finite "
                    f"in {name!r}: {mend}"
                )
        try:
            bank = cls._from(about, tensors)
            check_fit(bank)
        except KeyError as problem:
            raise BankRefused(
                f"prototype bank {source.name!r} lacks a part ({problem}): {mend}"
            ) from problem
        except (TypeError, ValueError, IndexError, RuntimeError) as problem:
            why = str(problem).partition("\n")[0]
            raise BankRefused(
                f"prototype bank {source.name!r} does not fit together ({why}): {mend}"
            ) from problem
        return bank

    @classmethod
    def _from(cls, about: dict[str, object], tensors: dict[str, Tensor]) -> PrototypeBank:
        def under(prefix: str) -> dict[str, Tensor]:
            return {
                name[len(prefix) :]: tensor.to(
                    torch.float32 if tensor.dtype == torch.float16 else tensor.dtype
                )
                for name, tensor in tensors.items()
                if name.startswith(prefix)
            }

        def arrays(prefix: str) -> dict[str, np.ndarray[tuple[int, ...], np.dtype[np.float64]]]:
            return {key: value.double().numpy() for key, value in under(prefix).items()}

        classes = tuple((str(kind), int(severity)) for kind, severity in _rows(about["classes"]))

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
            fingerprint=str(about["fingerprint"]),
            kinds=tuple(str(kind) for kind in _row(about["kinds"])),
            severities=tuple(int(str(severity)) for severity in _row(about["severities"])),
            images=int(str(about["images"])),
            seed=int(str(about["seed"])),
            side=int(str(about["side"])),
            perception_tap=str(about["perception_tap"]),
            noise_classifier=classifier("perceiver"),
            maps={
                str(tap): TapMaps.from_tensors(under(f"maps.{tap}."), len(classes))
                for tap in _row(about["taps"])
            },
            restored=_shares(about["restored"]),
            restorer=(
                PixelRestorer.from_tensors(restorer_classes(classes), pixels) if pixels else None
            ),
            residual_classifier=classifier("again") if under("again.") else None,
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


def _row(value: object) -> Sequence[Any]:
    if not isinstance(value, list):
        raise TypeError("a list is missing in its description")
    return value


def _rows(value: object) -> list[tuple[str, int]]:
    return [(str(kind), int(severity)) for kind, severity in map(_row, _row(value))]


def _shares(value: object) -> dict[str, dict[str, float]]:
    """By stage and kind."""
    if not isinstance(value, dict) or not all(isinstance(part, dict) for part in value.values()):
        raise TypeError("what it restores is not told by stage and kind")
    return {
        str(stage): {str(kind): float(share) for kind, share in by_kind.items()}
        for stage, by_kind in value.items()
    }
