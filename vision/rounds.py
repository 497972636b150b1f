"""Perceive and restore, again and again: two noises at once are undone one after the other.

Each round perceives the picture as it now is, restores it under the posterior, and keeps the
restored picture only if the encoder's first features came nearer to clean. It ends when the picture
looks clean, when nothing helps any more, or with the budget.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from vision.bank import PrototypeBank
from vision.cascade import calibration_weights
from vision.encoder import VisionEncoder
from vision.perception import Perceived
from vision.reading import MedicalImage
from vision.restorer import Working, restorations
from vision.sight import Sight, look

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
    told = {i: first[i] for i in active}
    doses = {i: weights[i] for i in active}
    standing = {i: _distance(bank, sight, i) for i in active}
    for _ in range(max_rounds):
        if not active:
            break
        active = _round(encoder, bank, seen, active, told, doses, standing)
    return seen


def _round(
    encoder: VisionEncoder,
    bank: PrototypeBank,
    seen: list[Seen],
    active: list[int],
    told: dict[int, Perceived],
    doses: dict[int, Tensor],
    standing: dict[int, float],
) -> list[int]:
    """One round for the images that are not done; which of them need another."""
    if bank.restorer is None or bank.again is None:
        return []
    waiting = list(active)
    going: list[int] = []
    workings = {i: Working.of(seen[i].image, encoder) for i in waiting}
    changes = dict(
        zip(
            waiting,
            restorations(
                bank.restorer,
                [workings[i] for i in waiting],
                torch.stack([doses[i] for i in waiting]),
            ),
            strict=True,
        )
    )
    for strength in STRENGTHS:
        trials = [workings[i].restored(strength * changes[i]) for i in waiting]
        sight = look(encoder, trials, side=bank.side, tap=bank.perception_tap)
        perceived = bank.again.perceive(sight.statistics)
        left = []
        for place, i in enumerate(waiting):
            distance = _distance(bank, sight, place)
            if not bool(sight.finite[place]) or not _nearer(bank, standing[i], distance):
                left.append(i)
                continue
            one = seen[i]
            one.image = trials[place]
            one.rounds.append(bank.perceiver.named(told[i].weights))
            one.before = standing[i] if one.before is None else one.before
            one.after = standing[i] = distance
            if len(one.rounds) > 1:
                one.weights = one.weights + doses[i]
            told[i] = perceived[place]
            if perceived[place].clean_p_value <= AGAIN:
                doses[i] = calibration_weights(torch.from_numpy(told[i].weights)[None])[0]
                going.append(i)
        waiting = left
        if not waiting:
            break
    for i in waiting:
        seen[i].refused = bank.perceiver.named(told[i].weights)
    return going


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
