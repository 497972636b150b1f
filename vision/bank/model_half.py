"""The model half of PDC: what is fitted per model, as one file.

The encoder's witness (spectra and class scorers at its taps, densities, conformal scores), the
distance to clean at every tap, the calibration maps where they earn something, and the domain: what
the references show, and what corrects the noise of such pictures. It holds means, covariances,
regression weights and sorted scores, each over all references, and means of the thumbnails of five
or more: no image, thumbnail or feature of a single one.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import torch
from safetensors import safe_open
from safetensors.torch import save as serialize
from torch import Tensor

from vision.acquisition.benefit import BenefitPredictor
from vision.acquisition.domain import Domain, OwnRestorer
from vision.acquisition.evidence import EVIDENCE
from vision.acquisition.restorer import EnsembleRestorer
from vision.acquisition.scales import MIN_SIDE
from vision.acquisition.second_opinion import UsualOpinion
from vision.bank.metadata import checked_pairs
from vision.bank.model_half_header import FORMAT, ModelHalfHeader
from vision.bank.stored import check_values, named_below, reading, write_parts
from vision.calibrate.class_maps import ClassMaps
from vision.calibrate.clean_distance import CleanDistance
from vision.encoder.token_layout import POSITION_FEATURES, infer_layout
from vision.encoder.token_spectrum import TokenSpectrum
from vision.errors import BankRefused
from vision.perceive.content import KnownContent
from vision.perceive.encoder_witness import ACQUISITION, EncoderWitness
from vision.perceive.noise_density import NoiseDensity
from vision.perceive.noise_features import ClassScorer, Gaussians

__all__ = ["FORMAT", "RESTORED", "UNRESTORED", "ModelHalf"]

RESTORED, UNRESTORED = "restored", "unrestored"
"""What maps are applied to: features of pictures that the acquisition half has restored, or of
pictures as they came (`pdc-features`, the paper's own form)."""

RESIDUAL = "residual"
"""Name in the file of the density over restored references."""
_HALF_FROM = 4096
"""Tensors with at least this many values are stored in half precision, except `_EXACT`: along
directions of least variance the rounding of the largest features would count."""
_EXACT = ("spectrum.", "density.", "restorer.maps", "benefit.", "opinion.")
_REMEDY = "build it again with `imc prototypes build`"


@dataclass(frozen=True)
class ModelHalf:
    """Witness, distances to clean and calibration maps of one model's encoder."""

    fingerprint: str
    """The model's (`vision.encoder.vision_encoder.model_fingerprint`)."""
    acquisition: str
    """Digest of the acquisition half that it was fitted with; empty: with none."""
    images: int
    """How many distinct clean references it was built from."""
    seed: int
    spectra: dict[str, TokenSpectrum] = field(repr=False)
    """By tap of the witness, in order of depth."""
    witness: EncoderWitness = field(repr=False)
    distances: dict[str, CleanDistance] = field(repr=False)
    """By the same taps: distance of an image's statistics to those of clean references."""
    maps: dict[str, dict[str, ClassMaps]] = field(default_factory=dict, repr=False)
    """By what they are applied to (`RESTORED`, `UNRESTORED`) and tap, in order of depth."""
    domain: Domain | None = field(default=None, repr=False)
    """Of the references, for the acquisition half; None where it was fitted without one."""
    gains: dict[str, dict[str, dict[str, float]]] = field(default_factory=dict, repr=False)
    """By the same and kind: share of the residual of left-out references that is explained, mean
    over severities; a map that was left out counts as 0."""
    blocks: str = ""
    """Dotted name of the encoder's blocks where they were named; empty: found by structure."""
    _elsewhere: dict[torch.device, ModelHalf] = field(
        default_factory=dict, init=False, repr=False, compare=False
    )

    def on(self, device: torch.device) -> ModelHalf:
        """The same with spectra, distances and maps on a device, moved there once.

        The layers of a tower may lie on several devices; statistics and changes of features are
        computed where the features are. The witness stays: it reads statistics, which are small.
        """
        if device.type == "cpu":
            return self
        if device not in self._elsewhere:
            self._elsewhere[device] = replace(
                self,
                spectra={tap: one.to(device) for tap, one in self.spectra.items()},
                distances={tap: one.to(device) for tap, one in self.distances.items()},
                maps={
                    stage: {tap: one.to(device) for tap, one in by_tap.items()}
                    for stage, by_tap in self.maps.items()
                },
            )
        return self._elsewhere[device]

    @property
    def classes(self) -> tuple[tuple[str, int], ...]:
        """Clean first, then every (kind, severity): those of the acquisition half."""
        return self.witness.classes

    @property
    def taps(self) -> tuple[str, ...]:
        """Every tap that is read, in order of depth."""
        return tuple(self.spectra)

    def maps_for(self, stage: str) -> Mapping[str, ClassMaps]:
        """Maps by tap of features of `RESTORED` or `UNRESTORED` pictures; empty: none earned."""
        return self.maps.get(stage, {})

    def clean_distance(self, statistics: Mapping[str, Tensor]) -> Tensor:
        """(n,) root mean square over taps of the distances to clean, about 1 for clean images.

        `statistics` are (n, s) by tap.
        """
        squares = [one.of(statistics[tap]).square() for tap, one in self.distances.items()]
        return torch.stack(squares).mean(dim=0).sqrt()

    @property
    def clean_band(self) -> float:
        """Root mean square over taps of the distances that still count as clean."""
        squares = [one.band**2 for one in self.distances.values()]
        return float(np.sqrt(np.mean(squares)))

    @property
    def knows_acquisition(self) -> bool:
        """Whether its witness was fitted beside the acquisition half's class scores."""
        return "joint" in self.witness.densities

    def check_acquisition(self, digest: str) -> None:
        """Refuse to work beside another acquisition half than the one it was fitted with.

        Raises BankRefused.
        """
        if self.acquisition and digest != self.acquisition:
            raise BankRefused(
                "the model half was fitted with another acquisition half (its digest differs): "
                f"{_REMEDY}, or give the acquisition half that it was built with"
            )

    # -- the file -------------------------------------------------------------------------------

    @property
    def _densities(self) -> dict[str, NoiseDensity]:
        """Every density by its name in the file."""
        residual = None if self.domain is None else self.domain.residual
        left = {} if residual is None else {RESIDUAL: residual}
        return {**self.witness.densities, **left}

    def contents(self) -> tuple[dict[str, Tensor], dict[str, str]]:
        """The file's tensors and its header."""
        tensors: dict[str, Tensor] = {}
        for tap, spectrum in self.spectra.items():
            tensors |= _prefixed(f"spectrum.{tap}", spectrum.to_tensors())
            distance = self.distances[tap]
            parts = {"project": distance.project, "centre": distance.centre}
            parts["band"] = torch.tensor([distance.band])
            tensors |= _prefixed(f"distance.{tap}", parts)
        for tap, scorer in self.witness.scorers.items():
            tensors |= _prefixed(f"scorer.{tap}", _as_tensors(scorer.to_tensors()))
        for source, density in self._densities.items():
            parts = _as_tensors(density.gaussians.to_tensors())
            parts["clean"] = torch.from_numpy(density.clean_scores)
            tensors |= _prefixed(f"density.{source}", parts)
        for stage, by_tap in self.maps.items():
            for tap, maps in by_tap.items():
                tensors |= _prefixed(f"maps.{stage}.{tap}", maps.to_tensors())
        if self.domain is not None:
            tensors |= _prefixed("content", self.domain.content.to_tensors())
        own = None if self.domain is None else self.domain.own
        if own is not None:
            tensors |= _prefixed("restorer", own.restorer.to_tensors())
            tensors |= _prefixed("benefit", own.benefit.to_tensors())
            tensors |= _prefixed("opinion", own.usual.to_tensors())
        header = ModelHalfHeader(
            fingerprint=self.fingerprint,
            acquisition=self.acquisition,
            classes=[list(pair) for pair in self.classes],
            images=self.images,
            seed=self.seed,
            taps=list(self.spectra),
            maps={stage: list(by_tap) for stage, by_tap in self.maps.items()},
            gains=self.gains,
            blocks=self.blocks,
            restored=[] if own is None else [list(pair) for pair in own.restorer.classes],
            most_harm=0.0 if own is None else own.benefit.most_harm,
        )
        stored = {name: _stored(name, tensor) for name, tensor in tensors.items()}
        return stored, header.to_header()

    @property
    def digest(self) -> str:
        """SHA-256 of the file."""
        tensors, header = self.contents()
        return hashlib.sha256(serialize(tensors, metadata=header)).hexdigest()

    def save(self, path: str | Path) -> None:
        """Write one safetensors file, whole or not at all.

        Raises BankRefused where it cannot be written: a full disk leaves what was there.
        """
        write_parts(path, *self.contents(), "model half")

    @classmethod
    def load(
        cls, path: str | Path, *, fingerprint: str | None, acquisition: str | None
    ) -> ModelHalf:
        """Read and check a file.

        Args:
            path: the file.
            fingerprint: of the model that it is for; None: of any, to show it.
            acquisition: digest of the acquisition half beside it; None: of any, to show it.

        Raises BankRefused: no such file, truncated or no model half, of another format version, of
        another model or acquisition half, with values that are not finite, or with parts that do
        not fit together.
        """
        source = Path(path)
        named = f"model half {source.name!r}"
        if not source.is_file():
            raise BankRefused(f"{named} is not a file: {_REMEDY}")
        with reading(named, _REMEDY):
            with safe_open(source, framework="pt") as stored:
                described = stored.metadata()
                if ModelHalfHeader.format_of(described) != FORMAT:
                    raise BankRefused(
                        f"{source.name!r} is not a model half of format {FORMAT!r}: {_REMEDY}"
                    )
                header = ModelHalfHeader.from_header(described)
                if fingerprint is not None and header.fingerprint != fingerprint:
                    raise BankRefused(
                        f"{named} was built for another model (its fingerprint differs): build one "
                        "for this model with `imc prototypes build`"
                    )
                tensors = {name: stored.get_tensor(name) for name in stored.keys()}  # noqa: SIM118
            check_values(tensors)
            half = cls._from(header, tensors)
            half._check()
        if acquisition is not None:
            half.check_acquisition(acquisition)
        return half

    @classmethod
    def _from(cls, header: ModelHalfHeader, tensors: Mapping[str, Tensor]) -> ModelHalf:
        classes = checked_pairs(header.classes)

        def below(*names: str) -> dict[str, Tensor]:
            return named_below(f"{'.'.join(names)}.", tensors)

        distances = {}
        for tap in header.taps:
            parts = below("distance", tap)
            band = float(parts["band"])
            distances[tap] = CleanDistance(parts["project"], parts["centre"], band)
        sources = dict.fromkeys(n.split(".")[1] for n in tensors if n.startswith("density."))
        densities = {}
        for source in sources:
            arrays = _as_arrays(below("density", source))
            clean = arrays.pop("clean")
            densities[source] = NoiseDensity(Gaussians.from_tensors(arrays), clean)
        residual = densities.pop(RESIDUAL, None)
        domain = None
        if content := below("content"):
            known, noise = KnownContent.from_tensors(content), densities[ACQUISITION]
            domain = Domain(known, noise, residual)
        if header.restored and domain is not None:
            restored = tuple((str(kind), int(severity)) for kind, severity in header.restored)
            kinds = tuple(dict.fromkeys(kind for kind, _ in restored))
            own = OwnRestorer(
                EnsembleRestorer.from_tensors(restored, below("restorer")),
                BenefitPredictor.from_tensors(below("benefit"), header.most_harm),
                UsualOpinion.from_tensors(kinds, below("opinion")),
            )
            domain = replace(domain, own=own)
        scorers = {
            tap: ClassScorer.from_tensors(_as_arrays(below("scorer", tap))) for tap in header.taps
        }
        return cls(
            fingerprint=header.fingerprint,
            acquisition=header.acquisition,
            images=header.images,
            seed=header.seed,
            spectra={t: TokenSpectrum.from_tensors(below("spectrum", t)) for t in header.taps},
            witness=EncoderWitness(classes, scorers, densities),
            distances=distances,
            maps={
                stage: {
                    tap: ClassMaps.from_tensors(below("maps", stage, tap), len(classes))
                    for tap in taps
                }
                for stage, taps in header.maps.items()
            },
            domain=domain,
            gains=header.gains,
            blocks=header.blocks,
        )

    def _check(self) -> None:
        """Use every part once on zeros. Raises ValueError where they do not fit together."""
        statistics = {
            tap: np.zeros((1, spectrum.size)) for tap, spectrum in self.spectra.items()
        }
        scores = self.witness.scores(statistics)
        count = len(self.classes)
        widths = {"encoder": scores.shape[1], "acquisition": count}
        widths["joint"] = sum(widths.values())
        widths[RESIDUAL] = count
        if "encoder" not in self.witness.densities:
            raise ValueError("its witness has no density of the encoder's scores")
        with np.errstate(all="ignore"):
            for source, density in self._densities.items():
                found = density.posterior(np.zeros((1, widths[source])))
                if found.shape != (1, count + 1) or not np.isfinite(found).all():
                    raise ValueError(f"its posteriors of {source} are not over its classes")
                if density.clean_scores.ndim != 1 or not len(density.clean_scores):
                    raise ValueError(f"it has no clean scores of {source}")
        zeros = {tap: torch.zeros(1, spectrum.size) for tap, spectrum in self.spectra.items()}
        if not bool(torch.isfinite(self.clean_distance(zeros)).all()):
            raise ValueError("its distances to clean are not finite")
        for by_tap in self.maps.values():
            for tap, maps in by_tap.items():
                _check_maps(tap, maps)
        if self.domain is not None and self.domain.own is not None:
            _check_restorer(self.domain.own, self.classes)


def _check_maps(tap: str, maps: ClassMaps) -> None:
    dim = len(maps.scaler.centre)
    layout = infer_layout(17 if len(maps.left) > 3 * dim + POSITION_FEATURES else 16)
    weights = torch.full((1, len(maps.ranks)), 1.0 / len(maps.ranks))
    change = maps.change(torch.zeros(1, 1, layout.tokens, dim), layout, weights)
    if not bool(torch.isfinite(change).all()) or bool((maps.scaler.scale <= 0.0).any()):
        raise ValueError(f"its maps at {tap} give no finite features")


def _check_restorer(own: OwnRestorer, classes: Sequence[tuple[str, int]]) -> None:
    restorer = own.restorer
    kinds = {kind for kind, _ in restorer.classes}
    if tuple(pair for pair in classes if pair[0] in kinds) != restorer.classes:
        raise ValueError("its restorer is not of every class of its kinds")
    blank = torch.linspace(0.0, 1.0, MIN_SIDE).expand(1, 1, MIN_SIDE, MIN_SIDE)
    weights = torch.full((1, len(restorer.classes)), 1.0 / len(restorer.classes))
    if not bool(torch.isfinite(restorer(blank, weights).changes).all()):
        raise ValueError("its restorer gives no finite picture")
    if not np.isfinite(own.benefit(np.zeros((1, len(EVIDENCE))))).all():
        raise ValueError("its predicted benefit is not finite")


def _prefixed(prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {f"{prefix}.{name}": tensor for name, tensor in tensors.items()}


def _as_tensors(arrays: Mapping[str, np.ndarray[tuple[int, ...], np.dtype[np.float64]]]) -> dict[
    str, Tensor
]:
    return {name: torch.from_numpy(array).float() for name, array in arrays.items()}


def _as_arrays(
    tensors: Mapping[str, Tensor],
) -> dict[str, np.ndarray[tuple[int, ...], np.dtype[np.float64]]]:
    return {name: tensor.double().numpy() for name, tensor in tensors.items()}


def _stored(name: str, tensor: Tensor) -> Tensor:
    exact = name.startswith(_EXACT) or not tensor.is_floating_point()
    half = tensor.numel() >= _HALF_FROM and not exact
    return (tensor.half() if half else tensor).clone().contiguous()
