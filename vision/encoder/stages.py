"""Which stages of PDC a model can have, at which resolution and at which taps, in sentences."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Literal

from torch import Tensor

from vision.encoder.seen_size import LARGEST_SIDE, MIN_SIDE
from vision.encoder.structure import NO_BLOCKS, describe_candidates
from vision.encoder.vision_encoder import VisionEncoder
from vision.reading.medical_image import MedicalImage

Stage = Literal["pixels", "features"]

_EXAMPLE = (600, 800)
"""(height, width) of the picture that stands for all where none is given."""


@dataclass(frozen=True)
class StageStatus:
    """Whether one stage is on for a model, and why."""

    stage: Stage
    on: bool
    sentence: str
    """For people: what is restored or calibrated where, or why nothing is. Begins with the stage's
    name and `on` or `off`."""


def describe_stages(
    encoder: VisionEncoder,
    own: tuple[int, int] = _EXAMPLE,
    readable: Collection[str] | None = None,
) -> list[StageStatus]:
    """The pixel stage and the feature stage of a model.

    Args:
        encoder: the model's.
        own: (height, width) of the picture in question, or of an example.
        readable: the taps at which a pass gave features (`readable_taps`); None: not tried, all
            that the model's structure has.
    """
    return [_pixels(encoder, own), _features(encoder, readable)]


def readable_taps(encoder: VisionEncoder, image: MedicalImage) -> tuple[str, ...]:
    """Run one pass on `image`: the taps at which it gives features that are tokens, in order."""
    found: set[str] = set()

    def visit(tap: str, features: Tensor) -> None:
        found.add(tap)

    if encoder.taps:
        encoder.visit(encoder.prepare(image), visit, last_tap=encoder.taps[-1])
    return tuple(tap for tap in encoder.taps if tap in found)


def _pixels(encoder: VisionEncoder, own: tuple[int, int]) -> StageStatus:
    working, seen = encoder.working_size(*own), encoder.seen_size(*own)
    picture = f"a picture of {_size(own)} pixels (height x width)"
    if min(working) < MIN_SIDE:
        why = f"a side of its {_size(working)} pixels is shorter than {MIN_SIDE}"
        return _status("pixels", False, f"{picture} is not restored: {why}")
    where = "its own size" if working == own else f"{_size(working)} pixels"
    if seen is None:
        why = "the size at which the model sees it could not be measured"
    elif encoder.fixed_size(*own) == working:
        why = "the model's input size"
    elif seen == working:
        why = "the size at which the model sees it"
    else:
        why = f"the model sees it at {_size(seen)}"
        if min(working) == LARGEST_SIDE:
            why += f", and restoration is limited to {LARGEST_SIDE} pixels on the shorter side"
    return _status("pixels", True, f"{picture} is restored at {where}: {why}")


def _features(encoder: VisionEncoder, readable: Collection[str] | None) -> StageStatus:
    usable = [tap for tap in encoder.taps if readable is None or tap in readable]
    without = [tap for tap in encoder.taps if tap not in usable]
    reasons = []
    if not encoder.structure.blocks:
        reasons.append(_missing_blocks(encoder))
    if encoder.structure.projector is None:
        reasons.append("the projector was not found")
    if without:
        reasons.append(f"a pass gives no tokens at {_list(without)}")
    why = f" ({'; '.join(reasons)})" if reasons else ""
    if not usable:
        return _status("features", False, f"no features can be read or changed{why}")
    return _status("features", True, f"features can be read and changed at {_list(usable)}{why}")


def _missing_blocks(encoder: VisionEncoder) -> str:
    if encoder.blocks == NO_BLOCKS:
        return "the encoder is used without its blocks, as was asked"
    candidates = describe_candidates(encoder.model)
    return f"the blocks of the vision tower were not found; candidates: {candidates}"


def _status(stage: Stage, on: bool, what: str) -> StageStatus:
    name = f"{stage.removesuffix('s')} stage {'on' if on else 'off'}"
    return StageStatus(stage, on, f"{name}: {what}")


def _size(size: tuple[int, int]) -> str:
    return f"{size[0]} x {size[1]}"


def _list(taps: Collection[str]) -> str:
    """`the embedding, 24 blocks and the projector`; up to two blocks by their names."""
    blocks = [tap for tap in taps if tap.startswith("block.")]
    middle = blocks if len(blocks) <= 2 else [f"{len(blocks)} blocks"]
    first = ["the embedding"] if "embed" in taps else []
    last = ["the projector"] if "projector" in taps else []
    *most, end = first + middle + last
    return f"{', '.join(most)} and {end}" if most else end
