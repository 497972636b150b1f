"""No command writes over what it reads, over a model or bank, or to a device."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from PIL import Image

from imc_app.outputs import OutputKind, check_output, check_output_folder
from imc_app.refusals import InputRefused
from imc_core.files import replace_file, replacing
from tests.conftest import Imc


def _png(path: Path) -> Path:
    Image.new("L", (24, 24), 90).save(path)
    return path


def test_a_new_file_and_an_earlier_output_may_be_written(tmp_path: Path) -> None:
    check_output("--out", tmp_path / "new.png", OutputKind.PNG)
    check_output("--out", _png(tmp_path / "old.png"), OutputKind.PNG)


@pytest.mark.parametrize("way", ["as it is", "through a link", "by a hard link", "by its folder"])
def test_an_input_is_never_an_output(way: str, tmp_path: Path) -> None:
    folder = tmp_path / "scans"
    folder.mkdir()
    out = scan = _png(folder / "ct.png")
    if way == "through a link":
        out = tmp_path / "link.png"
        out.symlink_to(scan)
    elif way == "by a hard link":
        out = tmp_path / "other.png"
        os.link(scan, out)
    reads = folder if way == "by its folder" else scan
    with pytest.raises(InputRefused, match="read by this command"):
        check_output("--out", out, OutputKind.PNG, inputs=(None, reads))


@pytest.mark.parametrize(
    ("place", "says"),
    [
        ("/dev/null", "device"),
        ("folder.png", "is a folder"),
        ("nowhere/new.png", "does not exist"),
        ("dangling.png", "leads nowhere"),
        ("pipe.png", "special file"),
        ("weights.png", "no PNG picture"),
    ],
)
def test_what_is_no_place_for_a_picture_is_refused(place: str, says: str, tmp_path: Path) -> None:
    (tmp_path / "folder.png").mkdir()
    (tmp_path / "dangling.png").symlink_to(tmp_path / "gone")
    os.mkfifo(tmp_path / "pipe.png")
    (tmp_path / "weights.png").write_bytes(b"\x08\0\0\0\0\0\0\0{}      ")
    kind = OutputKind.STORE if place.startswith("/dev") else OutputKind.PNG
    with pytest.raises(InputRefused, match=says) as refusal:
        check_output("--plot", tmp_path / place, kind)
    assert str(refusal.value).startswith("--plot ")


def test_a_folder_of_outputs_is_no_model(tmp_path: Path, tiny_llava: Path) -> None:
    check_output_folder("--out", tmp_path / "new")
    check_output_folder("--out", tmp_path)
    for wrong in (tiny_llava, tiny_llava / "config.json"):
        with pytest.raises(InputRefused, match="--out"):
            check_output_folder("--out", wrong)


def test_a_bank_never_replaces_weights(imc: Imc, tiny_llava: Path, tmp_path: Path) -> None:
    _png(tmp_path / "ct.png")
    weights = tiny_llava / "model.safetensors"
    before = weights.read_bytes()
    ran = imc(
        *("prototypes", "build", "--model", tiny_llava, "--images", tmp_path, "--out", weights)
    )
    assert ran.code == 2 and "overwritten" in ran.err and ran.err.count("\n") == 1
    assert weights.read_bytes() == before


def test_a_half_of_another_model_is_not_replaced(
    imc: Imc, tiny_llava: Path, clean_images: Path, embedded_model: Path, tmp_path: Path
) -> None:
    out = tmp_path / "bank.safetensors"
    before = (embedded_model / "prototypes.safetensors").read_bytes()
    out.write_bytes(before)
    ran = imc("prototypes", "build", "--model", tiny_llava, "--images", clean_images, "--out", out)
    assert ran.code == 2 and "of another model" in ran.err.splitlines()[-1]
    assert out.read_bytes() == before


def test_text_is_not_written_over_a_models_settings(tiny_llava: Path) -> None:
    for name in ("config.json", "processor_config.json", "chat_template.jinja"):
        with pytest.raises(InputRefused, match="overwritten"):
            check_output("--out", tiny_llava / name, OutputKind.TEXT)


def test_a_sheet_and_a_plot_never_replace_their_images(imc: Imc, tmp_path: Path) -> None:
    scan = _png(tmp_path / "000.png")
    before = scan.read_bytes()
    sheet = imc("bench", "sheet", scan, "--out", scan)
    plot = imc("perceive", "--monitor", tmp_path, "--plot", scan)
    for ran in (sheet, plot):
        assert ran.code == 2 and "overwritten" in ran.err and ran.err.count("\n") == 1
    assert scan.read_bytes() == before


def test_a_write_that_fails_leaves_the_old_file(tmp_path: Path) -> None:
    target = tmp_path / "bank"
    replace_file(target, "old")
    with pytest.raises(OSError), replacing(target) as writing:
        writing.write_text("half")
        raise OSError("no space left on device")
    assert target.read_text() == "old"
    assert [path.name for path in tmp_path.iterdir()] == ["bank"]
