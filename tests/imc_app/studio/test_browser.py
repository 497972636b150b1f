"""The main path through each page in a real browser, without a screen: Debian's chromium."""

from __future__ import annotations

import base64
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from imc_app.example import ct_example
from imc_app.page import picture_address
from imc_app.session import read_request
from tests.conftest import REPOSITORY

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

playwright = pytest.importorskip("playwright.sync_api", reason="needs playwright")
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(CHROMIUM is None, reason="needs chromium, as Debian packages it"),
]

PATIENCE = 120_000
"""Milliseconds: the machine may be busy, and the model is loaded."""


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory, embedded_model: Path) -> Iterator[str]:
    """The address that `imc studio` prints."""
    server = subprocess.Popen(
        [sys.executable, "-m", "imc_app.cli", "studio", "--ephemeral"],
        cwd=REPOSITORY,
        env={**os.environ, "XDG_DATA_HOME": str(tmp_path_factory.mktemp("data"))},
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    if server.stdout is None:
        raise AssertionError("no output to read")
    yield server.stdout.readline().split()[-1]
    server.terminate()
    server.wait(30)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with playwright.sync_playwright() as started:
        opened = started.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield opened
        opened.close()


SIZES = {"wide": (1280, "light"), "narrow": (400, "dark")}


@pytest.fixture
def page(request: pytest.FixtureRequest, browser: Browser, address: str) -> Iterator[Page]:
    """The Ask page; a request to another host, or an error of a script, fails the test."""
    width, theme = SIZES[getattr(request, "param", "wide")]
    context = browser.new_context(
        viewport={"width": width, "height": 800}, color_scheme=theme, reduced_motion="reduce"
    )
    context.set_default_timeout(PATIENCE)
    opened = context.new_page()
    origin = address.split("/?")[0]
    foreign: list[str] = []
    opened.on(
        "request",
        lambda sent: None
        if sent.url.startswith((origin, origin.replace("http", "ws"), "data:", "blob:"))
        else foreign.append(sent.url),
    )
    opened.on("pageerror", lambda error: foreign.append(str(error)))
    opened.goto(address)
    yield opened
    context.close()
    assert not foreign


def choose_example(page: Page) -> None:
    page.get_by_role("button", name="Use the example").click()
    page.get_by_alt_text("the chosen image").wait_for()


def noisy_example() -> bytes:
    """The example at low dose, as a PNG: a picture that is corrected."""
    example = ct_example()
    request = read_request(example.image, example.question, example.noise, frame=None, seed=0)
    return base64.b64decode(picture_address(request.image).partition(",")[2])


def fits(page: Page) -> bool:
    """Nothing of the page is beside the screen."""
    return bool(page.evaluate("document.documentElement.scrollWidth <= innerWidth"))


@pytest.mark.parametrize("page", SIZES, indirect=True)
def test_ask_then_step_with_the_keyboard_then_image(page: Page) -> None:
    choose_example(page)
    page.get_by_label("Question").fill("Is teh spine visbile in this imgae?")
    page.get_by_role("button", name="Ask", exact=True).click()
    page.wait_for_url("**/ask/*")
    page.get_by_text("read as: Is the spine visible in this image?").wait_for()
    page.locator(".imc-answer").wait_for()
    assert fits(page)

    page.get_by_role("link", name="Open in Step").click()
    page.get_by_text("ended", exact=True).wait_for()
    page.locator("h1").click()
    page.keyboard.press("r")
    page.get_by_text("a branch begins here; next: vision, coordinator").wait_for()
    page.locator("[data-break=verifier][data-when=before]").press("Enter")
    page.locator("circle.set").wait_for()
    page.locator("h1").click()
    page.keyboard.press("c")
    page.get_by_text("stopped at the breakpoint before verifier").wait_for()
    page.locator("[data-node=corrector]").press("Enter")
    page.get_by_role("tab", name="Prompt and raw").click()
    page.get_by_text("requests of corrector").wait_for()
    assert fits(page)

    page.goto(page.url.replace("/step/", "/image/"))
    page.locator(".imc-compare").wait_for()
    page.get_by_label("zoom").fill("3")
    assert fits(page)


@pytest.mark.parametrize("page", SIZES, indirect=True)
def test_the_noise_lab_shows_three_answers(page: Page) -> None:
    page.get_by_role("link", name="Noise lab").click()
    choose_example(page)
    page.get_by_label("Question", exact=True).fill("Is the spine visible in this image?")
    page.get_by_label("Noise on the question").click()
    page.get_by_role("option", name="typo", exact=True).click()
    page.get_by_role("button", name="Try").click()
    page.get_by_role("rowheader", name="noisy, with IMC").wait_for()
    assert fits(page)


def test_a_review_shows_the_restored_picture_beside_the_original(page: Page) -> None:
    file = {"name": "noisy.png", "mimeType": "image/png", "buffer": noisy_example()}
    page.locator("input[type=file]").set_input_files(file)  # type: ignore[arg-type]
    page.get_by_alt_text("the chosen image").wait_for()
    page.get_by_label("Question").fill("Is teh spine visbile in this imgae?")
    page.get_by_label("Review by a person").click()
    page.get_by_role("option", name="where something would be changed").click()
    page.get_by_role("button", name="Ask", exact=True).click()
    page.get_by_role("link", name="Reply in Step").click()
    review = page.get_by_role("region", name="Review")
    left, right = (
        review.get_by_alt_text(name, exact=True).bounding_box() for name in ("original", "restored")
    )
    assert left is not None and right is not None
    assert left["y"] == right["y"] and left["x"] + left["width"] <= right["x"]
    page.get_by_role("button", name="Accept", exact=True).click()
    page.get_by_text("ended", exact=True).wait_for()


def test_a_closed_tab_ends_nothing(page: Page, address: str) -> None:
    choose_example(page)
    page.get_by_label("Question").fill("Is teh spine visbile in this imgae?")
    page.get_by_role("button", name="Ask", exact=True).click()
    page.wait_for_url("**/ask/*")
    place, context = page.url, page.context
    page.close()
    again = context.new_page()
    again.goto(place)
    again.locator(".imc-answer").wait_for()


def test_what_cannot_be_read_is_a_sentence(page: Page) -> None:
    file = {"name": "scan.png", "mimeType": "image/png", "buffer": b"not an image"}
    page.locator("input[type=file]").set_input_files(file)  # type: ignore[arg-type]
    page.get_by_text("cannot read the image bytes").wait_for()
    choose_example(page)


def test_the_address_without_its_token_shows_nothing(browser: Browser, address: str) -> None:
    context = browser.new_context()
    answer = context.new_page().goto(address.split("?")[0])
    assert answer is not None and answer.status == 403
    context.close()
