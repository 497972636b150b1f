"""The studio over scripted models, and its pages without a browser (NiceGUI's simulated user)."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("nicegui", reason="needs the extra studio (NiceGUI)")

from nicegui.testing import User  # noqa: E402
from nicegui.testing.user_simulation import user_simulation  # noqa: E402

from graphs.checkpoints.opening import open_checkpointer  # noqa: E402
from graphs.context import IMCContext  # noqa: E402
from imc_app.studio.server import register_pages  # noqa: E402
from imc_app.studio.studio import Studio  # noqa: E402
from tests.fakes import FakeCalibrator  # noqa: E402
from tests.graphs.test_imc_graph import context_of  # noqa: E402


def scripted_context() -> IMCContext:
    return context_of(calibrator=FakeCalibrator("gaussian"))


@pytest.fixture
def make_studio(tmp_path: Path) -> Callable[..., Studio]:
    """A studio whose threads are kept in a file of the test."""

    def make(open_context: Callable[[], IMCContext] = scripted_context, **given: Any) -> Studio:
        return Studio(
            open_context, checkpointer=open_checkpointer(tmp_path / "threads.sqlite"), **given
        )

    return make


@pytest.fixture
async def studio(make_studio: Callable[..., Studio]) -> AsyncIterator[Studio]:
    made = make_studio()
    yield made
    made.close()


@pytest.fixture
async def user(studio: Studio) -> AsyncIterator[User]:
    """Somebody at the studio's pages."""
    async with user_simulation() as somebody:
        register_pages(studio)
        yield somebody
        ours = {name: one for name, one in sys.modules.items() if name.startswith("imc_app")}
    # the simulation takes the modules of its pages out, and every package around them
    sys.modules.update(ours)
