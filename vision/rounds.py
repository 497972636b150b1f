"""Rounds of noise classification and restoration: two noises are corrected one after the other.

Stripes (`vision.restore.stripes`) are found in the spectrum without prototypes and are corrected
first. Each round then classifies the picture in its present state and restores it under the
posterior. A restored picture is kept only if the features at the encoder's first tap are nearer to
clean than before. The rounds end when the picture is classified as clean, when no correction
brings it nearer to clean, or at `max_rounds`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from vision.bank.prototype_bank import PrototypeBank
from vision.calibrate.cascade import calibration_weights
from vision.encoder.seen_size import MIN_SIDE
from vision.encoder.vision_encoder import VisionEncoder
from vision.perceive.image_statistics import ImageStatistics, compute_statistics
from vision.perceive.noise_classifier import SOURCES, NoiseClassifier, NoisePosterior
from vision.reading.medical_image import MedicalImage
from vision.restore.restorer import PixelRestorer, WorkingImage, predict_changes
from vision.restore.stripes import STRIPES, remove_stripes

MAX_ROUNDS = 3
"""Most restorations of one picture: a mixture of two noises takes two, and the third confirms."""
RESIDUAL_ALPHA = 0.05
"""A restored picture is restored once more if its p-value of "nothing left to correct" is at most
this."""
STEP_SIZES = (1.0, 0.5)
"""Shares of a predicted change that are tried, largest first."""


@dataclass
class ImageState:
    """One image and what the rounds have computed for it."""

    image: MedicalImage
    """What the encoder will be given: the input image itself (same object), or a restored one."""
    posterior: NoisePosterior | None = None
    """Of the input image; None where its features are not finite."""
    weights: Tensor = field(default_factory=lambda: torch.zeros(0))
    """(classes,) weights of the calibration maps, summed over the rounds."""
    rounds: list[str] = field(default_factory=list)
    """The noise that was corrected in each round, as `low_contrast 4`."""
    rejected: str = ""
    """The noise whose correction was rejected in the last round; empty if none was."""
    before: float | None = None
    """Distance to clean at the first tap, of the input image."""
    after: float | None = None
    """The same, of the restored image."""


def perceive_and_restore(
    encoder: VisionEncoder,
    bank: PrototypeBank,
    images: Sequence[MedicalImage],
    *,
    alpha: float,
    restore: bool,
    max_rounds: int = MAX_ROUNDS,
    sources: Sequence[str] = SOURCES,
) -> list[ImageState]:
    """Classify the noise of every image, and restore an image while that brings it nearer to clean.

    Args:
        encoder: the model's; run as far as the bank's perception tap.
        bank: the prototype bank of that encoder.
        images: of any sizes.
        alpha: images with a p-value above this count as clean and are returned unchanged.
        restore: False: classify only.
        max_rounds: most restorations of one image.
        sources: of statistics from which the noise of the input image is classified.
    """
    statistics = compute_statistics(encoder, images, side=bank.side, tap=bank.perception_tap)
    posteriors = bank.noise_classifier.predict(
        {name: values for name, values in statistics.by_source.items() if name in sources}
    )
    states = [ImageState(image) for image in images]
    weights = calibration_weights(
        torch.stack([torch.from_numpy(one.probabilities) for one in posteriors])
    )
    active = []
    for i, state in enumerate(states):
        state.weights = torch.zeros_like(weights[i])
        if not bool(statistics.finite[i]):
            continue
        state.posterior = posteriors[i]
        if posteriors[i].clean_p_value <= alpha:
            state.weights = weights[i]
            active.append(i)
    if not restore or bank.restorer is None or bank.residual_classifier is None:
        return states
    restoration = RestorationState(encoder, bank, bank.restorer, bank.residual_classifier, states)
    for i in active:
        restoration.posterior[i], restoration.class_weights[i] = posteriors[i], weights[i]
        restoration.clean_distance[i] = _distance(bank, statistics, i)
    active = restoration.without_stripes(active)
    for _ in range(max_rounds):
        if not active:
            break
        active = restoration.round(active)
    return states


@dataclass
class RestorationState:
    """What is known, between rounds, of the images that are still being restored."""

    encoder: VisionEncoder
    bank: PrototypeBank
    restorer: PixelRestorer
    residual_classifier: NoiseClassifier
    states: list[ImageState]
    posterior: dict[int, NoisePosterior] = field(default_factory=dict)
    """By index of the image: the posterior of its present state."""
    class_weights: dict[int, Tensor] = field(default_factory=dict)
    """By index: (classes,) weights of the next restoration."""
    clean_distance: dict[int, float] = field(default_factory=dict)
    """By index: distance to clean of the present state."""

    def without_stripes(self, active: list[int]) -> list[int]:
        """Remove stripes where there are any; returns the indices that still need a round.

        The posterior of a striped picture does not describe what lies under the stripes, so it is
        replaced by that of the picture without them.
        """
        workings = {i: WorkingImage.of(self.states[i].image, self.encoder) for i in active}
        trials = {}
        for i, working in workings.items():
            grey = working.grey
            if min(grey.shape) >= MIN_SIDE and (clear := remove_stripes(grey)) is not grey:
                trials[i] = working.restored(clear - grey)
        if not trials:
            return active
        unfinished, rejected = self._try(trials, STRIPES)
        for i in trials.keys() - set(rejected):
            weights = self.class_weights[i]
            self.states[i].weights = weights if i in unfinished else torch.zeros_like(weights)
        return [i for i in active if i not in trials or i in unfinished or i in rejected]

    def round(self, active: list[int]) -> list[int]:
        """One round for the images `active`; returns the indices that need another."""
        workings = {i: WorkingImage.of(self.states[i].image, self.encoder) for i in active}
        weights = torch.stack([self.class_weights[i] for i in active])
        found = predict_changes(self.restorer, [workings[i] for i in active], weights)
        changes = dict(zip(active, found, strict=True))
        unfinished: list[int] = []
        waiting = active
        for step in STEP_SIZES:
            trials = {i: workings[i].restored(step * changes[i]) for i in waiting}
            more, waiting = self._try(trials)
            unfinished += more
            if not waiting:
                break
        for i in waiting:
            self.states[i].rejected = self._most_likely_noise(i)
        return unfinished

    def _try(
        self, trials: Mapping[int, MedicalImage], noise: str = ""
    ) -> tuple[list[int], list[int]]:
        """Keep the restored pictures that are nearer to clean than before.

        Args:
            trials: restored pictures by index of the image.
            noise: what was corrected, for the report; the most likely noise if empty.

        Returns:
            Indices of kept pictures that need another round, and indices of rejected ones.
        """
        bank = self.bank
        statistics = compute_statistics(
            self.encoder, list(trials.values()), side=bank.side, tap=bank.perception_tap
        )
        posteriors = self.residual_classifier.predict(statistics.by_source)
        unfinished, rejected = [], []
        for row, (i, trial) in enumerate(trials.items()):
            distance = _distance(bank, statistics, row)
            nearer = _nearer(bank, self.clean_distance[i], distance)
            if not bool(statistics.finite[row]) or not nearer:
                rejected.append(i)
                continue
            state = self.states[i]
            if not noise and any(name != STRIPES for name in state.rounds):
                state.weights = state.weights + self.class_weights[i]
            state.image = trial
            state.rounds.append(noise or self._most_likely_noise(i))
            state.before = self.clean_distance[i] if state.before is None else state.before
            state.after = self.clean_distance[i] = distance
            self.posterior[i] = posteriors[row]
            probabilities = torch.from_numpy(posteriors[row].probabilities)
            self.class_weights[i] = calibration_weights(probabilities[None])[0]
            if posteriors[row].clean_p_value <= RESIDUAL_ALPHA:
                unfinished.append(i)
        return unfinished, rejected

    def _most_likely_noise(self, i: int) -> str:
        return self.bank.noise_classifier.most_likely_noise(self.posterior[i].probabilities)


def _distance(bank: PrototypeBank, statistics: ImageStatistics, row: int) -> float:
    """To clean at the first tap; without taps, the log odds of "not clean" from the pixels."""
    if statistics.tokens is not None and bank.perception_tap in bank.maps:
        distance = bank.maps[bank.perception_tap].distance
        return float(distance.of(statistics.tokens[row : row + 1])[0])
    classifier = bank.noise_classifier
    scores = classifier.scorers["pixels"](statistics.pixels[row : row + 1])
    return float(classifier.nonconformity("pixels", scores)[0])


def _nearer(bank: PrototypeBank, before: float, after: float) -> bool:
    if bank.perception_tap in bank.maps:
        distance = bank.maps[bank.perception_tap].distance
        return bool(distance.accepts(torch.tensor(before), torch.tensor(after)))
    return after < before
