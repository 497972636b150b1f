"""Pictures of origins left out: outcomes worked by hand, their figures, aims and page."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.conftest import REPOSITORY
from vision.reading.medical_image import MedicalImage
from vision.report import NoisePerception

sys.path.append(str(REPOSITORY / "benchmarks"))

from origins.document import document  # noqa: E402
from origins.outcomes import (  # noqa: E402
    Corruption,
    Outcome,
    measure_origin,
    own_corruptions,
    unmatched_corruptions,
)
from origins.page import aims, make_page  # noqa: E402
from origins.stored import measured, stored_outcomes  # noqa: E402
from origins.summary import clean_touched, figures, worst_outcomes  # noqa: E402

LEFT = Outcome(
    origin="busi",
    image="a",
    kind="gaussian",
    severity=3,
    touched=False,
    declined="",
    found="clean",
    p_value=0.5,
    predicted_share=None,
    noisy_error=99.0,
    left_error=99.0,
    feature_ratio=None,
)
CLEAN = replace(LEFT, kind="clean", severity=0, noisy_error=0.0, left_error=0.0)
DECLINED = replace(LEFT, image="b", declined="not surely nearer to clean")
HALVED = replace(LEFT, image="c", touched=True, found="gaussian", left_error=49.0)
WORSENED = replace(LEFT, image="d", touched=True, found="motion", left_error=199.0)


@dataclass(frozen=True)
class _Restored:
    image: MedicalImage
    perception: NoisePerception
    declined: str = ""
    predicted_share: float | None = 0.5


class _Darkens:
    """Takes everything whose mean is above 100 for too bright by 20 levels."""

    def restore_batch(self, images: Sequence[MedicalImage]) -> list[_Restored]:
        return [_Restored(self._changed(image), self._found(image)) for image in images]

    def _changed(self, image: MedicalImage) -> MedicalImage:
        bright = image.rgb.mean() > 100.0
        return MedicalImage.from_rgb(image.rgb - np.uint8(20)) if bright else image

    def _found(self, image: MedicalImage) -> NoisePerception:
        kind = "brightness_up" if image.rgb.mean() > 100.0 else "clean"
        return NoisePerception(
            kind=kind, severity=0, probability=1.0, clean_p_value=0.5, posterior={kind: 1.0}
        )


@pytest.fixture
def grey_files(tmp_path: Path) -> list[tuple[str, Path]]:
    """Two pictures of one grey level each, 90 (left alone) and 120 (taken for noisy)."""
    files = []
    for level in (90, 120):
        file = tmp_path / f"{level}.png"
        Image.new("RGB", (40, 20), (level,) * 3).save(file)
        files.append((file.name, file))
    return files


def brighter(by: int) -> Corruption:
    return Corruption("brighter", by, lambda rgb, name: rgb + np.uint8(by))


def test_a_picture_is_measured_clean_and_noisy_at_its_size(
    grey_files: list[tuple[str, Path]],
) -> None:
    found = list(measure_origin(_Darkens(), "busi", grey_files, 10, [brighter(20)]))
    (clean, noisy), (alarm, _) = found
    assert (clean.kind, clean.touched, clean.found) == ("clean", False, "clean")
    assert (noisy.kind, noisy.severity, noisy.touched) == ("brighter", 20, True)
    assert (noisy.noisy_error, noisy.left_error) == (400.0, 0.0)
    assert noisy.ratio == pytest.approx(1.0 / 401.0)
    assert (alarm.kind, alarm.touched, alarm.left_error) == ("clean", True, 400.0)


def test_draws_of_a_picture_depend_on_its_name_alone() -> None:
    (gaussian,) = own_corruptions(["gaussian"], [3])
    rgb = np.full((8, 8, 3), 90, np.uint8)
    assert np.array_equal(gaussian.corrupt(rgb, "a"), gaussian.corrupt(rgb, "a"))
    assert not np.array_equal(gaussian.corrupt(rgb, "a"), gaussian.corrupt(rgb, "b"))


def test_noises_of_other_makers_keep_the_size_of_any_picture() -> None:
    rgb = np.random.default_rng(0).integers(0, 255, (30, 37, 3)).astype(np.uint8)
    for one in unmatched_corruptions():
        assert one.corrupt(rgb.copy(), "a").shape == rgb.shape, one.kind


def test_figures_of_one_origin_by_hand() -> None:
    found = figures([CLEAN, LEFT, DECLINED, HALVED, WORSENED])
    assert found is not None
    assert found.pictures == 4
    shares = (found.restored.value, found.declined.value, found.left_as_clean.value)
    assert shares == (0.5, 0.25, 0.25)
    assert found.median is not None and found.median.value == pytest.approx(0.5)
    assert found.upper is not None and found.upper.value == pytest.approx(2.0)
    assert found.worse is not None and found.worse.value == 0.5
    assert found.worst == pytest.approx(2.0)
    assert found.features is None


def test_several_origins_count_alike_whatever_their_number_of_pictures() -> None:
    many = [replace(HALVED, origin="bccd", image=str(number)) for number in range(9)]
    found = figures([LEFT, *many])
    assert found is not None and found.restored.value == 0.5
    assert found.worse is not None and found.worse.value == 0.0


def test_nothing_restored_has_no_ratio() -> None:
    found = figures([LEFT, DECLINED])
    assert found is not None
    assert (found.median, found.worse, found.worst) == (None, None, None)
    assert figures([CLEAN]) is None


def test_features_have_the_median_of_their_own_ratio() -> None:
    found = figures([replace(HALVED, image=str(n), feature_ratio=n / 10) for n in (1, 2, 9)])
    assert found is not None and found.features is not None
    assert found.features.value == pytest.approx(0.2)


def test_clean_pictures_touched_are_counted_apart() -> None:
    touched = clean_touched([CLEAN, replace(CLEAN, image="b", touched=True), WORSENED])
    assert touched is not None and touched.value == 0.5
    assert clean_touched([LEFT]) is None


def test_the_worst_come_first() -> None:
    assert worst_outcomes([HALVED, LEFT, WORSENED], 2) == [WORSENED, HALVED]


def test_aims_are_met_or_missed() -> None:
    film = replace(HALVED, origin="kermany-pediatric-cxr", left_error=39.0)
    by_name = {aim.name: aim for aim in aims([CLEAN, WORSENED, film])}
    assert by_name["clean pictures touched, over all"].met
    assert by_name["radiographs, CT and MR at severity 3: restored"].met
    assert by_name["there, gaussian: median error left"].met
    assert by_name["there, bias_field: median error left"].met is None
    harm = by_name["severity 3, any domain: worse, of those restored"]
    assert (harm.met, "ultrasound" in harm.reached) == (False, True)
    assert by_name["severity 3, any domain: worst"].reached.startswith("2.00")


def test_the_page_holds_every_origin_and_size_and_no_folder() -> None:
    page = make_page(
        {112: [CLEAN, LEFT, HALVED], 336: [CLEAN, WORSENED]},
        ground="two origins",
        command="run",
        fitted=("Some", "Of a half fitted on others."),
    )
    assert page.startswith("# Some\n")
    assert page.count("| busi |") == 2 + 2  # in the tables of origins and of worst restorations
    assert "## At 112 px" in page
    assert "## At 336 px" in page
    assert "mean over origins" in page


def test_the_document_is_json_of_the_same_figures() -> None:
    written = json.loads(json.dumps(document({112: [CLEAN, LEFT, HALVED]})))
    of_size = written["112"]
    assert of_size["origins"]["busi"]["restored"]["value"] == 0.5
    assert of_size["origins"]["busi"]["clean_touched"]["items"] == 1
    assert of_size["kinds"][0]["kind"] == "gaussian"
    assert of_size["domains"][0]["domain"] == "ultrasound"


def test_a_stopped_measurement_goes_on_after_its_last_whole_picture(tmp_path: Path) -> None:
    file = tmp_path / "work" / "busi.jsonl"
    measured: list[str] = []

    def measure(there: frozenset[str], names: Sequence[str]) -> Iterator[list[Outcome]]:
        for name in names:
            if name not in there:
                measured.append(name)
                yield [replace(CLEAN, image=name), replace(LEFT, image=name)]

    stored_outcomes(file, 2, lambda there: measure(there, ["a", "b"]))
    whole = file.read_text(encoding="utf-8")
    file.write_text(whole[: len(whole) - 9], encoding="utf-8")  # stopped within a line of b
    found = stored_outcomes(file, 2, lambda there: measure(there, ["a", "b", "c"]))
    assert measured == ["a", "b", "b", "c"]
    assert [one.image for one in found] == ["a", "a", "b", "b", "c", "c"]
    assert stored_outcomes(file, 2, lambda there: iter(())) == found


def test_a_half_is_asked_for_only_where_something_is_to_be_measured(
    tmp_path: Path, grey_files: list[tuple[str, Path]]
) -> None:
    asked: list[str] = []

    def half_for(origin: str) -> _Darkens:
        asked.append(origin)
        return _Darkens()

    def measure(files: list[tuple[str, Path]], code: str) -> list[Outcome]:
        return measured(half_for, "busi", dict(files), 10, [brighter(20)], None, tmp_path, code)

    assert len(measure(grey_files, "one fit")) == 4
    assert [one.image for one in measure(grey_files[:1], "one fit")] == ["90.png"] * 2
    assert asked == ["busi"]
    measure(grey_files, "another fit")
    assert asked == ["busi"] * 2
