"""A client names images by blocks, or by paths under one folder; nothing else is read."""

from __future__ import annotations

import base64
import os
from pathlib import Path
from typing import Any

import pytest

from graphs.rooted_images import NOT_READ, RootedImages
from tests.imc_app.bad_files import grey_png
from vision.errors import ImageRefused
from vision.reading.medical_image import read_image


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "images" / "june").mkdir(parents=True)
    grey_png(tmp_path / "images" / "june").rename(tmp_path / "images" / "june" / "a.png")
    return tmp_path / "images"


def block(path: Path) -> dict[str, str]:
    return {"type": "image", "base64": base64.b64encode(path.read_bytes()).decode()}


def test_blocks_and_paths_under_the_root_are_read(root: Path) -> None:
    image = read_image(root / "june" / "a.png")
    store = RootedImages(root)
    encoded = f"data:image/png;base64,{block(root / 'june' / 'a.png')['base64']}"
    for source in (
        "june/a.png",
        str(root / "june" / "a.png"),
        (root / "june" / "a.png").as_uri(),
        block(root / "june" / "a.png"),
        encoded,
        store.put(image),
    ):
        assert store.read(source) == image


def outside(root: Path) -> str:
    return str(grey_png(root.parent))


def linked(root: Path) -> str:
    (root / "link.png").symlink_to(outside(root))
    return "link.png"


def looped(root: Path) -> str:
    (root / "loop").symlink_to("loop")
    return "loop"


def pipe(root: Path) -> str:
    os.mkfifo(root / "pipe.png")
    return "pipe.png"


def text(root: Path) -> str:
    (root / "notes.txt").write_text("Mrs Doe")
    return "notes.txt"


def unreadable(root: Path) -> str:
    (root / "damaged.png").write_bytes((root / "june" / "a.png").read_bytes()[:60])
    return "damaged.png"


@pytest.mark.parametrize(
    "source",
    [
        outside,
        linked,
        looped,
        pipe,
        text,
        unreadable,
        lambda root: "../" * 20 + "etc/passwd",
        lambda root: "/etc/shadow",
        lambda root: "file:///etc/passwd",
        lambda root: "file://elsewhere/a.png",
        lambda root: "file://[",
        lambda root: "june",
        lambda root: "",
        lambda root: "\x00",
        lambda root: "a" * 5000,
        lambda root: "none.png",
        lambda root: "/proc/kmsg",
        lambda root: "/dev/zero",
        lambda root: "http://127.0.0.1/a.png",
        lambda root: {"type": "image", "url": "file:///etc/passwd"},
    ],
)
def test_whatever_cannot_be_read_has_one_message(root: Path, source: Any) -> None:
    with pytest.raises(ImageRefused) as refusal:
        RootedImages(root).read(source(root))
    assert str(refusal.value) == NOT_READ


def test_without_a_root_no_file_is_read(root: Path) -> None:
    store = RootedImages(None)
    assert store.read(block(root / "june" / "a.png")).width > 0
    with pytest.raises(ImageRefused) as refusal:
        store.read(str(root / "june" / "a.png"))
    assert str(refusal.value) == NOT_READ


def test_a_root_that_is_no_folder_is_refused(root: Path) -> None:
    with pytest.raises(ImageRefused, match="not a folder"):
        RootedImages(root / "june" / "a.png")
