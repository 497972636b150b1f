"""What values show in a notebook: nothing is sent anywhere, and no text is markup."""

from __future__ import annotations

import socket
from typing import Any

import numpy as np
import pytest

from graphs import build_imc_graph, build_sms_graph, show
from imc_agents.state import Answer, Decision
from tests.graphs.drawing.examples import TRACE, embedding_graph
from vision.reading.medical_image import MedicalImage
from vision.report import CalibrationReport, NoisePerception

MARKUP = "<script>alert(1)</script>"


@pytest.fixture
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any, **__: Any) -> None:
        raise AssertionError("a connection was opened")

    monkeypatch.setattr(socket, "create_connection", refuse)
    monkeypatch.setattr(socket.socket, "connect", refuse)


@pytest.mark.usefixtures("no_network")
@pytest.mark.parametrize("build", [build_imc_graph, build_sms_graph])
def test_a_compiled_graph_is_drawn_on_this_machine(build: Any) -> None:
    for graph in (build(), build().with_config(tags=["copied"])):
        shown = graph._repr_mimebundle_()
        assert shown.keys() == {"text/plain", "text/html"}
        assert 'class="imc-graph"' in shown["text/html"]


@pytest.mark.usefixtures("no_network")
def test_any_graph_and_a_finished_run_can_be_shown() -> None:
    html = show(embedding_graph(), {"trace": TRACE}, xray=True)._repr_html_()
    assert "imc:detector" in html


def values() -> list[Any]:
    return [
        NoisePerception(
            kind=MARKUP, severity=3, probability=0.9, clean_p_value=0.001, posterior={MARKUP: 0.9}
        ),
        CalibrationReport(applied=True, reason=MARKUP, taps=[MARKUP], rounds=[MARKUP]),
        Decision(used=MARKUP, accepted=True, rounds=1, reason=MARKUP),
        Answer(text=MARKUP, confidence=0.5, evidence=[MARKUP], failure=MARKUP),
    ]


@pytest.mark.parametrize("value", values(), ids=lambda value: type(value).__name__)
def test_a_value_shows_its_texts_and_none_is_markup(value: Any) -> None:
    html = value._repr_html_()
    assert "&lt;script&gt;" in html and "<script" not in html


def test_an_image_shows_its_pixels_and_its_size() -> None:
    image = MedicalImage.from_rgb(np.zeros((600, 800, 3), np.uint8))
    html = image._repr_html_()
    assert "data:image/png;base64," in html and "800 x 600" in html and 'width="512"' in html


def test_a_calibrated_image_shows_what_was_found_and_done() -> None:
    from tests.fakes import FakeCalibrator

    shown = FakeCalibrator()(MedicalImage.from_rgb(np.zeros((8, 8, 3), np.uint8)))._repr_html_()
    assert "Noise in the image" in shown and "Correction of the image" in shown
