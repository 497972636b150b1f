"""`imc perceive --monitor`: a stream in, JSON lines out, an alarm when it drifts."""

from __future__ import annotations

import io
import json
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tests.conftest import Imc, Ran
from tests.imc_app.bad_files import grey_png
from tests.imc_app.test_refusals import assert_refused
from tests.vision.reading.files import fax
from vision.acquisition import AcquisitionHalf
from vision.errors import BankRefused
from vision.reading.medical_image import MedicalImage
from vision.report import NoisePerception

LINE_KEYS = {
    "index",
    "source",
    "sha256",
    "kind",
    "severity",
    "clean_p_value",
    "evidence",
    "alarm",
    "shares",
    "content_p_value",
    "new_source",
}
CLEAN_GREY, DIM_GREY, NOISY_GREY, BROKEN_GREY = 40, 100, 200, 250


class GreyCalibrator:
    """Calls an image noisy where it is bright, and refuses it where it is white.

    Grey in between it calls clean, at a p-value above its threshold that is small all the same.
    """

    def __init__(self) -> None:
        self.references = 384
        self.p_values_are_approximate = False
        self.acquisition = SimpleNamespace(digest="f00d")
        self.batches: list[int] = []

    def perceive(self, image: MedicalImage) -> NoisePerception:
        grey = int(image.rgb[0, 0, 0])
        if grey >= BROKEN_GREY:
            raise BankRefused("the encoder's features of this image are not finite")
        noisy = grey >= NOISY_GREY
        kind = "motion" if noisy else "clean"
        dim = not noisy and grey >= DIM_GREY
        p_value = 1 / 385 if noisy else 0.02 if dim else 0.6
        return NoisePerception(
            kind=kind,
            severity=3 * noisy,
            probability=0.9,
            clean_p_value=p_value,
            posterior={kind: 0.9, "unknown" if dim else "zoom": 0.1 + 0.5 * dim},
        )

    def perceive_batch(self, images: Sequence[MedicalImage]) -> list[NoisePerception]:
        self.batches.append(len(images))
        return [self.perceive(image) for image in images]


@pytest.fixture
def calibrator(monkeypatch: pytest.MonkeyPatch) -> GreyCalibrator:
    """What the command opens in place of a model."""
    stand_in = GreyCalibrator()
    monkeypatch.setattr("imc_app.session.open_perceiver", lambda *_, **__: stand_in)
    return stand_in


def grey_scan(path: Path, grey: int) -> Path:
    Image.fromarray(np.full((8, 8), grey, dtype=np.uint8)).save(path)
    return path


def scans(folder: Path, clean: int, noisy: int) -> Path:
    """`clean` dark scans and then `noisy` bright ones, numbered without leading zeros."""
    folder.mkdir(exist_ok=True)
    for number in range(clean + noisy):
        grey_scan(folder / f"{number}.png", CLEAN_GREY if number < clean else NOISY_GREY)
    return folder


def lines_of(ran: Ran) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """The lines of the images, and the summary."""
    *lines, last = [json.loads(line) for line in ran.out.splitlines()]
    assert set(last) == {"summary"}
    return lines, last["summary"]


def test_a_line_an_image_and_a_summary(
    imc: Imc, tmp_path: Path, calibrator: GreyCalibrator
) -> None:
    ran = imc("perceive", "--monitor", scans(tmp_path, 20, 0))
    assert (ran.code, ran.err) == (0, "")
    lines, summary = lines_of(ran)
    assert all(set(line) == LINE_KEYS for line in lines)
    assert [line["index"] for line in lines] == list(range(20))
    assert (summary["images"], summary["alarm"], summary["alarm_at"]) == (20, False, None)
    assert summary["counts"] == {"clean": 20}
    assert calibrator.batches == [16, 4]


def test_a_scanner_that_goes_wrong_raises_the_alarm(
    imc: Imc, tmp_path: Path, calibrator: GreyCalibrator
) -> None:
    ran = imc("perceive", "--monitor", scans(tmp_path, 20, 30), "--window", 10)
    assert ran.code == 0
    lines, summary = lines_of(ran)
    assert summary["alarm"] and 20 < summary["alarm_at"] < 40
    assert summary["change_at"] == 20
    assert summary["main_noise_since_change"] == "motion"
    first = next(line["index"] for line in lines if line["alarm"])
    assert first == summary["alarm_at"]
    assert lines[first]["evidence"] >= summary["alarm_evidence"]
    assert lines[24]["shares"] == {"clean": 0.5, "motion": 0.5}


def test_the_alarm_says_what_a_person_can_do(
    imc: Imc, tmp_path: Path, calibrator: GreyCalibrator
) -> None:
    ran = imc("perceive", "--monitor", scans(tmp_path, 20, 30))
    (said,) = ran.err.splitlines()
    _, summary = lines_of(ran)
    assert said.startswith(f"imc: alarm at image {summary['alarm_at']}, ")
    assert "images since image 20 are noisy, motion most often" in summary["action"]
    assert "have the scanner" in said and "--baseline" not in said
    assert imc("perceive", "--monitor", "--quiet", tmp_path).err == ""


def test_a_stream_without_an_alarm_asks_for_no_action(
    imc: Imc, tmp_path: Path, calibrator: GreyCalibrator
) -> None:
    ran = imc("perceive", "--monitor", scans(tmp_path, 3, 0))
    assert lines_of(ran)[1]["action"] is None


def of_another_source(folder: Path, images: int, seed: int = 0) -> Path:
    """Scans of another size that pass one by one, and are less clean than the references."""
    folder.mkdir()
    rng = np.random.default_rng(seed)
    for number in range(images):
        pixels = rng.integers(DIM_GREY, NOISY_GREY, size=(8, 16)).astype(np.uint8)
        Image.fromarray(pixels).save(folder / f"{number}.png")
    return folder


def test_good_images_of_another_source_are_no_failing_scanner(
    imc: Imc, tmp_path: Path, calibrator: GreyCalibrator
) -> None:
    known = scans(tmp_path / "a", 60, 0)
    ran = imc("perceive", "--monitor", known, of_another_source(tmp_path / "b", 30))
    (said,) = ran.err.splitlines()
    _, summary = lines_of(ran)
    assert ran.code == 0 and not summary["alarm"] and summary["alarm_at"] is None
    assert summary["cause"] == "new source" and 60 < summary["new_source_at"] < 90
    assert said.startswith(f"imc: new source at image {summary['new_source_at']}, ")
    assert "unlike that of the first 50 images" in said
    assert "collect 50 or more such pictures and give their folder as --baseline" in said


def test_a_new_source_from_the_beginning_is_reported_without_references_for_its_content(
    imc: Imc, tmp_path: Path, calibrator: GreyCalibrator
) -> None:
    ran = imc("perceive", "--monitor", of_another_source(tmp_path / "b", 60))
    _, summary = lines_of(ran)
    assert (summary["cause"], summary["alarm"]) == ("new source", False)
    assert summary["unlike_since_change"] is None
    assert "a weak noise is not excluded" in ran.err


def test_a_new_source_has_an_exit_code_of_its_own(
    imc: Imc, tmp_path: Path, calibrator: GreyCalibrator
) -> None:
    new = of_another_source(tmp_path / "b", 60)
    assert imc("perceive", "--monitor", new, "--fail-on-alarm").code == 0
    assert imc("perceive", "--monitor", new, "--fail-on-new-source").code == 4
    both = ("--fail-on-alarm", "--fail-on-new-source")
    assert imc("perceive", "--monitor", scans(tmp_path / "a", 0, 30), *both).code == 3


def test_a_stream_like_its_baseline_is_clean_whatever_is_said_of_each_image(
    imc: Imc, tmp_path: Path, calibrator: GreyCalibrator
) -> None:
    own = of_another_source(tmp_path / "own", 40)
    stream = of_another_source(tmp_path / "b", 60, seed=1)
    ran = imc("perceive", "--monitor", stream, "--baseline", own)
    lines, summary = lines_of(ran)
    assert (ran.code, ran.err, summary["cause"]) == (0, "", None)
    assert np.mean([line["baseline_p_value"] for line in lines]) > 0.3
    assert (summary["baseline"], summary["in_baseline"]) == (40, 0)
    assert "independent of each other and of the baseline's pictures" in summary["promise"]


def test_noise_in_a_source_with_a_baseline_raises_the_alarm(
    imc: Imc, tmp_path: Path, calibrator: GreyCalibrator
) -> None:
    own = of_another_source(tmp_path / "own", 40)
    noisy = scans(tmp_path / "noisy", 0, 30)
    ran = imc("perceive", "--monitor", noisy, "--baseline", own, "--fail-on-alarm")
    assert ran.code == 3 and lines_of(ran)[1]["cause"] == "noise"


def test_pictures_of_the_baseline_in_the_stream_are_counted(
    imc: Imc, tmp_path: Path, calibrator: GreyCalibrator
) -> None:
    own = of_another_source(tmp_path / "own", 40)
    assert lines_of(imc("perceive", "--monitor", own, "--baseline", own))[1]["in_baseline"] == 40


def test_repeats_and_unreadable_files_do_not_count_for_a_baseline(
    imc: Imc, tmp_path: Path, calibrator: GreyCalibrator
) -> None:
    own = of_another_source(tmp_path / "own", 29)
    (own / "again.png").write_bytes((own / "0.png").read_bytes())
    (own / "no.png").write_bytes((own / "0.png").read_bytes()[:40])
    ran = imc("perceive", "--monitor", scans(tmp_path / "a", 3, 0), "--baseline", own)
    assert (ran.code, ran.out) == (2, "")
    refused, said = ran.err.splitlines()
    assert "no.png" in refused
    assert "29 different readable pictures; give at least 30, better 50" in said


def test_a_noisy_baseline_is_noticed(
    imc: Imc, tmp_path: Path, calibrator: GreyCalibrator
) -> None:
    own = of_another_source(tmp_path / "own", 40)
    for grey in range(NOISY_GREY, NOISY_GREY + 10):
        grey_scan(own / f"bright-{grey}.png", grey)
    ran = imc("perceive", "--monitor", scans(tmp_path / "a", 3, 0), "--baseline", own)
    assert "10 of 50 pictures are called noisy one by one" in ran.err


def test_an_alarm_can_fail_the_command(
    imc: Imc, tmp_path: Path, calibrator: GreyCalibrator
) -> None:
    base = ("perceive", "--monitor", scans(tmp_path, 0, 30), tmp_path / "nowhere.png")
    assert imc(*base).code == 2
    assert imc(*base, "--fail-on-alarm").code == 3


def test_a_run_length_can_be_promised_instead(
    imc: Imc, tmp_path: Path, calibrator: GreyCalibrator
) -> None:
    ran = imc("perceive", "--monitor", scans(tmp_path, 3, 0), "--run-length", 5000)
    _, summary = lines_of(ran)
    assert summary["run_length"] == 5000
    assert "at least 5000 images" in summary["promise"]


def test_an_unreadable_image_is_named_and_the_others_go_on(
    imc: Imc, tmp_path: Path, calibrator: GreyCalibrator
) -> None:
    truncated = tmp_path / "1.png"
    scans(tmp_path, 3, 0)
    truncated.write_bytes(truncated.read_bytes()[:40])
    ran = imc("perceive", "--monitor", tmp_path)
    assert ran.code == 2
    assert len(ran.err.splitlines()) == 1 and "1.png" in ran.err
    lines, summary = lines_of(ran)
    assert [Path(line["source"]).name for line in lines] == ["0.png", "2.png"]
    assert (summary["images"], summary["refused"]) == (2, 1)


def test_a_folder_survives_every_file_in_it(
    imc: Imc, tmp_path: Path, calibrator: GreyCalibrator
) -> None:
    scans(tmp_path, 3, 0)
    (tmp_path / "0.dcm").write_bytes(bytes(128) + b"DICM\x02\x00\x00\x00UL\x04\x00\xbe\x00")
    (tmp_path / "0.tif").write_bytes(fax(damaged=True))
    (tmp_path / "1.jpg").write_bytes(b"\xff\xd8\xff\xe0 no more")
    (tmp_path / "notes.txt").write_text("no image")
    os.mkfifo(tmp_path / "pipe.png")
    ran = imc("perceive", "--monitor", tmp_path)
    assert ran.code == 2
    assert [line.split("'")[1][-5:] for line in ran.err.splitlines()] == ["0.dcm", "0.tif", "1.jpg"]
    assert lines_of(ran)[1]["images"] == 3


def test_large_images_do_not_wait_for_a_full_batch(
    imc: Imc, tmp_path: Path, calibrator: GreyCalibrator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("imc_app.perceiving.TOGETHER_PIXELS", 3 * 8 * 8)
    assert imc("perceive", "--monitor", scans(tmp_path, 7, 0)).code == 0
    assert calibrator.batches == [3, 3, 1]


def test_features_that_are_not_finite_cost_their_image_alone(
    imc: Imc, tmp_path: Path, calibrator: GreyCalibrator
) -> None:
    grey_scan(scans(tmp_path, 4, 0) / "2.png", BROKEN_GREY)
    ran = imc("perceive", "--monitor", tmp_path)
    assert ran.code == 2
    assert len(ran.err.splitlines()) == 1
    assert "2.png" in ran.err and "not finite" in ran.err
    assert lines_of(ran)[1]["images"] == 3


def test_by_name_counts_and_by_time_follows_the_clock(
    imc: Imc, tmp_path: Path, calibrator: GreyCalibrator
) -> None:
    for seconds, number in enumerate((9, 10, 1)):
        os.utime(grey_scan(tmp_path / f"{number}.png", CLEAN_GREY), (seconds, seconds))

    def order(*options: object) -> list[str]:
        lines, _ = lines_of(imc("perceive", "--monitor", tmp_path, *options))
        return [Path(line["source"]).stem for line in lines]

    assert order() == ["1", "9", "10"]
    assert order("--by", "time") == ["9", "10", "1"]


def test_paths_come_from_a_stream_and_are_answered_one_by_one(
    imc: Imc, tmp_path: Path, calibrator: GreyCalibrator, monkeypatch: pytest.MonkeyPatch
) -> None:
    paths = [tmp_path / "2.png", tmp_path / "nowhere.png", tmp_path / "0.png"]
    scans(tmp_path, 3, 0)
    content = "".join(f"{path}\n" for path in paths).encode()
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(content)))
    ran = imc("perceive", "--monitor", "-")
    lines, _ = lines_of(ran)
    assert [line["source"] for line in lines] == [str(paths[0]), str(paths[2])]
    assert ran.code == 2 and "nowhere.png" in ran.err
    assert calibrator.batches == [1, 1]


def test_an_interrupted_stream_is_summed_up(
    imc: Imc, tmp_path: Path, calibrator: GreyCalibrator, monkeypatch: pytest.MonkeyPatch
) -> None:
    image = grey_scan(tmp_path / "0.png", CLEAN_GREY)

    def typed() -> Iterator[bytes]:
        yield f"{image}\n".encode()
        raise KeyboardInterrupt

    monkeypatch.setattr("sys.stdin", typed())
    ran = imc("perceive", "--monitor", "-")
    assert ran.code == 130
    assert lines_of(ran)[1]["images"] == 1


def test_it_is_deterministic(imc: Imc, tmp_path: Path, calibrator: GreyCalibrator) -> None:
    folder = scans(tmp_path, 5, 20)
    assert imc("perceive", "--monitor", folder) == imc("perceive", "--monitor", folder)


def test_the_course_is_drawn(imc: Imc, tmp_path: Path, calibrator: GreyCalibrator) -> None:
    plot = tmp_path / "course.png"
    assert imc("perceive", "--monitor", scans(tmp_path, 5, 30), "--plot", plot).code == 0
    with Image.open(plot) as drawn:
        assert drawn.format == "PNG" and drawn.width > 400


def test_the_picture_of_a_course_ends_in_a_sentence() -> None:
    from imc_app.commands.monitor_plot import verdict
    from vision.monitor import DriftMonitor

    test = DriftMonitor(None)
    for _ in range(20):
        test.update(0.6, "clean")
    assert verdict(test).startswith("No alarm in 20 images: the evidence is at most ")
    for _ in range(20):
        test.update(0.001, "motion")
    assert test.alarm_at is not None
    said = verdict(test)
    assert said.startswith(f"Alarm at image {test.alarm_at}: ")
    assert "20 of 20 images since image 20 are noisy, motion most often (20)" in said
    assert said.endswith(".")


def test_a_long_course_is_thinned(monkeypatch: pytest.MonkeyPatch) -> None:
    from imc_app.commands import monitor_plot
    from vision.monitor import DriftStatus

    monkeypatch.setattr(monitor_plot, "POINTS", 10)
    course = monitor_plot.Course()
    for index in range(100):
        course.add(DriftStatus(index, 0.0, False, False, {"clean": 1.0}))
    assert len(course.kept) <= 10
    assert np.ptp(np.diff([one.index for one in course.kept])) == 0


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (("--monitor", "--false-alarms", 1.5), "--false-alarms"),
        (("--monitor", "--run-length", 0), "--run-length"),
        (("--monitor", "--window", 0), "--window"),
        (("--monitor", "--by", "size"), "--by"),
        (("--monitor", "--plot", "nowhere/course.png"), "--plot"),
        (("--monitor", "--plot", "course.jpg"), ".png"),
        (("--monitor", "-"), "alone"),
        (("--fail-on-alarm",), "--monitor"),
        (("--window", 20), "--monitor"),
        (("--baseline", "own"), "--monitor"),
        (("--monitor", "--baseline", "nowhere"), "no such folder"),
    ],
)
def test_what_cannot_be_monitored_is_refused(
    options: tuple[object, ...], says: str, imc: Imc, tmp_path: Path, calibrator: GreyCalibrator
) -> None:
    assert_refused(imc("perceive", scans(tmp_path, 1, 0), *options), says)


def test_a_folder_without_images_is_refused(
    imc: Imc, tmp_path: Path, calibrator: GreyCalibrator
) -> None:
    (tmp_path / "notes.txt").write_text("not an image\n")
    assert_refused(imc("perceive", "--monitor", tmp_path), "no image")


def test_matplotlib_is_asked_for_before_the_work(
    imc: Imc, tmp_path: Path, calibrator: GreyCalibrator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("imc_app.commands.monitor_plot.find_spec", lambda name: None)
    plot = tmp_path / "course.png"
    ran = imc("perceive", "--monitor", scans(tmp_path, 1, 0), "--plot", plot)
    assert_refused(ran, "matplotlib", "pip install")


def test_without_a_model_a_stream_is_compared_with_every_origins_references(
    imc: Imc, tmp_path: Path
) -> None:
    ran = imc("perceive", "--monitor", grey_png(tmp_path))
    assert ran.code == 0
    _, summary = lines_of(ran)
    assert summary["references"] == sum(AcquisitionHalf.shipped().origins.values())
    assert "the acquisition half's references" in summary["promise"]


def test_the_encoders_witness_is_compared_with_the_model_halfs_references(
    imc: Imc, tmp_path: Path, tiny_llava: Path, tiny_bank: Path
) -> None:
    ran = imc(
        *("perceive", "--monitor", grey_png(tmp_path), "--stages", "features"),
        *("--model", tiny_llava, "--prototypes", tiny_bank),
    )
    assert ran.code == 0
    assert lines_of(ran)[1]["references"] == 16
