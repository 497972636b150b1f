"""`imc restore`: pictures that were surely made better, and nothing else."""

from __future__ import annotations

import csv
import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from PIL import Image

from tests.conftest import Imc
from tests.imc_app.test_refusals import assert_refused
from vision.errors import BankRefused
from vision.reading.medical_image import MedicalImage
from vision.report import NoisePerception

CLEAN_GREY, UNSURE_GREY, NOISY_GREY, BROKEN_GREY = 40, 100, 200, 250


@dataclass
class Restored:
    """What the stand-in gives of a picture."""

    image: MedicalImage
    perception: NoisePerception | None
    rounds: list[str] = field(default_factory=list)
    predicted_share: float | None = None
    declined: str = ""

    @property
    def restored(self) -> bool:
        return bool(self.rounds)


class HalfByGrey:
    """Restores bright pictures to black, declines grey ones, and finds dark ones clean."""

    target = 0

    @classmethod
    def shipped(cls) -> HalfByGrey:
        return cls()

    def restore_batch(self, images: Sequence[MedicalImage]) -> list[Restored]:
        return [self.restore(image) for image in images]

    def restore(self, image: MedicalImage) -> Restored:
        grey = int(image.rgb[0, 0, 0])
        if grey >= BROKEN_GREY:
            raise BankRefused("this picture cannot be restored")
        noisy = grey >= UNSURE_GREY
        kind = "motion" if noisy else "clean"
        found = NoisePerception(
            kind=kind,
            severity=3 * noisy,
            probability=0.9,
            clean_p_value=0.001 if noisy else 0.6,
            posterior={kind: 0.9},
        )
        if grey < NOISY_GREY:
            return Restored(image, found, declined="not sure" if noisy else "")
        black = MedicalImage.from_rgb(np.full_like(image.rgb, self.target))
        return Restored(black, found, ["motion 3"], 0.75)


@pytest.fixture(autouse=True)
def half(monkeypatch: pytest.MonkeyPatch) -> type[HalfByGrey]:
    """What the command restores with, in place of the acquisition half."""
    module = ModuleType("vision.acquisition")
    module.AcquisitionHalf = HalfByGrey  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "vision.acquisition", module)
    return HalfByGrey


def scan(path: Path, grey: int) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.full((8, 12), grey, dtype=np.uint8)).save(path)
    return path


@pytest.fixture
def scans(tmp_path: Path) -> Path:
    """Three pictures: clean, unsure and noisy."""
    folder = tmp_path / "in"
    for name, grey in (("a", CLEAN_GREY), ("b", UNSURE_GREY), ("deep/c", NOISY_GREY)):
        scan(folder / f"{name}.tif", grey)
    return folder


def table(out: Path) -> dict[str, dict[str, str]]:
    """Rows by name of the file."""
    with (out / "restore.csv").open(encoding="utf-8") as lines:
        return {Path(row["file"]).name: row for row in csv.DictReader(lines)}


def written(out: Path) -> list[str]:
    return sorted(path.relative_to(out).as_posix() for path in out.rglob("*") if path.is_file())


def test_only_what_was_restored_is_written_and_the_table_has_every_file(
    imc: Imc, scans: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    ran = imc("restore", scans, "--out", out)
    assert (ran.code, ran.err) == (0, "")
    assert "1 of 3 images restored, 1 clean, 1 declined, 0 refused" in ran.out
    assert written(out) == ["deep/c.png", "restore.csv"]
    with Image.open(out / "deep" / "c.png") as restored:
        assert (restored.format, restored.size, restored.info) == ("PNG", (12, 8), {})
    rows = table(out)
    assert [rows[name]["decision"] for name in ("a.tif", "b.tif", "c.tif")] == [
        *("clean", "declined", "restored")
    ]
    assert rows["b.tif"]["reason"] == "not sure"
    c = rows["c.tif"]
    assert (c["kind"], c["severity"], c["p_value"], c["predicted_share"]) == (
        *("motion", "3", "0.001", "0.75"),
    )


def test_no_model_is_loaded(
    imc: Imc, scans: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(*_: object, **__: object) -> None:
        raise AssertionError("a model was loaded")

    monkeypatch.setattr("imc_agents.chat.loading.load_local_mllm", refused)
    assert imc("restore", scans, "--out", tmp_path / "out").code == 0


def test_the_same_command_may_be_run_again(imc: Imc, scans: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    first = imc("restore", scans, "--out", out)
    content = (out / "restore.csv").read_bytes()
    assert imc("restore", scans, "--out", out) == first
    assert (out / "restore.csv").read_bytes() == content


def test_a_later_run_replaces_and_removes_what_an_earlier_one_wrote(
    imc: Imc, scans: Path, tmp_path: Path, half: type[HalfByGrey], monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out"
    imc("restore", scans, "--out", out)
    monkeypatch.setattr(half, "target", 9)
    assert imc("restore", scans, "--out", out).code == 0
    with Image.open(out / "deep" / "c.png") as restored:
        assert restored.getpixel((0, 0)) == 9
    scan(scans / "deep" / "c.tif", CLEAN_GREY)
    imc("restore", scans, "--out", out)
    assert written(out) == ["restore.csv"]


def test_a_file_of_another_origin_is_neither_replaced_nor_removed(
    imc: Imc, scans: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    other = scan(out / "deep" / "c.png", 77)
    before = other.read_bytes()
    ran = imc("restore", scans, "--out", out)
    assert ran.code == 2 and "another file is there" in ran.err
    assert table(out)["c.tif"]["decision"] == "refused"
    scan(scans / "deep" / "c.tif", CLEAN_GREY)
    imc("restore", scans, "--out", out)
    assert other.read_bytes() == before


def test_originals_are_never_overwritten_in_their_own_folder(imc: Imc, tmp_path: Path) -> None:
    image = scan(tmp_path / "c.png", NOISY_GREY)
    before = image.read_bytes()
    link = tmp_path / "link"
    link.symlink_to(tmp_path)
    for out in (tmp_path, link):
        assert imc("restore", image, "--out", out).code == 2
        assert image.read_bytes() == before
        assert_refused(imc("restore", tmp_path, "--out", out), "--out")
    assert_refused(imc("restore", tmp_path, "--out", tmp_path / "inside"), "lies in")


def test_a_link_inside_the_folder_leads_nowhere(imc: Imc, scans: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    (out / "deep").symlink_to(scans / "deep")
    assert imc("restore", scans, "--out", out).code == 2
    assert [path.name for path in (scans / "deep").iterdir()] == ["c.tif"]


def test_pictures_of_one_name_are_kept_apart_or_refused(imc: Imc, tmp_path: Path) -> None:
    folder, out = tmp_path / "in", tmp_path / "out"
    for name in ("c.tif", "c.jpg", "d.tif", "sub/d.tif"):
        scan(folder / name, NOISY_GREY)
    assert imc("restore", folder, "--out", out).code == 0
    assert written(out) == ["c.jpg.png", "c.tif.png", "d.png", "restore.csv", "sub/d.png"]
    ran = imc("restore", folder / "d.tif", folder / "sub" / "d.tif", "--out", tmp_path / "two")
    assert_refused(ran, "have one name")
    assert imc("restore", folder / "d.tif", folder, "--out", tmp_path / "three").code == 0


def test_bad_files_get_a_row_and_do_not_stop_the_rest(
    imc: Imc, scans: Path, tmp_path: Path
) -> None:
    (scans / "bad.png").write_bytes((scans / "a.tif").read_bytes()[:40])
    scan(scans / "broken.png", BROKEN_GREY)
    out = tmp_path / "out"
    ran = imc("restore", scans, scans / "nowhere.png", "--out", out)
    assert ran.code == 2 and len(ran.err.splitlines()) == 3
    rows = table(out)
    refused = [name for name, row in rows.items() if row["decision"] == "refused"]
    assert refused == ["bad.png", "broken.png", "nowhere.png"]
    assert "cannot be restored" in rows["broken.png"]["reason"]
    assert rows["c.tif"]["decision"] == "restored"


@pytest.mark.parametrize("content", ["patients,beds\n", "patients,beds\n1,2\n", "\0", "file\n"])
def test_another_table_is_not_replaced(
    imc: Imc, scans: Path, tmp_path: Path, content: str
) -> None:
    out = tmp_path / "out"
    out.mkdir()
    (out / "restore.csv").write_text(content)
    assert_refused(imc("restore", scans, "--out", out), "not this command's")
    assert (out / "restore.csv").read_text() == content


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_that_cannot_be_made_is_refused(imc: Imc, scans: Path, tmp_path: Path) -> None:
    (tmp_path / "locked").mkdir(mode=0o500)
    assert_refused(imc("restore", scans, "--out", tmp_path / "locked" / "out"), "cannot be made")


def test_paths_on_stdin_and_folders_without_images_are_refused(imc: Imc, tmp_path: Path) -> None:
    assert_refused(imc("restore", "-", "--out", tmp_path / "out"), "stdin")
    (tmp_path / "empty").mkdir()
    assert_refused(imc("restore", tmp_path / "empty", "--out", tmp_path / "out"), "no image")
