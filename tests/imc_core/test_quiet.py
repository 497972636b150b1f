"""Redirected file descriptors are given back, also where two threads redirect them at once."""

from __future__ import annotations

import os
import threading

import pytest

from imc_core.quiet import native_silence
from vision.reading.native_errors import native_errors_raised


def test_what_native_code_writes_is_not_shown(capfd: pytest.CaptureFixture[str]) -> None:
    with native_silence():
        os.write(1, b"hidden\n")
        os.write(2, b"hidden\n")
    os.write(2, b"shown\n")
    assert capfd.readouterr() == ("", "shown\n")


def test_a_picture_read_while_a_model_loads_leaves_stderr_as_it_was(
    capfd: pytest.CaptureFixture[str],
) -> None:
    reading, loaded = threading.Event(), threading.Event()

    def read() -> None:
        with native_errors_raised():
            reading.set()
            loaded.wait(30)

    reader = threading.Thread(target=read)
    with native_silence():
        reader.start()
        overlapped = reading.wait(0.5)
    loaded.set()
    reader.join()
    os.write(2, b"shown\n")
    assert not overlapped
    assert capfd.readouterr().err == "shown\n"
