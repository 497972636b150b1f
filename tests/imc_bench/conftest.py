"""What the bench's tests share: the embedded model, loaded once, and a store worked out by hand."""

from __future__ import annotations

from pathlib import Path

import pytest

from graphs.context import IMCContext, load_context
from tests.imc_bench.worked_run import make_store


@pytest.fixture(scope="session")
def bench_context(embedded_model: Path) -> IMCContext:
    """The embedded model with its bank."""
    return load_context(embedded_model)


@pytest.fixture
def worked(tmp_path: Path) -> Path:
    """The store whose figures are worked out on paper."""
    return make_store(tmp_path / "run.db")
