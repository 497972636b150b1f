"""Perceive and restore, again and again: two noises at once are undone one after the other.

Stripes (`vision.restore.stripes`), which need no prototypes to be known, go first. Then each round
perceives the picture as it now is and restores it under the posterior. A restored picture is kept
only if the encoder's first features came nearer to clean. It ends when the picture looks clean,
when nothing helps any more, or with the budget.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from vision.bank.prototype_bank import PrototypeBank
from vision.calibrate.cascade import calibration_weights
from vision.encoder.vision_encoder import VisionEncoder
from vision.perceive.image_statistics import Sight, look
from vision.perceive.noise_classifier import Perceived, Perceiver
from vision.reading.medical_image import MedicalImage
from vision.restore.restorer import LEAST_SIDE, PixelRestorer, Working, restorations
from vision.restore.stripes import STRIPES, destriped

MAX_ROUNDS = 3
"""Most restorations of one picture: a mixture of two noises takes two, and one to be sure."""
AGAIN = 0.05
"""A restored picture is restored again where so few restored references look so little clean."""
STRENGTHS = (1.0, 0.5)
"""Shares of a restoration that are tried, strongest first."""


@dataclass
class Seen:
    """One image on its way through the rounds."""

    image: MedicalImage
    """As the encoder will be shown it: the very one that came in, or restored."""
    perceived: Perceived | None = None
    """Of the image as it came in; None where its features are not finite."""
    weights: Tensor = field(default_factory=lambda: torch.zeros(0))
    """(classes,) of the calibration maps: what was perceived in every round together."""
    rounds: list[str] = field(default_factory=list)
    """What was undone in each round, as `low_contrast 4`."""
    refused: str = ""
    """What the last round would have undone, had it brought the picture nearer to clean."""
    before: float | None = None
    """Distance to clean at the first tap, as it came in."""
    after: float | None = None
    """The same, restored."""


def perceive_and_restore(
    encoder: VisionEncoder,
    bank: PrototypeBank,
    images: Sequence[MedicalImage],
    *,
    alpha: float,
    restore: bool,
    max_rounds: int = MAX_ROUNDS,
) -> list[Seen]:
    """Every image perceived, and restored while that helps; clean ones stay the same object."""
    sight = look(encoder, images, side=bank.side, tap=bank.perception_tap)
    first = bank.perceiver.perceive(sight.statistics)
    seen = [Seen(image) for image in images]
    weights = calibration_weights(torch.stack([torch.from_numpy(one.weights) for one in first]))
    active = []
    for i, one in enumerate(seen):
        one.weights = torch.zeros_like(weights[i])
        if not bool(sight.finite[i]):
            continue
        one.perceived = first[i]
        if first[i].clean_p_value <= alpha:
            one.weights = weights[i]
            active.append(i)
    if not restore or bank.restorer is None or bank.again is None:
        return seen
    going = _Going(encoder, bank, bank.restorer, bank.again, seen)
    for i in active:
        going.told[i], going.doses[i] = first[i], weights[i]
        going.standing[i] = _distance(bank, sight, i)
    active = going.without_stripes(active)
    for _ in range(max_rounds):
        if not active:
            break
        active = going.round(active)
    return seen


@dataclass
class _Going:
    """Where the images stand that are not done."""

    encoder: VisionEncoder
    bank: PrototypeBank
    restorer: PixelRestorer
    again: Perceiver
    seen: list[Seen]
    told: dict[int, Perceived] = field(default_factory=dict)
    """By number of the image: as it now is perceived, ..."""
    doses: dict[int, Tensor] = field(default_factory=dict)
    """... what it would be restored as next, (classes,), ..."""
    standing: dict[int, float] = field(default_factory=dict)
    """... and how far from clean it is."""

    def without_stripes(self, active: list[int]) -> list[int]:
        """Stripes taken out where there are any; which images still need a round.

        What a striped picture was perceived as says nothing of what is under the stripes: it is
        forgotten.
        """
        workings = {i: Working.of(self.seen[i].image, self.encoder) for i in active}
        trials = {}
        for i, working in workings.items():
            grey = working.grey
            if min(grey.shape) >= LEAST_SIDE and (clear := destriped(grey)) is not grey:
                trials[i] = working.restored(clear - grey)
        if not trials:
            return active
        again, failed = self._try(trials, STRIPES)
        for i in trials.keys() - set(failed):
            self.seen[i].weights = self.doses[i] if i in again else torch.zeros_like(self.doses[i])
        return [i for i in active if i not in trials or i in again or i in failed]

    def round(self, active: list[int]) -> list[int]:
        """One round for the images that are not done; which of them need another."""
        workings = {i: Working.of(self.seen[i].image, self.encoder) for i in active}
        doses = torch.stack([self.doses[i] for i in active])
        found = restorations(self.restorer, [workings[i] for i in active], doses)
        changes = dict(zip(active, found, strict=True))
        going: list[int] = []
        waiting = active
        for strength in STRENGTHS:
            trials = {i: workings[i].restored(strength * changes[i]) for i in waiting}
            again, waiting = self._try(trials)
            going += again
            if not waiting:
                break
        for i in waiting:
            self.seen[i].refused = self.bank.perceiver.named(self.told[i].weights)
        return going

    def _try(
        self, trials: Mapping[int, MedicalImage], undone: str = ""
    ) -> tuple[list[int], list[int]]:
        """Restored pictures kept where they are nearer to clean.

        Returns those of them that are not done, and those that were not kept. `undone` is what a
        report calls it; what was perceived, if empty.
        """
        bank = self.bank
        sight = look(self.encoder, list(trials.values()), side=bank.side, tap=bank.perception_tap)
        perceived = self.again.perceive(sight.statistics)
        going, failed = [], []
        for place, (i, trial) in enumerate(trials.items()):
            distance = _distance(bank, sight, place)
            if not bool(sight.finite[place]) or not _nearer(bank, self.standing[i], distance):
                failed.append(i)
                continue
            one = self.seen[i]
            learned = [name for name in one.rounds if name != STRIPES]
            if not undone and learned:
                one.weights = one.weights + self.doses[i]
            one.image = trial
            one.rounds.append(undone or bank.perceiver.named(self.told[i].weights))
            one.before = self.standing[i] if one.before is None else one.before
            one.after = self.standing[i] = distance
            self.told[i] = perceived[place]
            self.doses[i] = calibration_weights(torch.from_numpy(self.told[i].weights)[None])[0]
            if perceived[place].clean_p_value <= AGAIN:
                going.append(i)
        return going, failed


def _distance(bank: PrototypeBank, sight: Sight, row: int) -> float:
    """To clean at the first tap; without taps, the pixels' log odds of not being clean."""
    if sight.tokens is not None and bank.perception_tap in bank.maps:
        return float(bank.maps[bank.perception_tap].distance.of(sight.tokens[row : row + 1])[0])
    reduction = bank.perceiver.reductions["pixels"]
    return float(bank.perceiver.nonconformity("pixels", reduction(sight.pixels[row : row + 1]))[0])


def _nearer(bank: PrototypeBank, before: float, after: float) -> bool:
    if bank.perception_tap in bank.maps:
        distance = bank.maps[bank.perception_tap].distance
        return bool(distance.accepts(torch.tensor(before), torch.tensor(after)))
    return after < before
