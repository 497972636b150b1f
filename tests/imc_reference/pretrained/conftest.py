"""The tiny GGUF file, which takes the place of the package's here."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from imc_reference.pretrained import package
from tests.imc_reference.pretrained.tiny_gguf import tiny_llama, write_gguf


@pytest.fixture(scope="session")
def llama() -> Any:
    """What the file was written from."""
    return tiny_llama()


@pytest.fixture(scope="session")
def gguf_file(tmp_path_factory: pytest.TempPathFactory, llama: Any) -> Path:
    return write_gguf(tmp_path_factory.mktemp("gguf") / "tiny.gguf", llama)


@pytest.fixture
def expected(gguf_file: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The file, with its bytes those that the recipe asks for."""
    monkeypatch.setattr(package, "SHA256", package.digest_of(gguf_file))
    return gguf_file
