"""A model half's file is refused, in one line, where it does not fit the model or is damaged."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from tests.vision.acquisition_stand_in import SmoothingAcquisition
from tests.vision.conftest import scan
from vision.bank.model_half import ModelHalf
from vision.build.model_half import build_model_half
from vision.encoder.vision_encoder import VisionEncoder
from vision.errors import BankRefused


@pytest.fixture(scope="module")
def file(encoder: VisionEncoder, tmp_path_factory: pytest.TempPathFactory) -> Path:
    references = [scan(number) for number in range(16)]
    half = build_model_half(encoder, references, SmoothingAcquisition(), fewest=16)
    path = tmp_path_factory.mktemp("half") / "half.safetensors"
    half.save(path)
    return path


def refusal(path: Path, fingerprint: str | None = None, acquisition: str | None = None) -> str:
    with pytest.raises(BankRefused) as refused:
        ModelHalf.load(path, fingerprint=fingerprint, acquisition=acquisition)
    assert "\n" not in str(refused.value)
    return str(refused.value)


def rewritten(file: Path, target: Path, header: Callable[[str], str]) -> Path:
    with safe_open(file, framework="pt") as stored:
        text = stored.metadata()["imc"]
    save_file(load_file(file), target, metadata={"imc": header(text)})
    return target


def test_of_another_model(file: Path) -> None:
    assert "another model" in refusal(file, fingerprint="0" * 64)


def test_for_another_acquisition_half(file: Path) -> None:
    said = refusal(file, acquisition="another")
    assert "another acquisition half" in said
    assert "imc prototypes build" in said


def test_of_another_format_version(file: Path, tmp_path: Path) -> None:
    newer = rewritten(
        file, tmp_path / "newer.safetensors", lambda text: text.replace("-half-1", "-half-9")
    )
    assert "not a model half of format 'imc-model-half-1'" in refusal(newer)


def test_a_prototype_bank_is_no_model_half(embedded_model: Path) -> None:
    assert "not a model half" in refusal(embedded_model / "prototypes.safetensors")


def test_of_which_half_is_missing(file: Path, tmp_path: Path) -> None:
    short = tmp_path / "short.safetensors"
    short.write_bytes(file.read_bytes()[:-1000])
    assert "truncated" in refusal(short)


@pytest.mark.parametrize(
    "part", ["spectrum.embed", "scorer.embed", "density.encoder", "distance.embed.project"]
)
def test_with_arrays_of_another_shape(file: Path, tmp_path: Path, part: str) -> None:
    with safe_open(file, framework="pt") as stored:
        header = stored.metadata()
    cut = {
        name: one[..., :-1].contiguous() if name.startswith(part) and one.numel() > 1 else one
        for name, one in load_file(file).items()
    }
    save_file(cut, tmp_path / "cut.safetensors", metadata=header)
    assert "does not fit together" in refusal(tmp_path / "cut.safetensors")


def test_with_values_that_are_not_finite(file: Path, tmp_path: Path) -> None:
    with safe_open(file, framework="pt") as stored:
        header = stored.metadata()
    tensors = load_file(file)
    tensors["spectrum.embed.centre"] = torch.full_like(tensors["spectrum.embed.centre"], torch.nan)
    save_file(tensors, tmp_path / "nan.safetensors", metadata=header)
    assert "not finite" in refusal(tmp_path / "nan.safetensors")
