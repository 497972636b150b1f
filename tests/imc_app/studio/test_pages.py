"""The pages, without a browser: what a person reads and presses."""

from __future__ import annotations

import asyncio
from pathlib import Path

import numpy as np
import pytest
from nicegui import ui
from nicegui.testing import User

from imc_app.studio.image_page import comparison_html
from imc_app.studio.noise_page import Experiment, try_noise
from imc_app.studio.step_panels import timeline_html
from imc_app.studio.studio import Studio
from tests.fakes import FakeCalibrator, grey_square
from tests.graphs.test_imc_graph import CLEAN, TYPO, context_of
from tests.imc_app.studio.test_studio import asked, idle
from vision.patch_changes import ImageComparison


async def test_asking_without_an_image_says_what_is_missing(user: User) -> None:
    await user.open("/")
    user.find(ui.textarea).type(CLEAN)
    user.find(kind=ui.button, content="Ask").click()
    await user.should_see("choose an image first")


async def test_a_question_is_asked_of_the_example_and_answered(user: User, studio: Studio) -> None:
    await user.open("/")
    user.find(kind=ui.button, content="Use the example").click()
    await user.should_see("128 x 128, DICOM")
    user.find(ui.textarea).type(TYPO)
    user.find(kind=ui.button, content="Ask").click()
    await asyncio.sleep(0.1)
    ((name, _),) = studio.known_threads()
    await idle(await studio.thread(name))
    await user.open(f"/ask/{name}")
    await user.should_see("confidence 0.90")
    await user.should_see("read as: Is there a lesion in the liver?")
    await user.should_see("Open in Step")


async def test_an_unknown_thread_is_a_sentence_and_the_page_stays_alive(user: User) -> None:
    await user.open("/step/nowhere")
    await user.should_see("thread 'nowhere' is unknown here")
    await user.open("/ask/nowhere")
    await user.should_see("thread 'nowhere' is unknown here")
    await user.should_see("Use the example")


async def test_a_thread_is_stepped_with_a_breakpoint(user: User, studio: Studio) -> None:
    thread = await asked(studio, stepping=True)
    await user.open(f"/step/{thread.id}")
    await user.should_see("stopped at the beginning; next: vision, coordinator")
    user.find("Step (n)").click()
    await asyncio.sleep(0)
    await idle(thread)
    await user.should_see("stopped after a step; next: detector")
    thread.session.add_breakpoint("verifier")
    user.find("Continue (c)").click()
    await asyncio.sleep(0)
    await idle(thread)
    await user.should_see("stopped at the breakpoint before verifier")
    await user.should_see("Timeline")


async def test_a_state_that_does_not_validate_is_refused_in_a_sentence(
    user: User, studio: Studio
) -> None:
    thread = await asked(studio, stepping=True)
    studio.move(thread, "stepping", thread.session.step)
    await idle(thread)
    before = thread.state
    studio.move(thread, "editing", lambda: thread.session.edit_json("rounds", '"many"'))
    await idle(thread)
    await user.open(f"/step/{thread.id}")
    await user.should_see("is left as it was: Input should be a valid integer")
    assert thread.state == before


async def test_a_person_is_asked_and_replies(user: User, studio: Studio) -> None:
    thread = studio.ask(grey_square(), TYPO, review="always")
    await idle(thread)
    await user.open(f"/step/{thread.id}")
    await user.should_see("stopped: a person is asked")
    await user.should_see("replace 'lesoin' by 'lesion'")
    user.find(kind=ui.input, content="Or reply").type("Is the liver normal?")
    user.find(kind=ui.button, content="Send").click()
    await asyncio.sleep(0)
    await idle(thread)
    assert thread.state["decision"].used == "Is the liver normal?"
    assert thread.state["answer"] is not None


async def test_a_person_takes_the_picture_without_the_wording(user: User, studio: Studio) -> None:
    thread = studio.ask(grey_square(), TYPO, review="always")
    await idle(thread)
    await user.open(f"/step/{thread.id}")
    await user.should_see("A person is asked")
    boxes = sorted(user.find(kind=ui.checkbox).elements, key=lambda one: one.id)
    boxes[0].set_value(False)
    user.find(kind=ui.button, content="Take what is ticked").click()
    await asyncio.sleep(0)
    await idle(thread)
    assert thread.state["decision"].used == TYPO
    assert len(boxes) == 2 and not thread.state["plain_image"]


async def test_the_bench_page_without_a_run_says_how_to_give_one(user: User) -> None:
    await user.open("/bench")
    await user.should_see("start the studio with --bench run.sqlite")
    await user.open("/bench/7")
    await user.should_see("there is no run '7'")


async def test_nodes_that_ran_together_are_beside_each_other(studio: Studio) -> None:
    thread = await asked(studio)
    first = timeline_html(thread.session.stops).split("<tr>")[1]
    assert "vision" in first and "coordinator" in first


def test_the_noise_lab_answers_with_and_without_imc() -> None:
    experiment = Experiment(grey_square(), CLEAN, ("gaussian:3", "typo:3"))
    findings = try_noise(experiment, context_of(calibrator=FakeCalibrator("gaussian")))
    assert findings.noisy.image != experiment.image and findings.noisy.question != CLEAN
    assert list(findings.outcomes) == [
        "clean, without IMC", "noisy, without IMC", "noisy, with IMC",
    ]  # fmt: skip
    bare = findings.outcomes["noisy, without IMC"].document["question"]
    assert bare["used"] == findings.noisy.question


@pytest.mark.parametrize("changes", [None, np.array([[0.0, 0.5], [0.1, 0.02]], np.float32)])
def test_the_changed_patches_are_a_map_over_the_picture(changes: np.ndarray | None) -> None:
    calibrated = FakeCalibrator("gaussian")(grey_square())
    html = comparison_html(ImageComparison(grey_square(), calibrated, changes))
    assert ('class="heat"' in html) == (changes is not None)
    assert ("moved by 50.0 %" in html) == (changes is not None)


async def test_an_upload_that_is_no_image_is_refused_in_a_sentence(
    user: User, tmp_path: Path
) -> None:
    from nicegui.elements.upload_files import SmallFileUpload

    await user.open("/")
    (upload,) = user.find(ui.upload).elements
    await upload.handle_uploads([SmallFileUpload("notes.txt", "text/plain", b"not an image")])
    await user.should_see("cannot read")
