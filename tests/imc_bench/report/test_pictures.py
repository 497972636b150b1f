"""Pictures say what they show, of what, and end in a sentence computed from the figures."""

from __future__ import annotations

import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from imc_bench.report.picture import Caption, Drawing, Picture
from imc_bench.report.report import Report, make_report
from tests.imc_bench.worked_run import LOW_DOSE, WORKED, make_store

pytest.importorskip("matplotlib")

from imc_bench.report.accuracy_plot import accuracy_plot  # noqa: E402
from imc_bench.report.matrix_plot import matrix_plot  # noqa: E402
from imc_bench.report.perception_plots import severity_plot  # noqa: E402

NAMES = "severity recovery matrix confusion severities reliability gate cost".split()


@pytest.mark.parametrize("name", NAMES)
def test_a_picture_names_data_model_severities_and_methods(
    pictures: Mapping[str, Picture], name: str
) -> None:
    setting = pictures[name].caption.setting
    assert "data: phantom test (10 questions on 5 images)" in setting
    for part in ("model: tiny <model>", "severities 3", "methods: none, pdc, sms"):
        assert part in setting


@pytest.mark.parametrize("name", NAMES)
def test_a_picture_ends_in_one_line_that_is_a_sentence(
    pictures: Mapping[str, Picture], name: str
) -> None:
    verdict = pictures[name].caption.verdict
    assert verdict.endswith(".") and "\n" not in verdict and "nan" not in verdict


def test_the_sentences_are_computed_from_the_figures(pictures: Mapping[str, Picture]) -> None:
    said = {name: picture.caption.verdict for name, picture in pictures.items()}
    # 8 of 10 when clean, 4 under typo, 6 with sms
    assert said["severity"] == (
        "Costliest: typo 3, where accuracy is 40.0 % (80.0 % on clean inputs); with sms it is "
        "60.0 %; ocr costs under 3 points at every severity."
    )
    assert said["recovery"].startswith("No noise costs 3 points and 10 answers or more.")
    assert said["confusion"] == (
        "0 of 5 clean images were called noisy; 0.0 % of noisy images were called clean (first "
        "column); the kind was named correctly for 100.0 % of them (mean over kinds)."
    )
    assert said["matrix"] == (
        "On clean inputs 80.0 %; image: 60.0 % with noise, 70.0 % corrected; question: 60.0 % with "
        "noise, 70.0 % corrected."
    )
    assert said["cost"].startswith("Noise on the image: ")
    # ten answers of a confidence of 0.75 to clean inputs, eight of them right
    assert said["reliability"].startswith(
        "clean inputs, none: mean confidence 75.0 %, 80.0 % right"
    )


def test_a_page_has_the_panels_without_the_caption(pictures: Mapping[str, Picture]) -> None:
    for picture in pictures.values():
        whole, panels = (Image.open(io.BytesIO(png)) for png in (picture.png, picture.panels))
        assert panels.width == whole.width and panels.height < whole.height


def bodies(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """The panels of the pictures drawn from here on."""
    drawn: list[Any] = []
    finish = Drawing.picture

    def keep(self: Drawing) -> Picture:
        drawn.append(self.body)
        return finish(self)

    monkeypatch.setattr(Drawing, "picture", keep)
    return drawn


def test_accuracy_is_drawn_from_0_and_panels_without_a_loss_say_so(
    report: Report, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn = bodies(monkeypatch)
    accuracy_plot(report)
    panels = [panel for panel in drawn[0].axes if panel.get_visible()]
    assert {panel.get_ylim()[0] for panel in panels} == {0}
    written = {
        panel.get_title().split("\n")[0]: " ".join(text.get_text() for text in panel.texts)
        for panel in panels
    }
    assert "nothing to recover" in written["ocr"]
    assert "nothing to recover" not in written["typo"]
    assert all("n = 10" in panel.get_title() for panel in panels)


def test_methods_that_agree_are_all_seen(report: Report, monkeypatch: pytest.MonkeyPatch) -> None:
    drawn = bodies(monkeypatch)
    accuracy_plot(report)
    widths = {
        bars.get_label(): bars.lines[0].get_linewidth() for bars in drawn[0].axes[0].containers
    }
    assert widths["none"] < widths["pdc"] < widths["sms"]
    order = {bars.get_label(): bars.lines[0].get_zorder() for bars in drawn[0].axes[0].containers}
    assert order["none"] > order["pdc"] > order["sms"]


def test_noise_that_was_missed_has_a_column_of_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # items 0 and 1 are two questions about one image
    missed = {(LOW_DOSE, "none", n): {"perceived_kind": "clean"} for n in range(8)}
    report = make_report(make_store(tmp_path / "run.db", WORKED, change=missed))
    assert report.perception is not None
    (found,) = report.perception.severities
    assert (found.images, found.missed, found.other) == ((5,), (4,), (0,))
    drawn = bodies(monkeypatch)
    picture = severity_plot(report)
    assert picture is not None
    assert picture.caption.setting.endswith("grey: counts of under 10 images")
    assert picture.caption.verdict.startswith("Of 5 noisy images 80.0 % were called clean")
    # five images are too few for a percentage
    assert "4/5" in [text.get_text() for text in drawn[0].axes[0].texts]
    labels = [label.get_text() for label in drawn[0].axes[0].get_xticklabels()]
    assert labels[0] == "clean" and labels[-1] == "other\nkind"


def test_a_long_caption_is_wrapped_and_keeps_units_with_their_numbers() -> None:
    long = Caption("What is shown", "of what · " * 40, "it is 5 % " * 60 + "of it.")
    picture = Drawing(4, 1, long).picture()
    with (
        Image.open(io.BytesIO(picture.png)) as whole,
        Image.open(io.BytesIO(picture.panels)) as panels,
    ):
        assert panels.height < whole.height / 2


def test_the_same_figures_are_the_same_bytes(
    report: Report, pictures: Mapping[str, Picture]
) -> None:
    again = matrix_plot(report)
    assert again is not None and again.png == pictures["matrix"].png
