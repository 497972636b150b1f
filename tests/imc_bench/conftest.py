"""What the bench's tests share: the embedded model, loaded once."""

from __future__ import annotations

from pathlib import Path

import pytest

from graphs.context import IMCContext, load_context


@pytest.fixture(scope="session")
def bench_context(embedded_model: Path) -> IMCContext:
    """The embedded model with its bank."""
    return load_context(embedded_model)
