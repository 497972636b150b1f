"""Results of finished steps, from which a stopped build resumes."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors import SafetensorError

from vision.build.finished_steps import FinishedSteps, remove_steps
from vision.errors import BankRefused


def test_an_unfinished_build_is_not_used_by_another(tmp_path: Path) -> None:
    folder = tmp_path / "half.partial"
    FinishedSteps(folder, {"seed": 0}).save("clean views", {"row": torch.ones(3)})
    with pytest.raises(BankRefused, match="unfinished build of another model"):
        FinishedSteps(folder, {"seed": 1})


def test_a_damaged_step_is_refused_in_a_sentence(tmp_path: Path) -> None:
    steps = FinishedSteps(tmp_path / "half.partial", {"seed": 0})
    steps.save("clean references", {"row": torch.ones(3)})
    known = steps.load("clean references")
    assert known is not None
    assert torch.equal(known["row"], torch.ones(3))
    next((tmp_path / "half.partial").glob("clean*")).write_bytes(b"half a file")
    with pytest.raises(BankRefused, match=r"damaged at the step 'clean references'"):
        FinishedSteps(tmp_path / "half.partial", {"seed": 0}).load("clean references")


def test_files_that_are_no_steps_are_not_removed(tmp_path: Path) -> None:
    folder = tmp_path / "half.partial"
    folder.mkdir()
    (folder / "notes.txt").write_text("mine")
    with pytest.raises(BankRefused, match="no unfinished build"):
        FinishedSteps(folder, {"seed": 0})
    remove_steps(folder)
    assert (folder / "notes.txt").read_text() == "mine"


def test_a_finished_build_leaves_no_folder(tmp_path: Path) -> None:
    folder = tmp_path / "half.partial"
    FinishedSteps(folder, {"seed": 0}).save("clean", {"row": torch.ones(3)})
    remove_steps(folder)
    assert not folder.exists()


def test_a_build_killed_while_it_wrote_its_first_file_goes_on(tmp_path: Path) -> None:
    folder = tmp_path / "half.partial"
    folder.mkdir()
    (folder / "build.json.writing").write_text('{"se')
    FinishedSteps(folder, {"seed": 0}).save("clean", {"row": torch.ones(3)})
    assert FinishedSteps(folder, {"seed": 0}).has("clean")


def test_a_full_disk_keeps_the_steps_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "half.partial"
    steps = FinishedSteps(folder, {"seed": 0})
    steps.save("clean", {"row": torch.ones(3)})

    def full(tensors: object, path: Path) -> None:
        raise SafetensorError("I/O error: No space left on device (os error 28)")

    monkeypatch.setattr("vision.build.finished_steps.save_file", full)
    with pytest.raises(BankRefused, match="No space left .* run the same command again"):
        steps.save("calibrate", {"row": torch.ones(3)})
    assert FinishedSteps(folder, {"seed": 0}).has("clean")
