"""One pass of the encoder, with features read and changed at every tap."""

from __future__ import annotations

import threading

import pytest
import torch

from tests.vision.conftest import projected, scan, small_llava, small_processor
from vision.encoder.vision_encoder import VisionEncoder, model_fingerprint

TAPS = ("embed", "block.0", "block.1", "block.2", "projector")


def test_taps_in_order_of_depth(encoder: VisionEncoder) -> None:
    visited: list[str] = []
    encoder.encode(scan(1), intervene=lambda tap, _: visited.append(tap))
    assert tuple(visited) == encoder.taps == TAPS


def test_encoding_is_the_model_s_own(encoder: VisionEncoder) -> None:
    inputs = encoder.prepare(scan(1))
    with torch.inference_mode():
        plain = encoder.model.get_image_features(**inputs.tensors, return_dict=True)
    encoded = encoder.encode(scan(1))
    assert torch.equal(projected(encoded), torch.cat(list(plain.pooler_output)))
    assert encoded.name == scan(1).sha256
    assert encoded.size == (80, 80)


def test_reading_features_changes_no_bit(encoder: VisionEncoder) -> None:
    watched = encoder.encode(scan(1), intervene=lambda tap, features: None)
    assert torch.equal(projected(watched), projected(encoder.encode(scan(1))))


@pytest.mark.parametrize("tap", TAPS)
def test_what_an_intervention_returns_takes_the_place(encoder: VisionEncoder, tap: str) -> None:
    def louder(at: str, features: torch.Tensor) -> torch.Tensor | None:
        assert features.dim() == 2
        return features * 1.5 if at == tap else None

    changed = encoder.encode(scan(1), intervene=louder)
    assert not torch.equal(projected(changed), projected(encoder.encode(scan(1))))


def test_a_batch_is_one_pass(encoder: VisionEncoder) -> None:
    begun = encoder.forwards
    images = [scan(number, side=70 + number) for number in range(5)]
    batch = encoder.encode_batch(images)
    assert encoder.forwards - begun == 1
    assert [encoded.name for encoded in batch] == [image.sha256 for image in images]
    for image, encoded in zip(images, batch, strict=True):
        alone = projected(encoder.encode(image))
        assert torch.allclose(projected(encoded), alone, atol=1e-4)


def test_hooks_are_gone_after_a_failing_intervention(encoder: VisionEncoder) -> None:
    def failing(tap: str, features: torch.Tensor) -> None:
        raise RuntimeError("corrupted")

    before = projected(encoder.encode(scan(1)))
    with pytest.raises(RuntimeError, match="corrupted"):
        encoder.encode(scan(1), intervene=failing)
    assert torch.equal(projected(encoder.encode(scan(1))), before)


def test_hooks_act_in_their_own_thread_alone(encoder: VisionEncoder) -> None:
    before = projected(encoder.encode(scan(1)))
    plain: list[torch.Tensor] = []
    started = threading.Event()

    def slow(tap: str, features: torch.Tensor) -> torch.Tensor:
        started.set()
        return features + 1.0

    def other() -> None:
        started.wait(5.0)
        plain.append(projected(encoder.encode(scan(1))))

    thread = threading.Thread(target=other)
    thread.start()
    changed = projected(encoder.encode(scan(1), intervene=slow))
    thread.join()
    assert torch.equal(plain[0], before)
    assert not torch.equal(changed, before)


def test_fingerprint_tells_models_apart() -> None:
    assert model_fingerprint(small_llava(0)) == model_fingerprint(small_llava(0))
    assert model_fingerprint(small_llava(0)) != model_fingerprint(small_llava(1))


def test_a_tower_without_blocks_is_tapped_at_the_projector_alone() -> None:
    model = small_llava()
    layers = model.model.vision_tower.encoder.layers

    class Sealed(torch.nn.Module):
        """Blocks that no structure search can see."""

        def __init__(self) -> None:
            super().__init__()
            object.__setattr__(self, "hidden", list(layers))

        def __iter__(self):  # type: ignore[no-untyped-def]
            return iter(self.hidden)

    model.model.vision_tower.encoder.layers = Sealed()
    encoder = VisionEncoder(model, small_processor())
    assert encoder.taps == ("projector",)
