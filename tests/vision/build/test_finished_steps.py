"""A stopped build resumes from its finished steps and gives the same bank."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file

from tests.vision.conftest import scan
from vision.build.finished_steps import FinishedSteps, remove_steps
from vision.build.prototypes import PrototypeBank, build_bank
from vision.encoder.vision_encoder import VisionEncoder
from vision.errors import BankRefused

REFERENCES = [scan(number) for number in range(40)]


class Stopped(Exception):
    """What stops a build from outside."""


def small_bank(
    encoder: VisionEncoder, folder: Path | None, *, stop: str = "", seed: int = 0
) -> tuple[PrototypeBank, list[str]]:
    """A bank of two classes, and the steps that were reported; `stop`: raised where that begins."""
    reported: list[str] = []

    def tell(what: str, done: int, of: int) -> None:
        reported.append(what)
        if stop and what == stop:
            raise Stopped(what)

    bank = build_bank(
        encoder,
        REFERENCES,
        kinds=("low_contrast", "gaussian"),
        severities=(4,),
        more_kinds=(),
        seed=seed,
        fewest=32,
        unfinished=folder,
        progress=tell,
    )
    return bank, reported


def saved_tensors(bank: PrototypeBank, path: Path) -> dict[str, torch.Tensor]:
    bank.save(path)
    tensors: dict[str, torch.Tensor] = load_file(path)
    return tensors


@pytest.fixture
def one_thread() -> Iterator[None]:
    """Sums over several threads are not the same to the last bit from one run to the next."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.mark.slow
@pytest.mark.usefixtures("one_thread")
def test_a_resumed_build_gives_the_same_bank(encoder: VisionEncoder, tmp_path: Path) -> None:
    whole, reported = small_bank(encoder, None)
    folder = tmp_path / "bank.partial"
    for stop in ("perceive gaussian 4", "restore low_contrast", "calibrate gaussian 4", "mixtures"):
        with pytest.raises(Stopped):
            small_bank(encoder, folder, stop=stop)
    begun = encoder.forwards
    resumed, reported_again = small_bank(encoder, folder)
    assert reported_again == reported
    # nothing but the probe of the taps: all that needs whole passes had been done
    assert encoder.forwards - begun <= 2
    one = saved_tensors(whole, tmp_path / "one.safetensors")
    other = saved_tensors(resumed, tmp_path / "other.safetensors")
    assert one.keys() == other.keys()
    assert all(torch.equal(one[name], other[name]) for name in one)
    assert (tmp_path / "one.safetensors").read_bytes() == (
        tmp_path / "other.safetensors"
    ).read_bytes()


def test_an_unfinished_build_is_not_used_by_another(encoder: VisionEncoder, tmp_path: Path) -> None:
    folder = tmp_path / "bank.partial"
    with pytest.raises(Stopped):
        small_bank(encoder, folder, stop="clean references")
    with pytest.raises(BankRefused, match="unfinished build of another model"):
        small_bank(encoder, folder, seed=1)


def test_a_damaged_step_is_refused_in_a_sentence(tmp_path: Path) -> None:
    steps = FinishedSteps(tmp_path / "bank.partial", {"seed": 0})
    steps.save("clean references", {"row": torch.ones(3)})
    known = steps.load("clean references")
    assert known is not None
    assert torch.equal(known["row"], torch.ones(3))
    next((tmp_path / "bank.partial").glob("clean*")).write_bytes(b"half a file")
    with pytest.raises(BankRefused, match=r"damaged at the step 'clean references'"):
        FinishedSteps(tmp_path / "bank.partial", {"seed": 0}).load("clean references")


def test_files_that_are_no_steps_are_not_removed(tmp_path: Path) -> None:
    folder = tmp_path / "bank.partial"
    folder.mkdir()
    (folder / "notes.txt").write_text("mine")
    with pytest.raises(BankRefused, match="no unfinished build"):
        FinishedSteps(folder, {"seed": 0})
    remove_steps(folder)
    assert (folder / "notes.txt").read_text() == "mine"


def test_a_finished_build_leaves_no_folder(tmp_path: Path) -> None:
    folder = tmp_path / "bank.partial"
    FinishedSteps(folder, {"seed": 0}).save("clean", {"row": torch.ones(3)})
    remove_steps(folder)
    assert not folder.exists()


def test_a_build_killed_while_it_wrote_its_first_file_goes_on(tmp_path: Path) -> None:
    folder = tmp_path / "bank.partial"
    folder.mkdir()
    (folder / "build.json.writing").write_text('{"se')
    FinishedSteps(folder, {"seed": 0}).save("look", {"row": torch.ones(3)})
    assert FinishedSteps(folder, {"seed": 0}).has("look")


def test_a_full_disk_keeps_the_steps_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "bank.partial"
    steps = FinishedSteps(folder, {"seed": 0})
    steps.save("look", {"row": torch.ones(3)})

    def full(tensors: object, path: Path) -> None:
        raise SafetensorError("I/O error: No space left on device (os error 28)")

    monkeypatch.setattr("vision.build.finished_steps.save_file", full)
    with pytest.raises(BankRefused, match="No space left .* run the same command again"):
        steps.save("calibrate", {"row": torch.ones(3)})
    assert FinishedSteps(folder, {"seed": 0}).has("look")
