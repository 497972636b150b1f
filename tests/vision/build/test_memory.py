"""Building a bank keeps few features: beyond a bounded store of clean ones, what is held does not
grow with references and tokens."""

from __future__ import annotations

import gc
from functools import partial

import pytest
import torch

from tests.vision.conftest import scan
from vision.build import references, restorer_fit
from vision.build.prototypes import build_bank, calibration_taps
from vision.build.references import References
from vision.build.sample_cache import FeatureCache
from vision.calibrate.moments import FittedMap
from vision.encoder.vision_encoder import VisionEncoder

PICTURES = 4 * 64 * 64
"""Bytes of one small grey picture of 64 x 64 pixels: what a reference may cost."""
ROWS = (4 + 2 * 2) * (4 * 303 + 8 * 110)
"""Bytes of the statistics of its four clean views and of two draws of two classes."""
FEATURES = 4 * 5 * 65 * 48
"""Bytes of one reference's features at all five taps: what it may not."""


def held_while_calibrating(encoder: VisionEncoder, images: int) -> int:
    """Most bytes of tensors alive when a calibration step begins."""
    held: list[int] = []

    def note(what: str, done: int, of: int) -> None:
        if what.startswith(("calibrate", "mixtures")):
            gc.collect()
            held.append(tensor_bytes())

    build_bank(
        encoder,
        [scan(number) for number in range(images)],
        kinds=("low_contrast",),
        severities=(3, 5),
        more_kinds=(),
        fewest=32,
        progress=note,
    )
    return max(held)


def tensor_bytes() -> int:
    """Of all live tensors, each storage once."""
    storages = {
        one.untyped_storage().data_ptr(): one.untyped_storage().nbytes()
        for one in gc.get_objects()
        if type(one) in (torch.Tensor, torch.nn.Parameter)
    }
    return sum(storages.values())


@pytest.mark.slow
def test_twice_the_references_hold_their_pictures_more(
    encoder: VisionEncoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    # bounded, but by more than these few references fill
    monkeypatch.setattr(restorer_fit, "LANDMARKS", 64)
    monkeypatch.setattr(references, "_CLEAN_STATISTICS", 64)
    monkeypatch.setattr(references, "FeatureCache", partial(FeatureCache, 0))
    grown = held_while_calibrating(encoder, 96) - held_while_calibrating(encoder, 48)
    assert grown / 48 < 1.2 * (PICTURES + ROWS) < FEATURES


def test_a_pass_keeps_moments_and_a_bounded_sample(encoder: VisionEncoder) -> None:
    known = References(
        encoder, [scan(number) for number in range(80)], calibration_taps(encoder), 0
    )
    known.load_clean(known.compute_clean())
    images = known.noisy("gaussian", 5, 0, range(80))
    nothing: dict[str, FittedMap] = {}
    kept = []
    for count in (40, 80):
        drawn = known.prepared(images[:count], range(count))
        found = known.tap_statistics(drawn, nothing, known.taps)
        kept.append([sum(len(one) for one, _ in found[tap].sample) for tap in known.taps])
    assert kept[1] == kept[0] == [40] * len(known.taps)
