"""A LLaVA with a vision tower of CLIP-L's size and random weights, for the benchmarks.

Its model half has the parts of a default build at their sizes, fitted on random rows: what it finds
means nothing, what it costs does.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
import transformers as hf
from numpy.typing import NDArray

from imc_noise import apply_image, noise_rng
from imc_reference.corpus import as_rgb
from imc_reference.phantoms import make_phantom
from vision.acquisition import AcquisitionHalf
from vision.bank.model_half import RESTORED, ModelHalf
from vision.build.encoder_passes import EncoderPasses
from vision.build.feature_store import FeatureStore
from vision.build.model_half import DEFAULT_RANK, witness_taps
from vision.calibrate.class_maps import ClassMaps
from vision.calibrate.clean_distance import CleanDistance, fit_distance
from vision.calibrate.token_context import FeatureScaler, channel_sums, fit_scaler
from vision.encoder.token_layout import POSITION_FEATURES
from vision.encoder.token_spectrum import TokenSpectrum
from vision.encoder.vision_encoder import VisionEncoder
from vision.perceive.encoder_witness import fit_encoder_witness
from vision.reading.medical_image import MedicalImage

SIDE = 336
_PHANTOM_SEED = 8_230


def large_encoder(blocks: int = 24, channels: int = 1024) -> VisionEncoder:
    """CLIP-L at 336 pixels: 24 blocks of 1024 channels, 16 heads, 577 tokens; or a smaller one."""
    torch.manual_seed(0)
    config = hf.LlavaConfig(
        vision_config={
            "model_type": "clip_vision_model",
            "hidden_size": channels,
            "intermediate_size": 4 * channels,
            "num_hidden_layers": blocks,
            "num_attention_heads": 16,
            "image_size": SIDE,
            "patch_size": 14,
        },
        text_config={
            "model_type": "llama",
            "vocab_size": 32,
            "hidden_size": 64,
            "intermediate_size": 64,
            "num_hidden_layers": 1,
            "num_attention_heads": 2,
        },
        image_token_index=31,
        vision_feature_layer=-2,
        vision_feature_select_strategy="default",
    )
    model = hf.LlavaForConditionalGeneration(config).eval()
    processor = hf.CLIPImageProcessorPil(size={"height": SIDE, "width": SIDE}, do_center_crop=False)
    return VisionEncoder(model, processor)


def phantoms(count: int, start: int = 0) -> list[MedicalImage]:
    """Phantoms that nothing else draws."""
    draws = (np.random.default_rng([_PHANTOM_SEED, i]) for i in range(start, start + count))
    return [MedicalImage.from_rgb(as_rgb(make_phantom(draw).image)) for draw in draws]


def noisy(image: MedicalImage, kind: str, severity: int) -> MedicalImage:
    """The image with a noise added, the same whenever it is asked for."""
    rng = noise_rng(f"cost {image.sha256}", kind, severity)
    return MedicalImage.from_rgb(apply_image(kind, image.rgb, severity, rng))


_ROWS = 8
"""Random rows of each class."""
_CAP = 0.5


@torch.inference_mode()
def large_model_half(encoder: VisionEncoder, acquisition: AcquisitionHalf) -> ModelHalf:
    """A model half with parts of the sizes of a default build, and a map of each class and tap for
    restored pictures, as where all of them earn something."""
    taps, classes = witness_taps(encoder), acquisition.classes
    passes = EncoderPasses(encoder, taps, FeatureStore())
    pictures = phantoms(2)
    clean = passes.clean_moments(pictures)
    other = passes.second_moments([noisy(one, "gaussian", 5) for one in pictures])
    spectra = {
        tap: TokenSpectrum.fit(clean[tap], [other[tap]] * len(acquisition.kinds)) for tap in taps
    }
    rng = np.random.default_rng(0)
    labels = np.repeat(np.arange(len(classes)), _ROWS)
    statistics = {
        tap: rng.normal(size=(len(labels), spectrum.size)) for tap, spectrum in spectra.items()
    }
    witness = fit_encoder_witness(
        statistics,
        labels,
        np.tile(np.arange(_ROWS), len(classes)),
        classes,
        rng,
        rng.normal(size=(len(labels), len(classes))),
    )
    scalers = {
        tap: fit_scaler(channel_sums(torch.stack([passes.store.get(tap, i) for i in range(2)])))
        for tap in taps
    }
    return ModelHalf(
        fingerprint=encoder.fingerprint,
        acquisition=acquisition.digest,
        images=2,
        seed=0,
        spectra=spectra,
        witness=witness,
        distances={tap: _distance(rows, labels) for tap, rows in statistics.items()},
        maps={RESTORED: {tap: _maps(scalers[tap], len(classes)) for tap in taps}},
        blocks=encoder.blocks,
    )


def _distance(rows: NDArray[np.float64], labels: NDArray[np.int64]) -> CleanDistance:
    statistics = torch.from_numpy(rows)
    means = [statistics[labels == label].mean(0) for label in range(1, int(labels.max()) + 1)]
    clean = statistics[labels == 0]
    # nothing is far from clean: no restoration is declined for it
    return replace(fit_distance(clean, clean, torch.stack(means)), band=1e9)


def _maps(scaler: FeatureScaler, classes: int) -> ClassMaps:
    """Maps of every noisy class and of all together, so small that they change next to nothing."""
    dim = len(scaler.centre)
    context = 2 * dim + POSITION_FEATURES  # the part of few references, as in a default build
    ranks = torch.full((classes,), DEFAULT_RANK)
    columns = int(ranks.sum())
    left = 1e-6 * torch.randn(context, columns)
    return ClassMaps(scaler, ranks, left, torch.randn(columns, dim), _CAP)
