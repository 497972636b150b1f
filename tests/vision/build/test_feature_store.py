"""Features of clean references: in memory up to a bound, in files beyond it, in half precision."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from vision.build.feature_store import FeatureStore
from vision.errors import BankRefused


def patches(seed: int) -> torch.Tensor:
    return torch.randn(1, 16, 8, generator=torch.Generator().manual_seed(seed))


def test_what_outgrows_the_bound_is_on_disk(tmp_path: Path) -> None:
    store = FeatureStore(tmp_path, room=2 * 16 * 8)  # one reference in half precision
    for number in range(3):
        store.keep("block.0", number, patches(number))
    assert len(list(tmp_path.iterdir())) == 2
    for number in range(3):
        assert torch.allclose(store.get("block.0", number), patches(number), atol=2e-3)


def test_without_a_folder_the_files_are_temporary() -> None:
    store = FeatureStore(room=0)
    store.keep("embed", 0, patches(0))
    assert store.get("embed", 0).dtype == torch.float32


def test_a_full_disk_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(tensors: object, path: Path) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("vision.build.feature_store.save_file", full)
    with pytest.raises(BankRefused, match="No space left on device"):
        FeatureStore(tmp_path, room=0).keep("embed", 0, patches(0))
