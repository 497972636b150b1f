"""`imc prototypes show`: what a model half knows and holds."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.conftest import Imc
from tests.vision.acquisition_stand_in import CLASSES
from tests.vision.conftest import scan, small_llava, small_processor
from vision.build.model_half import build_model_half
from vision.encoder.vision_encoder import VisionEncoder


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    encoder = VisionEncoder(small_llava(), small_processor())
    references = [scan(number) for number in range(12)]
    half = build_model_half(encoder, references, None, classes=CLASSES[:3], fewest=12)
    path = tmp_path_factory.mktemp("half") / "half.safetensors"
    half.save(path)
    return path


def test_as_a_document(file: Path, imc: Imc) -> None:
    document = json.loads(imc("prototypes", "show", str(file), "--json").out)
    assert document["taps"] == ["embed", "block.0"]
    assert (document["references"], document["kinds"]) == (12, ["gaussian"])
    assert sum(document["parts"].values()) < document["bytes"]
    assert "embed" in document["restored"]["unrestored"]


def test_in_words(file: Path, imc: Imc) -> None:
    said = imc("prototypes", "show", str(file)).out
    assert "no image, thumbnail or feature of a single one" in " ".join(said.split())
    assert "tokens are the only witness" in " ".join(said.split())
