"""The steps of building a model half; each is reported, computed once, stored and loaded again."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from torch import Tensor

from vision.acquisition.domain import Domain
from vision.bank.model_half import RESTORED, UNRESTORED
from vision.build.acquisition_source import AcquisitionSource, Size, working_sizes
from vision.build.domain.draws import DomainDrawer
from vision.build.domain.fit import DomainFit, acquisition_density, content_of
from vision.build.domain.restorer_fit import Tensors
from vision.build.draws import NATIVE_SIDES, clean_view, resized
from vision.build.encoder_passes import EncoderPasses
from vision.build.feature_store import FeatureStore
from vision.build.finished_steps import FinishedSteps
from vision.build.map_fit import MapFit
from vision.build.witness_rows import WitnessRows
from vision.build.workers import IN_PROCESS, Shared, Task, Workers
from vision.calibrate.clean_distance import CleanDistance, fit_distance
from vision.calibrate.moments import MIN_GAIN
from vision.calibrate.token_context import fit_scaler
from vision.encoder.token_spectrum import TokenSpectrum
from vision.encoder.vision_encoder import VisionEncoder
from vision.errors import BankRefused
from vision.reading.medical_image import MedicalImage

CLEAN_VIEWS = 4
"""Views of each reference: itself, resized, and two turned and cropped ones."""

RESTORED_GAIN = 0.05
"""Share of the left-out residual that a map must explain after the picture was restored: below it
the answers do not change (on SLAKE, maps beside the pixel stage restored .1 point of flips)."""

_SIDE = 224
"""Size of draws, in model inputs, where the model's input side varies by image."""


@dataclass(frozen=True)
class Counts:
    """How many draws of each class, and for the directions of each kind, a build takes."""

    witness: int
    """Three quarters of the references, at most 160; each class begins with another reference."""
    maps: int
    """Of those, for the maps: three eighths of the references, at most 96."""
    directions: int
    """So many that about 8,192 patches set the directions of a kind, 16 to 96 draws."""

    @classmethod
    def of(cls, references: int, *, tokens: int) -> Counts:
        """Counts for so many references with so many patches each."""
        return cls(
            witness=max(min(round(0.75 * references), 160), 2),
            maps=max(min(round(0.375 * references), 96), 2),
            directions=min(max(8192 // tokens, 16), 96),
        )


class ModelHalfSteps:
    """The long steps of one build, in order."""

    def __init__(
        self,
        encoder: VisionEncoder,
        images: list[MedicalImage],
        taps: tuple[str, ...],
        classes: Sequence[tuple[str, int]],
        acquisition: AcquisitionSource | None,
        finished: FinishedSteps,
        seed: int,
        rank: int,
        workers: Workers,
        progress: Callable[[str, int, int], None] | None,
    ) -> None:
        self.encoder = encoder
        self.classes = list(classes)
        self.acquisition = acquisition
        self.finished = finished
        self.seed = seed
        self.workers = workers
        self.progress = progress
        side = encoder.input_side or _SIDE
        self.small = [resized(image, NATIVE_SIDES * side) for image in images]
        # Where the number of tiles or tokens follows the image's size, a reference and its draws
        # must have the same size to be compared token by token.
        fixed = encoder.has_fixed_tokens
        self.images = images if fixed else self.small
        self.draw_side = side if fixed else None
        self.side = side
        self.drawer = DomainDrawer(
            self.small, working_sizes(encoder, self.small), self.classes, self.draw_side, seed
        )
        self.done, self.of = 0, len(classes) + 4
        if acquisition is not None:
            self.of += 1 + (DomainFit.count(self.drawer) if acquisition.parts else 0)
        self.scores: dict[str, Tensor] = {}
        """By class number: class scores of the acquisition half over its draws."""
        self.domain: DomainFit | None = None
        self.passes = EncoderPasses(encoder, taps, FeatureStore(finished.folder))
        self.passes.taps = self.passes.readable_taps(images[0])
        if not self.passes.taps:
            raise BankRefused(
                "no layer of the vision encoder passes features that can be read as tokens: PDC "
                "works for this model with the acquisition half alone"
            )
        self.rows = WitnessRows()
        stages = {UNRESTORED: MIN_GAIN}
        if acquisition is not None:
            stages[RESTORED] = RESTORED_GAIN
        self.fits = {
            stage: MapFit(
                self.passes, rank=rank, min_gain=gain, expect_maps=stage == UNRESTORED
            )
            for stage, gain in stages.items()
        }
        self.calibrated: dict[str, list[Tensor]] = {tap: [] for tap in self.passes.taps}

    def run(self) -> None:
        """Everything up to the fit of the witness."""
        self.next("clean references")
        # always computed: the clean features that it keeps are held by no finished step
        clean = self.passes.clean_moments(self.images)
        for tap, moments in clean.items():
            sums = [moments[:-1, -1], moments[:-1, :-1].diagonal()]
            count = moments[-1, -1].expand_as(sums[0])
            self.passes.scalers[tap] = fit_scaler(torch.stack([*sums, count]))
        noisy = self.step("noise directions", self._noisy_moments)
        kinds = list(dict.fromkeys(kind for kind, _ in self.classes[1:]))
        self.passes.spectra = {
            tap: TokenSpectrum.fit(clean[tap], [noisy[f"{kind}.{tap}"] for kind in kinds])
            for tap in self.passes.taps
        }
        if self.acquisition is not None:
            self.scores = self.step(
                "acquisition scores", partial(self._acquisition_scores, self.acquisition)
            )
            density = acquisition_density(self.scores, len(self.classes))
            domain = Domain(content_of(self.small, self.seed), density)
            parts = self.acquisition.parts
            self.domain = DomainFit(domain)
            if parts is not None:
                self.domain = DomainFit.of(parts, domain, self.drawer, self)
        self.rows.extend(self.step("clean views", self._clean_rows))
        names = [f"class {kind} {severity}" for kind, severity in self.classes[1:]]
        known = next((i for i, name in enumerate(names) if not self.finished.has(name)), len(names))
        for stage, fit in self.fits.items():
            fit.load_pooled(_below(f"{stage}.", self.finished.load(f"pooled {known}") or {}))
        with closing(self._pictures(range(known + 1, len(names) + 1))) as pictures:
            for label, name in enumerate(names, start=1):
                self.next(name)
                found = self.finished.load(name) if label <= known else None
                if found is None:
                    found = self._class(label, *next(pictures))
                    # pooled moments first, so that they always include every finished step
                    self.finished.save(f"pooled {label}", self._pooled())
                    self.finished.save(name, found)
                    self.finished.remove(f"pooled {label - 1}")
                self.rows.extend(_below("rows.", found))
                for stage, fit in self.fits.items():
                    fit.load(self.classes[label][0], _below(f"{stage}.", found))
                for tap in self.passes.taps:
                    if f"calibrated.{tap}" in found:
                        self.calibrated[tap].append(found[f"calibrated.{tap}"])

    def distances(self) -> dict[str, CleanDistance]:
        """By tap: distance of an image's statistics to those of clean references."""
        labels = np.array(self.rows.labels)
        found = {}
        for tap, values in self.rows.statistics(self.passes.taps).items():
            statistics = torch.from_numpy(values)
            means = [statistics[labels == k].mean(0) for k in range(1, len(self.classes))]
            clean = statistics[labels == 0]
            calibrated = torch.cat(self.calibrated[tap]) if self.calibrated[tap] else clean
            found[tap] = fit_distance(clean, calibrated, torch.stack(means))
        return found

    def next(self, what: str) -> None:
        """Report the next step and count it."""
        if self.progress is not None:
            self.progress(what, self.done, self.of)
        self.done += 1

    def step(self, name: str, make: Callable[[], Tensors]) -> Tensors:
        """One step: made, or loaded where it is finished."""
        self.next(name)
        found = self.finished.load(name)
        if found is None:
            found = make()
            self.finished.save(name, found)
        return found

    def side_by_side(
        self,
        work: Callable[[Shared, Task], Tensors],
        shared: Shared,
        tasks: Mapping[str, Task],
    ) -> dict[str, Tensors]:
        """Several steps by name: `work(shared, task)` of those that are not finished."""
        left = [task for name, task in tasks.items() if not self.finished.has(name)]
        with closing(self.workers.results(work, shared, left)) as made:
            return {name: self.step(name, partial(next, made)) for name in tasks}

    # -- details --------------------------------------------------------------------------------

    def _draws(self, label: int, numbers: Sequence[int], draw: int) -> list[MedicalImage]:
        return [self.drawer.drawn(label, number, draw) for number in numbers]

    def _chosen(self, label: int, count: int) -> list[int]:
        """Numbers of the references that a class is drawn on, in an order of its own."""
        order = np.random.default_rng([self.seed, label]).permutation(len(self.small))
        return [int(i) for i in order[:count]]

    @property
    def _counts(self) -> Counts:
        first = self.passes.store.get(self.passes.taps[0], 0)
        return Counts.of(len(self.small), tokens=first.shape[0] * first.shape[1])

    def _noisy_moments(self) -> dict[str, Tensor]:
        """Second moments of noisy patches by kind and tap, from draws of all its severities."""
        found: dict[str, Tensor] = {}
        by_kind: dict[str, list[int]] = {}
        for label, (kind, _) in enumerate(self.classes[1:], start=1):
            by_kind.setdefault(kind, []).append(label)
        for kind, labels in by_kind.items():
            each = -(-self._counts.directions // len(labels))
            drawn = [
                image
                for label in labels
                # a draw of its own: the witness is fitted on draws that set no direction
                for image in self._draws(label, self._chosen(label, each), draw=1)
            ]
            for tap, moments in self.passes.second_moments(drawn).items():
                found[f"{kind}.{tap}"] = moments
        return found

    def _views(self, view: int) -> list[MedicalImage]:
        source = self.images if view == 0 else self.small
        return [clean_view(one, view, side=self.side, seed=self.seed) for one in source]

    def _acquisition_scores(self, acquisition: AcquisitionSource) -> dict[str, Tensor]:
        """Class scores by class number: of the clean views, and of the witness' draws."""

        def scores(images: Sequence[MedicalImage]) -> Tensor:
            return torch.from_numpy(acquisition.scores(images, working_sizes(self.encoder, images)))

        found = {"0": torch.cat([scores(self._views(view)) for view in range(CLEAN_VIEWS)])}
        for label in range(1, len(self.classes)):
            drawn = self._draws(label, self._chosen(label, self._counts.witness), draw=0)
            found[str(label)] = scores(drawn)
        return found

    def _clean_rows(self) -> dict[str, Tensor]:
        rows = WitnessRows()
        known = self.scores["0"].split(len(self.images)) if self.scores else [None] * CLEAN_VIEWS
        for view, scores in enumerate(known):
            images = self._views(view)
            rows.add(self.passes.statistics(images), scores, 0, range(len(images)))
        return rows.to_tensors()

    def _class(
        self,
        label: int,
        drawn: Sequence[MedicalImage],
        restored: Sequence[MedicalImage | None] | None,
    ) -> dict[str, Tensor]:
        """Witness rows and maps of one class; its pictures as `_pictures` has them."""
        numbers = self._chosen(label, self._counts.witness)
        rows = WitnessRows()
        rows.add(self.passes.statistics(drawn), self.scores.get(str(label)), label, numbers)
        found = {f"rows.{name}": tensor for name, tensor in rows.to_tensors().items()}
        drawn, numbers = drawn[: self._counts.maps], numbers[: self._counts.maps]
        maps = self.fits[UNRESTORED].fit(drawn, numbers)
        found |= {f"{UNRESTORED}.{name}": tensor for name, tensor in maps.items()}
        if restored is not None:
            left = [old if new is None else new for new, old in zip(restored, drawn, strict=True)]
            maps = self.fits[RESTORED].fit(left, numbers)
            found |= {f"{RESTORED}.{name}": tensor for name, tensor in maps.items()}
            changed = [one for one in restored if one is not None]
            if changed:
                statistics = self.passes.statistics(changed)
                found |= {f"calibrated.{tap}": rows for tap, rows in statistics.items()}
        return found

    def _pictures(
        self, labels: Sequence[int]
    ) -> Generator[tuple[list[MedicalImage], list[MedicalImage | None] | None], None, None]:
        """Of every class the draws for the witness, and the restored ones of those for the maps."""
        waiting: deque[list[MedicalImage]] = deque()

        def draws() -> Iterator[_Draws]:
            for label in labels:
                numbers = self._chosen(label, self._counts.witness)
                drawn = self._draws(label, numbers, draw=0)
                waiting.append(drawn)
                some = drawn[: self._counts.maps]
                sizes = working_sizes(self.encoder, some)
                yield _Draws(some, sizes, numbers[: self._counts.maps])

        if self.acquisition is None or self.domain is None:
            for _ in draws():
                yield waiting.popleft(), None
            return
        parts = self.acquisition.parts
        # what lies on a GPU is not sent to other processes
        workers = IN_PROCESS if parts is not None and parts.on_gpu else self.workers
        for restored in workers.results(_restored, (self.acquisition, self.domain), draws()):
            yield waiting.popleft(), restored

    def _pooled(self) -> dict[str, Tensor]:
        return {
            f"{stage}.{name}": tensor
            for stage, fit in self.fits.items()
            for name, tensor in fit.pooled_tensors().items()
        }


@dataclass(frozen=True)
class _Draws:
    """Draws of one class on references of these numbers, at the sizes at which they are seen."""

    images: list[MedicalImage]
    sizes: list[Size]
    numbers: list[int]


def _restored(
    by: tuple[AcquisitionSource, DomainFit], draws: _Draws
) -> list[MedicalImage | None]:
    """Draws as they are restored by what has not met their references; None: left as they were."""
    acquisition, fitted = by
    found: list[MedicalImage | None] = [None] * len(draws.images)
    for domain, positions in fitted.not_met(draws.numbers):
        images = [draws.images[i] for i in positions]
        sizes = [draws.sizes[i] for i in positions]
        done = acquisition.restore_batch(images, sizes, domain=domain)
        for i, one in zip(positions, done, strict=True):
            found[i] = None if one.image is draws.images[i] else one.image
    return found


def _below(prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {
        name.removeprefix(prefix): tensor
        for name, tensor in tensors.items()
        if name.startswith(prefix)
    }
