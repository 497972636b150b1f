"""Taps stay where the tower is, in float32 whatever its number format; memory that runs out."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from tests.vision.conftest import projected, scan, small_llava, small_processor
from vision.bank.model_half import UNRESTORED
from vision.calibrate.clean_distance import CleanDistance
from vision.encoder.component_statistics import quantiles
from vision.encoder.fingerprint import model_fingerprint
from vision.encoder.token_layout import infer_layout
from vision.encoder.token_spectrum import TokenSpectrum, second_moments
from vision.encoder.vision_encoder import EncodedImage, PixelInputs, VisionEncoder
from vision.errors import EncoderRefused
from vision.feature_pass import _MapPass, observe

META = torch.device("meta")


class CopiesToCpu(TorchFunctionMode):
    """Notes how many values each copy to the CPU has that is asked for."""

    def __init__(self) -> None:
        super().__init__()
        self.sizes: list[int] = []

    def __torch_function__(
        self, func: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        asked = func is Tensor.cpu or (func is Tensor.to and "cpu" in [*map(str, args[1:])])
        if asked:
            self.sizes.append(args[0].numel())
        return func(*args, **(kwargs or {}))


def spectrum_of(dim: int = 48) -> TokenSpectrum:
    rng = torch.Generator().manual_seed(0)
    clean, noisy = (torch.randn(400, dim, generator=rng) * scale for scale in (1.0, 2.0))
    return TokenSpectrum.fit(second_moments(clean), [second_moments(noisy)])


class TwoTaps:
    """What of a model half a pass reads: spectra and distances at two taps, no maps."""

    def __init__(self) -> None:
        spectrum = spectrum_of()
        distance = CleanDistance(torch.eye(spectrum.size, 3), torch.zeros(3), 1.0)
        self.spectra = {"block.0": spectrum, "block.1": spectrum}
        self.distances = {"block.0": distance, "block.1": distance}

    def on(self, device: torch.device) -> TwoTaps:
        return self

    def maps_for(self, stage: str) -> dict[str, Any]:
        return {}


def test_statistics_and_distances_are_computed_on_any_device() -> None:
    """The meta device has no values: whatever needs them on the CPU fails there."""
    spectrum, layout = spectrum_of(), infer_layout(65)
    distance = CleanDistance(torch.eye(spectrum.size, 3), torch.zeros(3), 1.0)
    features = torch.zeros(2, 1, 65, 48, dtype=torch.bfloat16, device=META)
    found = spectrum.to(META).statistics(features, layout)
    assert (found.device, found.dtype, found.shape) == (META, torch.float32, (2, spectrum.size))
    assert distance.to(META).of(found).device == META


def test_quantiles_by_sorting_are_those_by_selection() -> None:
    values, shares = torch.randn(3, 50, 4), (0.1, 0.5, 0.98)
    ranks = [min(int(share * 50), 49) for share in shares]
    by_sorting = values.transpose(1, 2).sort(dim=2).values[:, :, ranks].unbind(2)
    for found, expected in zip(quantiles(values, shares), by_sorting, strict=True):
        assert torch.equal(found, expected)


def test_only_small_results_are_copied_to_the_cpu(encoder: VisionEncoder) -> None:
    half: Any = TwoTaps()
    with CopiesToCpu() as copies:
        observed = observe(encoder, half, [scan(0), scan(1)])
        task = _MapPass(half, UNRESTORED, torch.ones(2, 3), None)
        task.visit("block.0", torch.randn(2, 1, 65, 48))
    tap = 65 * 48  # values of one image's features
    assert len(observed) == 2 and observed[0].finite
    pixels = 2 * 3 * 64 * 64  # they go to the tower's device, which is the CPU here
    assert max(size for size in copies.sizes if size != pixels) < tap


def test_a_tower_in_bfloat16_has_statistics_in_float32() -> None:
    encoder = VisionEncoder(small_llava().bfloat16(), small_processor())
    (observed,) = observe(encoder, TwoTaps(), [scan(0)])  # type: ignore[arg-type]
    assert encoder.dtype == torch.bfloat16
    assert projected(observed.features).dtype == torch.bfloat16
    assert {one.dtype for one in observed.statistics.values()} == {torch.float32}


def test_pixels_follow_the_tower_where_the_language_model_lies_elsewhere() -> None:
    model = small_llava()
    plain = VisionEncoder(model, small_processor()).encode(scan(0))
    model.model.language_model.to(META)
    model.model._modules = dict(reversed(model.model._modules.items()))  # the tower comes last
    moved = VisionEncoder(model, small_processor())
    assert (moved.device, moved.dtype) == (torch.device("cpu"), torch.float32)
    assert torch.equal(projected(moved.encode(scan(0))), projected(plain))


class Quantized(nn.Module):
    """Stands for a quantised layer: its weights are bytes, as bitsandbytes and torchao store."""

    def __init__(self, layer: nn.Linear) -> None:
        super().__init__()
        scale = layer.weight.detach().abs().max() / 127
        self.register_buffer("scale", scale)
        weight = (layer.weight.detach() / scale).round().to(torch.int8)
        self.weight = nn.Parameter(weight, requires_grad=False)

    def forward(self, inputs: Tensor) -> Tensor:
        return inputs @ (self.weight.to(inputs) * self.scale).T


def quantized(model: nn.Module) -> None:
    """Replace every linear layer below a module."""
    for parent in [*model.modules()]:
        for name, child in [*parent.named_children()]:
            if isinstance(child, nn.Linear):
                setattr(parent, name, Quantized(child))


def test_a_quantised_language_model_keeps_the_fingerprint_and_the_features() -> None:
    model = small_llava()
    before, features = model_fingerprint(model), VisionEncoder(model, small_processor())
    plain = projected(features.encode(scan(0)))
    quantized(model.model.language_model)
    model.lm_head = Quantized(model.lm_head)
    assert model_fingerprint(model) == before
    encoder = VisionEncoder(model, small_processor())
    assert torch.equal(projected(encoder.encode(scan(0))), plain)


@pytest.mark.parametrize("part", ["vision_tower", "multi_modal_projector"])
def test_another_tower_or_projector_has_another_fingerprint(part: str) -> None:
    model = small_llava()
    before = model_fingerprint(model)
    quantized(getattr(model.model, part))
    assert model_fingerprint(model) != before


def test_a_tower_that_is_not_in_memory_is_refused() -> None:
    model = small_llava()
    model.model.vision_tower.to(META)
    with pytest.raises(EncoderRefused, match="leave the device map out"):
        model_fingerprint(model)


# -- memory -------------------------------------------------------------------------------------


@contextmanager
def crowded(encoder: VisionEncoder, holds: int) -> Iterator[list[int]]:
    """The model's encoder runs out of memory for more than `holds` images at once."""
    tried: list[int] = []
    compute = encoder.model.get_image_features

    def limited(pixel_values: Tensor, **more: Any) -> Any:
        tried.append(len(pixel_values))
        if len(pixel_values) > holds:
            raise torch.OutOfMemoryError("CUDA out of memory.")
        return compute(pixel_values, **more)

    encoder.model.get_image_features = limited
    try:
        yield tried
    finally:
        del encoder.model.get_image_features


@pytest.fixture
def own_encoder() -> VisionEncoder:
    return VisionEncoder(small_llava(), small_processor())


def test_a_pass_that_does_not_fit_is_halved(own_encoder: VisionEncoder) -> None:
    images = [scan(number) for number in range(5)]
    plain = own_encoder.encode_batch(images)
    with crowded(own_encoder, 2) as tried:
        halved = own_encoder.encode_batch(images)
        assert tried == [5, 3, 2, 2, 1]
        tried.clear()
        own_encoder.encode_batch(images)
        assert tried == [2, 2, 1]  # remembered
    for one, other in zip(halved, plain, strict=True):
        assert one.name == other.name
        assert torch.allclose(projected(one), projected(other), atol=1e-5)


def test_statistics_of_a_halved_pass_are_each_images_own(own_encoder: VisionEncoder) -> None:
    half: Any = TwoTaps()
    images = [scan(number) for number in range(4)]
    plain = observe(own_encoder, half, images)
    with crowded(own_encoder, 1):
        halved = observe(own_encoder, half, images)
    for one, other in zip(halved, plain, strict=True):
        for tap, row in one.statistics.items():
            assert torch.allclose(row, other.statistics[tap], atol=1e-3)


def test_one_image_that_does_not_fit_is_refused(own_encoder: VisionEncoder) -> None:
    refusal = pytest.raises(EncoderRefused, match="one image of 80 x 80 pixels: free memory")
    with crowded(own_encoder, 0), refusal:
        own_encoder.encode(scan(0))


def test_an_output_holds_what_prompts_read_and_no_other_image(encoder: VisionEncoder) -> None:
    both = encoder.encode_batch([scan(0), scan(1)])
    for one in both:
        assert [*one.output.keys()] == ["pooler_output"]
        (features,) = one.output.pooler_output
        assert one.nbytes == features.nbytes == features.untyped_storage().nbytes()


def test_some_of_stacked_inputs_are_a_batch(encoder: VisionEncoder) -> None:
    ((_, inputs),) = encoder.group(encoder.prepare_many([scan(0), scan(1), scan(2)]))
    some: PixelInputs = inputs[1:3]
    assert (some.images, some.aspect) == (2, inputs.aspect)
    found = encoder.encode_inputs(some, [scan(1), scan(2)])
    assert all(isinstance(one, EncodedImage) for one in found)
    assert copy.copy(found[0]).name == scan(1).sha256
