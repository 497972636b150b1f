"""The feature store counts bytes, and lets go of what was not used for longest."""

from __future__ import annotations

import pytest
import torch
from transformers.modeling_outputs import BaseModelOutputWithPooling

from graphs.stores import FeatureStore, Recent
from vision.encoder.vision_encoder import EncodedImage
from vision.pdc import CalibratedImage
from vision.report import CalibrationReport

NOTHING = CalibrationReport(applied=False, reason="left as it was")


def encoded(name: str, tokens: int) -> CalibratedImage:
    """An image of so many tokens, of 16 bytes each, in two tensors."""
    pooled = [torch.zeros(tokens, 4)]
    features = EncodedImage(name, (8, 8), BaseModelOutputWithPooling(pooler_output=pooled))
    return CalibratedImage(features, None, NOTHING)


def test_features_are_held_up_to_a_number_of_bytes() -> None:
    store = FeatureStore(room=100)
    for name, tokens in (("a", 2), ("b", 2), ("c", 3)):
        store.put(name, encoded(name, tokens), calibrated=True)
    assert store.get("a", calibrated=True) is None
    assert store.get("b", calibrated=True) is not None
    assert (len(store), store.nbytes) == (2, 80)


def test_an_image_used_again_stays() -> None:
    store = FeatureStore(room=70)
    store.put("a", encoded("a", 2), calibrated=False)
    store.put("b", encoded("b", 2), calibrated=False)
    store.get("a", calibrated=False)
    store.put("c", encoded("c", 2), calibrated=False)
    assert store.get("a", calibrated=False) is not None
    assert store.get("b", calibrated=False) is None


def test_the_latest_is_held_however_large_and_replaced_once() -> None:
    store = FeatureStore(room=10)
    store.put("a", encoded("a", 5), calibrated=True)
    store.put("a", encoded("a", 6), calibrated=True)
    assert (len(store), store.nbytes) == (1, 96)


def test_a_store_without_room_is_refused() -> None:
    with pytest.raises(ValueError, match="holds nothing"):
        Recent(0)
