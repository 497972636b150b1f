"""Clean images by origin, from small folders of the published layouts."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from PIL import Image

from imc_data import DataRefused, clean_origins


def _picture(file: Path) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    Image.new("L", (8, 8), 90).save(file)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Two origins with an index, and two SLAKE pairs of each split about one image each."""
    rows = []
    for origin, count in (("films", 3), ("slices", 5)):
        for number in range(count):
            file = f"{origin}/{number}.png"
            _picture(tmp_path / "clean" / file)
            rows.append(f"{file},{origin},x-ray")
    index = "\n".join(["file,origin,modality", *reversed(rows)])
    (tmp_path / "clean" / "index.csv").write_text(index, encoding="utf-8")
    for split in ("train", "validate"):
        image = f"{split}/source.png"
        _picture(tmp_path / "slake" / "imgs" / image)
        pairs = [
            {
                "qid": number,
                "img_name": image,
                "q_lang": "en",
                "question": "Is it a CT?",
                "answer": "Yes",
                "answer_type": "CLOSED",
                "content_type": "Modality",
            }
            for number in range(2)
        ]
        (tmp_path / "slake" / f"{split}.json").write_text(json.dumps(pairs), encoding="utf-8")
    return tmp_path


def test_origins_and_their_files_are_sorted_and_training_images_are_an_origin(root: Path) -> None:
    found = clean_origins(root)
    assert list(found) == ["films", "slake", "slices"]
    assert [file.name for file in found["films"]] == ["0.png", "1.png", "2.png"]
    assert found["slake"] == [root / "slake" / "imgs" / "train" / "source.png"]


def test_a_subset_is_a_seeded_draw(root: Path) -> None:
    some = clean_origins(root, most=2)
    assert [len(files) for files in some.values()] == [2, 1, 2]
    assert some == clean_origins(root, most=2)
    draws = {tuple(clean_origins(root, most=2, seed=seed)["slices"]) for seed in range(8)}
    assert len(draws) > 1


def test_a_folder_without_any_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataRefused, match=r"no clean images .*clean/index\.csv"):
        clean_origins(tmp_path)


@pytest.mark.parametrize(
    ("index", "why"),
    [
        ("file,modality\nfilms/0.png,x-ray\n", "line 2: origin is"),
        ("file,origin\nfilms/9.png,films\n", "line 2: no such file"),
        ("file,origin\n../slake/train.json,films\n", "line 2: the image name leads out"),
        ("file,origin\nfilms/0.png,films\n,\n", "line 3: file is empty"),
    ],
)
def test_an_index_that_names_no_files_is_refused(root: Path, index: str, why: str) -> None:
    (root / "clean" / "index.csv").write_text(index, encoding="utf-8")
    with pytest.raises(DataRefused, match=why):
        clean_origins(root)


def test_an_index_that_is_no_text_is_refused(root: Path) -> None:
    (root / "clean" / "index.csv").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(DataRefused, match=r"index\.csv.*cannot be read"):
        clean_origins(root)
