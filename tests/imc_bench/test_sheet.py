"""The contact sheet: the pictures of a run, their SSIM, and the remarks on them."""

from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from imc_bench.conditions import Condition, RunRefused
from imc_bench.sheet import TILE, Sheet, SheetRequest, SheetRow, make_sheet, sheet_document
from imc_bench.sheet_drawing import ROWS_A_PAGE, draw_pages, page_paths, verdict
from imc_noise import CORE_IMAGE, CORE_TEXT, EXTENDED_IMAGE, UnknownNoise, get_noise
from tests.conftest import REPOSITORY
from vision.reading.medical_image import MedicalImage, read_image

pytest.importorskip("skimage", reason="SSIM needs scikit-image (extra: bench)")

CORE = SheetRequest(("core",))
AT_INPUT = replace(CORE, noise_at="input")


@pytest.fixture(scope="module")
def phantom() -> MedicalImage:
    return read_image(REPOSITORY / "examples" / "phantom_ct.png")


def picture(png: bytes) -> Image.Image:
    return Image.open(io.BytesIO(png))


def test_a_sheet_shows_every_image_noise_of_both_suites(phantom: MedicalImage) -> None:
    made = make_sheet(phantom, SheetRequest(noise_at="input", size=32))
    assert tuple(row.name for row in made.rows) == CORE_IMAGE + EXTENDED_IMAGE
    assert all(len(row.ssim) == len(row.tiles) == 5 for row in made.rows)
    assert not made.questions


def test_a_tile_is_the_picture_that_a_run_would_show(phantom: MedicalImage) -> None:
    made = make_sheet(phantom, replace(AT_INPUT, noises=("motion",), seed=7))
    small = Image.fromarray(phantom.rgb).resize((112, 112), Image.Resampling.BICUBIC)
    shown = Condition("motion", 4).corrupt_image(np.asarray(small), phantom.sha256, 7)
    doubled = shown.repeat(2, axis=0).repeat(2, axis=1)  # displayed at twice its size
    np.testing.assert_array_equal(made.rows[0].tiles[3], doubled)


def test_the_same_sheet_is_the_same_bytes_and_another_seed_another(phantom: MedicalImage) -> None:
    first, again, other = (
        draw_pages(make_sheet(phantom, replace(AT_INPUT, seed=seed))) for seed in (0, 0, 1)
    )
    assert first == again != other


@pytest.mark.parametrize(
    ("request_", "size"),
    [
        (replace(CORE, noises=("jpeg",)), (512, 256)),
        (replace(CORE, noises=("jpeg",), noise_at="native"), (600, 300)),
        (replace(AT_INPUT, noises=("jpeg",)), (112, 112)),
        (replace(AT_INPUT, noises=("jpeg",), size=224), (224, 224)),
    ],
)
def test_noise_is_put_where_it_was_asked_for(request_: SheetRequest, size: tuple[int, int]) -> None:
    wide = MedicalImage.from_rgb(np.full((300, 600, 3), 90, np.uint8))
    made = make_sheet(wide, request_)
    assert (made.width, made.height) == size
    assert max(made.rows[0].tiles[0].shape) <= TILE


def test_a_picture_smaller_than_its_captions_is_drawn_all_the_same() -> None:
    tiny = MedicalImage.from_rgb(np.full((8, 300, 3), 90, np.uint8))
    (page,) = draw_pages(make_sheet(tiny, replace(CORE, noises=("jpeg", "saturate"))))
    assert picture(page).width > 6 * TILE


def test_a_sheet_is_pages_that_are_legible_at_their_own_size(phantom: MedicalImage) -> None:
    made = make_sheet(phantom, replace(AT_INPUT, noises=("core", "jpeg", "saturate")))
    pages = [picture(page) for page in draw_pages(made)]
    assert len(made.rows) > ROWS_A_PAGE and len(pages) == 2
    for page in pages:
        assert page.width <= 1600 and page.height <= 1800
    assert {page.width for page in pages} == {pages[0].width}
    names = [path.name for path in page_paths(Path("out/sheet.png"), len(made.rows))]
    assert names == ["sheet.png", "sheet-2.png"]


def test_no_colour_of_a_sheet_of_a_grey_image_is_mistaken_for_a_fault(
    phantom: MedicalImage,
) -> None:
    (page,) = draw_pages(make_sheet(phantom, replace(AT_INPUT, noises=("saturate",))))
    pixels = np.asarray(picture(page).convert("RGB")).astype(int)
    assert np.ptp(pixels, axis=2).max() == 0


def test_the_verdict_names_the_noise_that_changes_most(phantom: MedicalImage) -> None:
    made = make_sheet(phantom, replace(AT_INPUT, noises=("jpeg", "saturate")))
    jpeg, saturate = made.rows
    assert verdict(made) == (
        f"At severity 5 jpeg changes the picture most (SSIM {jpeg.ssim[-1]:.2f}), saturate least "
        f"({saturate.ssim[-1]:.2f})."
    )


def row_of(*ssim: float, name: str = "gaussian", changes: bool = True) -> SheetRow:
    return SheetRow((get_noise(name),), (), ssim, changes)


def remarks(row: SheetRow, *, grey: bool = True) -> tuple[str, ...]:
    clean = np.zeros((1, 1, 3), np.uint8)
    return Sheet("", 1, 1, grey, "native", 0, clean, (row,)).remarks(row)


def test_a_row_that_rises_is_called_not_monotone() -> None:
    assert remarks(row_of(0.9, 0.8, 0.8, 0.7, 0.6)) == ()
    assert remarks(row_of(0.9, 0.8, 0.81, 0.7, 0.6)) == ("SSIM not falling",)


def test_a_noise_whose_severities_were_not_set_by_ssim_says_so() -> None:
    assert remarks(row_of(0.9, 0.8, 0.7, 0.6, 0.5, name="jpeg")) == ("not set by SSIM",)


def test_saturation_has_no_effect_on_a_grey_image_and_some_on_colour(
    phantom: MedicalImage,
) -> None:
    request = replace(AT_INPUT, noises=("saturate",))
    grey = make_sheet(phantom, request)
    assert grey.remarks(grey.rows[0]) == ("no effect on grey", "not set by SSIM")
    assert grey.rows[0].ssim == (1.0,) * 5
    colour = make_sheet(read_image(REPOSITORY / "examples" / "phantom_dermoscopy.png"), request)
    assert colour.remarks(colour.rows[0]) == ("not set by SSIM",)


def test_a_question_is_shown_under_every_text_noise_where_there_is_one(
    phantom: MedicalImage,
) -> None:
    made = make_sheet(phantom, replace(AT_INPUT, question="Is there a lesion in the left lung?"))
    assert tuple(row.noise.name for row in made.questions) == CORE_TEXT
    assert all(made.questions[0].corrupted[i] for i in range(5))
    assert "lesion" not in repr(made)
    document = sheet_document(made)
    assert document["questions"][0]["corrupted"] == list(made.questions[0].corrupted)
    assert document["rows"][0]["ssim"] == list(made.rows[0].ssim)


def test_noises_one_upon_the_other_make_one_row(phantom: MedicalImage) -> None:
    made = make_sheet(phantom, replace(AT_INPUT, noises=("gaussian+pixelate",)))
    (row,) = made.rows
    assert (row.name, row.recoverable) == ("gaussian+pixelate", False)
    assert "not set by SSIM" in made.remarks(row)


def test_progress_counts_every_picture(phantom: MedicalImage) -> None:
    calls: list[tuple[int, int]] = []
    make_sheet(phantom, AT_INPUT, lambda done, total: calls.append((done, total)))
    assert calls == [(number, 30) for number in range(1, 31)]


@pytest.mark.parametrize(
    ("request_", "said"),
    [
        (replace(CORE, noises=("core-text",)), "needs an image noise"),
        (replace(CORE, noises=("gaussian", "blank")), "no noise but a control"),
        (replace(CORE, noises=("gaussian+typo",)), "name them apart"),
        (replace(AT_INPUT, size=8), "16 to 2048"),
        (replace(AT_INPUT, size=4096), "16 to 2048"),
        (replace(CORE, size=64), "add the noise at input"),
    ],
)
def test_what_no_sheet_can_show_is_refused(
    phantom: MedicalImage, request_: SheetRequest, said: str
) -> None:
    with pytest.raises(RunRefused, match=said):
        make_sheet(phantom, request_)


def test_an_unknown_noise_and_an_image_under_the_window_are_refused() -> None:
    small = MedicalImage.from_rgb(np.zeros((6, 40, 3), np.uint8))
    with pytest.raises(UnknownNoise, match="fog"):
        make_sheet(small, replace(CORE, noises=("fog",)))
    with pytest.raises(RunRefused, match="window of 7"):
        make_sheet(small, CORE)


def test_mean_ssim_of_the_core_falls_on_real_images(data_folder: Path) -> None:
    paths = sorted((data_folder / "slake" / "imgs").glob("*/source.jpg"))[::40]
    sheets = [
        make_sheet(read_image(path), replace(AT_INPUT, noises=("core-image",))) for path in paths
    ]
    means = np.mean([[row.ssim for row in sheet.rows] for sheet in sheets], axis=0)
    assert means.shape == (len(CORE_IMAGE), 5)
    assert (np.diff(means, axis=1) < 0).all(), means
