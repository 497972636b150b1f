"""The acquisition half's file: the same after reading, refused in one line where it is wrong."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file

from tests.vision.acquisition.conftest import phantom
from vision.acquisition import AcquisitionHalf
from vision.acquisition.half import SHIPPED
from vision.errors import BankRefused

Held = tuple[dict[str, Any], dict[str, torch.Tensor]]
PARTS = (
    "classifier.weights",
    "classifier.density.precision",
    "classifier.clean_scores",
    "residual.centre",
    "restorer.maps",
    "restorer.gaussian.gain.landmarks",
    "restorer.unknown.additive.weights",
    "benefit.frequencies",
    "novelty.whiten",
)


@pytest.fixture(scope="module")
def held() -> Held:
    """Description and arrays of the shipped file."""
    with safe_open(SHIPPED, framework="pt") as stored:
        about = json.loads(stored.metadata()["imc"])
        return about, {name: stored.get_tensor(name) for name in stored.keys()}  # noqa: SIM118


def refusal(path: Path) -> str:
    with pytest.raises(BankRefused) as refused:
        AcquisitionHalf.load(path)
    said = str(refused.value)
    assert "\n" not in said
    assert "fit it again with `imc prototypes acquisition`" in said
    return said


def refusal_of(held: Held, path: Path, **changed: Any) -> str:
    about, tensors = held
    save_file(tensors, path, metadata={"imc": json.dumps({**about, **changed})})
    return refusal(path)


def test_a_half_is_the_same_after_saving(acquisition: AcquisitionHalf, tmp_path: Path) -> None:
    path = tmp_path / "half.safetensors"
    acquisition.save(path)
    again = AcquisitionHalf.load(path)
    assert again.digest == hashlib.sha256(path.read_bytes()).hexdigest()
    assert again.digest == acquisition.digest
    assert (again.origins, again.classes, again.seed) == (
        acquisition.origins,
        acquisition.classes,
        acquisition.seed,
    )
    noisy = phantom(0, ("gaussian", 4))
    one, other = (half.restore_batch([noisy])[0] for half in (acquisition, again))
    assert one.restored
    assert np.array_equal(one.image.rgb, other.image.rgb)
    assert one.perception == other.perception


def test_the_shipped_file_is_small_and_of_nobody(held: Held) -> None:
    about, tensors = held
    assert SHIPPED.stat().st_size < 16_000_000
    images = sum(about["origins"].values())
    # of single references, sorted scores alone
    of_references = [n for n, one in tensors.items() if one.dim() and len(one) >= images]
    assert all(
        name.endswith(("clean_scores", ".weights", "frequencies", "phases"))
        for name in of_references
    )
    for name in ("classifier.clean_scores", "residual.clean_scores"):
        assert bool((tensors[name].diff() >= 0.0).all())


def test_of_another_version(held: Held, tmp_path: Path) -> None:
    said = refusal_of(held, tmp_path / "half.safetensors", format="imc-acquisition-9")
    assert "another version ('imc-acquisition-9'" in said


def test_a_model_half_is_no_acquisition_half(held: Held, tmp_path: Path) -> None:
    said = refusal_of(held, tmp_path / "half.safetensors", format="imc-model-half-1")
    assert "imc-model-half-1" in said


def test_that_is_not_there(tmp_path: Path) -> None:
    assert "not a file" in refusal(tmp_path / "none.safetensors")


@pytest.mark.parametrize("content", [b"", b"no half at all", b"{}" * 50])
def test_what_is_no_safetensors_file(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "half.safetensors").write_bytes(content)
    assert "damaged or no acquisition half" in refusal(tmp_path / "half.safetensors")


@pytest.mark.parametrize("share", [0.1, 0.999])
def test_of_which_a_part_is_missing(tmp_path: Path, share: float) -> None:
    whole = SHIPPED.read_bytes()
    (tmp_path / "half.safetensors").write_bytes(whole[: int(share * len(whole))])
    assert "damaged" in refusal(tmp_path / "half.safetensors")


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("origins", {"slake": 0}),
        ("origins", ["slake"]),
        ("seed", -1),
        ("scales", [112, 224]),
        ("scales", "112"),
        ("evidence", []),
        ("classes", []),
        ("classes", [["clean", 0]]),
        ("classes", [["gaussian", 1], ["clean", 0]]),
        ("classes", [["clean", 0], ["gaussian", 0]]),
        ("classes", [["clean", 0], ["gaussian", 9]]),
        ("stripes_left", 1.5),
        ("most_harm", None),
    ],
)
def test_with_a_field_of_a_wrong_type_or_value(
    held: Held, tmp_path: Path, field: str, value: object
) -> None:
    assert "damaged" in refusal_of(held, tmp_path / "half.safetensors", **{field: value})


@pytest.mark.parametrize("text", ["[", "[]", "null", "3", "{}", "[" * 10**5 + "]" * 10**5])
def test_with_a_description_that_is_none(held: Held, tmp_path: Path, text: str) -> None:
    path = tmp_path / "half.safetensors"
    save_file(held[1], path, metadata={"imc": text})
    assert "damaged" in refusal(path)


CHANGES: dict[str, Callable[[torch.Tensor], torch.Tensor]] = {
    "nan": lambda one: torch.full_like(one, torch.nan),
    "cut": lambda one: one[..., :-1],
    "infinite": lambda one: torch.full_like(one, -torch.inf),
    "huge": lambda one: one.double() * 0.0 + 1e300,
    "int8": lambda one: one.to(torch.int8),
    "complex": lambda one: one.to(torch.complex64),
    "deeper": lambda one: one[None],
    "empty": lambda one: one[:0],
}
WRONG = [
    *((part, "nan") for part in PARTS),
    # fewer clean scores are good ones
    *((part, "cut") for part in PARTS if not part.endswith("clean_scores")),
    *((part, name) for part in ("classifier.weights", "restorer.maps") for name in CHANGES),
    ("classifier.clean_scores", "empty"),
    ("classifier.clean_scores", "deeper"),
]


@pytest.mark.parametrize(("part", "change"), dict.fromkeys(WRONG))
def test_with_an_array_of_wrong_values_type_or_shape(
    held: Held, tmp_path: Path, part: str, change: str
) -> None:
    about, tensors = held
    wrong = {**tensors, part: CHANGES[change](tensors[part]).contiguous()}
    assert "damaged" in refusal_of((about, wrong), tmp_path / "half.safetensors")


@pytest.mark.parametrize("part", PARTS)
def test_without_a_part(held: Held, tmp_path: Path, part: str) -> None:
    about, tensors = held
    less = {name: one for name, one in tensors.items() if name != part}
    assert "do not fit together" in refusal_of((about, less), tmp_path / "half.safetensors")


def test_it_is_written_whole_or_not_at_all(
    acquisition: AcquisitionHalf, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = tmp_path / "half.safetensors"
    target.write_bytes(b"the half before")

    def full(tensors: object, path: Path, **settings: object) -> None:
        path.write_bytes(b"part")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("vision.acquisition.half_file.save_file", full)
    with pytest.raises(BankRefused, match="No space left"):
        acquisition.save(target)
    assert [path.read_bytes() for path in tmp_path.iterdir()] == [b"the half before"]
