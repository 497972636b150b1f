"""Paths that are no image file: refused at once, before anything waits for them."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from tests.vision.reading.files import encoded, fax, refusal
from vision.reading.sources import may_be_image


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
def test_pipes_sockets_and_devices(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.png")
    assert "not a regular file" in refusal(tmp_path / "pipe.png")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "socket.png"))
        assert "not a regular file" in refusal(tmp_path / "socket.png")
    for device in ("/dev/null", "/dev/zero"):
        assert "not a regular file" in refusal(device)


@pytest.mark.skipif(not Path("/proc/self/maps").exists(), reason="needs /proc")
@pytest.mark.parametrize("path", ["/proc/kmsg", "/proc/self/maps", "/proc/self/mem"])
def test_files_of_the_system(path: str) -> None:
    assert refusal(path)


def test_a_link_to_a_pipe(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "scan.png").symlink_to(tmp_path / "pipe")
    assert "not a regular file" in refusal(tmp_path / "scan.png")


@pytest.mark.parametrize(
    "url", ["file://[", "file://[::1", "file://host]/a.png", "file://a[b]c/d", "file:", "http://["]
)
def test_malformed_urls(url: str) -> None:
    assert refusal(url)
    assert refusal({"type": "image", "url": url})


def test_what_may_be_an_image_is_seen_without_waiting(tmp_path: Path) -> None:
    scan, notes = tmp_path / "scan", tmp_path / "notes"
    scan.write_bytes(encoded(Image.new("L", (2, 2)), "PNG"))
    notes.write_text("no image at all")
    os.mkfifo(tmp_path / "pipe")
    assert may_be_image(scan) and not may_be_image(notes)
    assert may_be_image(tmp_path / "pipe")  # to be refused by name when it is read


def test_a_damaged_tiff_leaves_stderr_empty(tmp_path: Path) -> None:
    (tmp_path / "scan.tif").write_bytes(fax(damaged=True))
    program = (
        "import sys\nfrom vision import ImageRefused, read_image\n"
        "try:\n    read_image(sys.argv[1])\n"
        "except ImageRefused as refused:\n    print(refused)\n"
    )
    ran = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path / "scan.tif")],
        capture_output=True,
        text=True,
        check=True,
    )
    assert ran.stderr == ""
    assert "truncated or damaged" in ran.stdout


def test_what_others_write_to_stderr_while_decoding_is_passed_on(
    capfd: pytest.CaptureFixture[str],
) -> None:
    from vision.reading.native_errors import native_errors_raised

    with native_errors_raised():
        os.write(2, b"a line of another thread\n")
    with pytest.raises(OSError, match="native decoder"), native_errors_raised():
        os.write(2, b"Fax4Decode: Bad code word at line 3 of strip 0 (x 7).\nanother line\n")
    assert capfd.readouterr().err == "a line of another thread\nanother line\n"
