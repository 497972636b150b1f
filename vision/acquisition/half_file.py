"""The acquisition half's file: one safetensors file, checked part by part when it is read."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
import torch
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from imc_core.files import replacing
from vision.acquisition.benefit import BenefitPredictor
from vision.acquisition.evidence import EVIDENCE, Novelty
from vision.acquisition.parts import HalfParts
from vision.acquisition.restorer import EnsembleRestorer, restorer_classes
from vision.acquisition.scales import SCALES
from vision.acquisition.statistics import picture_statistics
from vision.errors import BankRefused
from vision.perceive.fourier_ridge import FourierRegression
from vision.perceive.noise_density import NoiseDensity
from vision.perceive.noise_features import Gaussians
from vision.perceive.pixel_classifier import PixelClassifier
from vision.report import CLEAN

FORMAT: Literal["imc-acquisition-1"] = "imc-acquisition-1"
_KEY = "imc"
_LARGEST = 1e15
_TRIAL_SIDE = 32
_HALF = (".landmarks", ".weights")
"""Ends of the prototypes' tensors that are stored in half precision."""
_REMEDY = "reinstall the package, or fit it again with `imc prototypes acquisition`"

Name = Annotated[str, Field(min_length=1, max_length=200)]


class _Header(BaseModel):
    """What the file says of itself."""

    model_config = ConfigDict(frozen=True, strict=True)

    format: Literal["imc-acquisition-1"] = FORMAT
    origins: dict[Name, Annotated[int, Field(ge=1)]]
    seed: Annotated[int, Field(ge=0, lt=2**63)]
    scales: list[int]
    evidence: list[str]
    classes: Annotated[list[tuple[Name, Annotated[int, Field(ge=0, le=6)]]], Field(max_length=1000)]
    stripes_left: Annotated[float, Field(ge=0.0, le=1.0, allow_inf_nan=False)]
    most_harm: Annotated[float, Field(ge=0.0, le=1.0, allow_inf_nan=False)]


def save_parts(half: HalfParts, path: Path) -> None:
    """Write the file, whole or not at all. Raises BankRefused where it cannot be written."""
    tensors: dict[str, Tensor] = {}
    for name, classifier in (
        ("classifier", half.classifier),
        ("residual", half.residual_classifier),
    ):
        tensors.update(_under(name, _classifier_tensors(classifier)))
    for key, tensor in half.restorer.to_tensors().items():
        short = key.endswith(_HALF)
        tensors[f"restorer.{key}"] = tensor.half() if short else tensor
    tensors.update(_under("benefit", half.benefit.to_tensors()))
    tensors["novelty.centre"] = torch.from_numpy(half.novelty.centre)
    tensors["novelty.whiten"] = torch.from_numpy(half.novelty.whiten)
    header = _Header(
        origins=half.origins,
        seed=half.seed,
        scales=list(SCALES),
        evidence=list(EVIDENCE),
        classes=list(half.classes),
        stripes_left=half.stripes_left,
        most_harm=half.benefit.most_harm,
    )
    contiguous = {name: tensor.clone().contiguous() for name, tensor in tensors.items()}
    try:
        with replacing(path) as writing:
            save_file(contiguous, writing, metadata={_KEY: header.model_dump_json()})
    except (OSError, SafetensorError) as problem:
        why = getattr(problem, "strerror", None) or str(problem).partition("\n")[0][:120]
        raise BankRefused(
            f"acquisition half {path.name!r} cannot be written ({why}): free some space or name "
            "another folder, and run the same command again"
        ) from problem


def load_parts(path: Path) -> HalfParts:
    """Read and check the file.

    Raises BankRefused: no such file, damaged, of another version, or with parts that do not fit.
    """
    named = f"acquisition half {path.name!r}"
    if not path.is_file():
        raise BankRefused(f"{named} is not a file: {_REMEDY}")
    try:
        with safe_open(path, framework="pt") as stored:
            text = (stored.metadata() or {}).get(_KEY, "null")
            held = json.loads(text)
            if isinstance(held, dict) and held.get("format") not in (FORMAT, None):
                raise BankRefused(
                    f"{named} is of another version ({str(held['format'])[:40]!r}, this program "
                    f"reads {FORMAT!r}): {_REMEDY}"
                )
            header = _Header.model_validate_json(text)
            tensors = {name: stored.get_tensor(name) for name in stored.keys()}  # noqa: SIM118
        return _assembled(header, tensors, hashlib.sha256(path.read_bytes()).hexdigest())
    except ValidationError as problem:
        first = problem.errors(include_input=False, include_url=False)[0]
        where = ".".join(str(part) for part in first["loc"]) or "its description"
        why = f"{named} is damaged or no acquisition half ({where}): {_REMEDY}"
        raise BankRefused(why) from None
    except (SafetensorError, OSError, RecursionError) as problem:
        raise BankRefused(
            f"{named} is damaged or no acquisition half ({type(problem).__name__}): {_REMEDY}"
        ) from None
    except (KeyError, ValueError, TypeError, IndexError, RuntimeError) as problem:
        if isinstance(problem, BankRefused):
            raise
        raise BankRefused(f"{named} is damaged: its parts do not fit together; {_REMEDY}") from None


def _assembled(header: _Header, tensors: dict[str, Tensor], digest: str) -> HalfParts:
    if tuple(header.scales) != SCALES or tuple(header.evidence) != EVIDENCE:
        raise ValueError("scales or evidence differ")
    classes = tuple((kind, severity) for kind, severity in header.classes)
    if len(classes) < 2 or classes[0] != (CLEAN, 0) or any(s < 1 for _, s in classes[1:]):
        raise ValueError("classes")
    for tensor in tensors.values():
        if not tensor.is_floating_point():
            raise ValueError("types")
        exact = tensor.float()
        if not bool(torch.isfinite(exact).all()) or bool((exact.abs() > _LARGEST).any()):
            raise ValueError("not finite")
    half = HalfParts(
        origins=dict(header.origins),
        seed=header.seed,
        classifier=_classifier(classes, _part("classifier", tensors)),
        residual_classifier=_classifier(classes, _part("residual", tensors)),
        restorer=EnsembleRestorer.from_tensors(
            restorer_classes(classes), _part("restorer", tensors)
        ),
        novelty=Novelty(
            tensors["novelty.centre"].double().numpy(), tensors["novelty.whiten"].double().numpy()
        ),
        benefit=BenefitPredictor.from_tensors(_part("benefit", tensors), header.most_harm),
        stripes_left=header.stripes_left,
        digest=digest,
    )
    _check(half)
    return half


def _check(half: HalfParts) -> None:
    """Run every part once on a blank picture. Raises ValueError or RuntimeError."""
    blank = torch.linspace(0.0, 1.0, _TRIAL_SIDE).expand(1, _TRIAL_SIDE, _TRIAL_SIDE)
    statistics = picture_statistics(blank)[None]
    size = statistics.shape[1]
    if half.novelty.centre.shape != (size,) or half.novelty.whiten.shape != (size, size):
        raise ValueError("novelty")
    for classifier in (half.classifier, half.residual_classifier):
        clean = classifier.density.clean_scores
        if clean.ndim != 1 or not len(clean):
            raise ValueError("clean scores")
        one = classifier.predict(statistics)[0]
        if one.probabilities.shape != (len(half.classes) + 1,):
            raise ValueError("posterior")
        if not np.isfinite(one.probabilities).all() or not 0.0 <= one.clean_p_value <= 1.0:
            raise ValueError("posterior")
    weights = torch.full((1, len(half.restorer.classes)), 1.0 / len(half.restorer.classes))
    found = half.restorer(blank[None], weights)
    harm, share = half.benefit(np.zeros((1, len(EVIDENCE))))
    if half.restorer.maps.shape[0] != len(SCALES) or half.restorer.maps.shape[1] < 2:
        raise ValueError("scales or members")
    if not bool(torch.isfinite(found.changes).all()) or not np.isfinite([*harm, *share]).all():
        raise ValueError("not finite")
    if not np.isfinite(half.novelty(statistics)).all():
        raise ValueError("novelty")


def _classifier_tensors(classifier: PixelClassifier) -> dict[str, Tensor]:
    tensors = classifier.scorer.to_tensors()
    for key, value in classifier.density.gaussians.to_tensors().items():
        tensors[f"density.{key}"] = torch.from_numpy(value)
    tensors["clean_scores"] = torch.from_numpy(classifier.density.clean_scores)
    return tensors


def _classifier(
    classes: tuple[tuple[str, int], ...], tensors: dict[str, Tensor]
) -> PixelClassifier:
    density = {name: one.double().numpy() for name, one in _part("density", tensors).items()}
    return PixelClassifier(
        classes,
        FourierRegression.from_tensors(tensors),
        NoiseDensity(
            Gaussians.from_tensors(density), tensors["clean_scores"].double().numpy()
        ),
    )


def _under(name: str, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    return {f"{name}.{key}": tensor for key, tensor in tensors.items()}


def _part(name: str, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    prefix = f"{name}."
    return {key[len(prefix) :]: one for key, one in tensors.items() if key.startswith(prefix)}
