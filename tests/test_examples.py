"""The examples do what their first lines say."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from examples.embed_in_workflow import run_until_signature, sign
from examples.make_phantoms import SIDE, main
from examples.own_noise_and_method import measure
from graphs import IMCContext, load_context
from tests.conftest import REPOSITORY

IMAGE = REPOSITORY / "examples" / "phantom_ct.png"


@pytest.fixture(scope="module")
def context(tiny_llava: Path) -> IMCContext:
    return load_context(tiny_llava)


def test_a_workflow_waits_for_its_signature_and_resumes_from_the_file(
    context: IMCContext, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    database = tmp_path / "studies.sqlite"
    draft = run_until_signature(database, context, IMAGE, "Is there a bleed?", "study-1")
    assert draft.startswith("URGENT\nQuestion: Is there a bleed?\nAnswer: ")

    passes = context.chat.calls  # type: ignore[attr-defined]
    state = sign(database, context, "study-1", "A. Reader")
    assert state["signed_by"] == "A. Reader"
    assert state["draft"] == draft
    assert context.chat.calls == passes  # type: ignore[attr-defined]
    assert not caplog.records  # every type of the file is one that was asked for


def test_a_rejected_draft_is_asked_again(context: IMCContext, tmp_path: Path) -> None:
    database = tmp_path / "studies.sqlite"
    run_until_signature(database, context, IMAGE, "What organ is shown?", "study-2")
    again = sign(database, context, "study-2", "")
    assert again["draft"].startswith("Routine\n")
    assert sign(database, context, "study-2", "B. Reader")["signed_by"] == "B. Reader"


def test_no_pixels_reach_the_file(context: IMCContext, tmp_path: Path) -> None:
    database = tmp_path / "studies.sqlite"
    run_until_signature(database, context, IMAGE, "What organ is shown?", "study-3")
    image_row = np.asarray(Image.open(IMAGE))[SIDE // 2, 100:132].tobytes()
    assert image_row not in database.read_bytes()


def test_the_example_images_are_the_ones_that_are_drawn(tmp_path: Path) -> None:
    for path, _ in main(tmp_path):
        drawn = np.asarray(Image.open(path)).astype(int)
        kept = np.asarray(Image.open(REPOSITORY / "examples" / path.name)).astype(int)
        assert drawn.shape[:2] == (SIDE, SIDE)
        # libraries of other versions may round otherwise, by a grey level
        assert np.abs(drawn - kept).max() <= 1


@pytest.mark.usefixtures("forget_plugins")
def test_a_noise_and_a_method_of_ones_own_are_measured(
    embedded_model: Path, tmp_path: Path
) -> None:
    table = measure(load_context(embedded_model), tmp_path / "dust.db", limit=6)
    assert "| image | swept |" in table
    assert "dust" in table
