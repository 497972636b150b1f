"""Fits of an acquisition half that take seconds: few draws, few random features, no processes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from tests.vision.conftest import scan
from vision.build.acquisition import pass_runner, passes
from vision.build.workers import LocalWorkers
from vision.perceive.fourier_ridge import FourierFeatures

CLASSES = (("gaussian", 4), ("low_contrast", 4))
EACH = 2
"""References of each origin."""
_SMALL = {
    "DRAWS": 4,
    "VIEWS": 2,
    "MAP_DRAWS": 2,
    "PIXELS": 256,
    "TRIALS": 2,
    "MIXED_TRIALS": 1,
}


class ThisProcess:
    """Runs tasks where it is, in place of a pool of processes."""

    def __init__(self, *settings: object, **more: object) -> None:
        pass

    def shutdown(self, *settings: object, **more: object) -> None:
        pass

    def submit(self, task: Callable[..., Any], *given: object) -> Future[Any]:
        done: Future[Any] = Future()
        done.set_result(task(*given))
        return done

    def map(self, task: Callable[..., Any], *given: Iterable[object]) -> Iterator[Any]:
        return map(task, *given)


@contextmanager
def small_fits() -> Iterator[pytest.MonkeyPatch]:
    """Context in which fits are small."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in _SMALL.items():
            patch.setattr(passes, name, value)
        patch.setattr(pass_runner, "_CHUNK", 4)
        patch.setattr(LocalWorkers, "pool", ThisProcess)
        patch.setitem(vars(FourierFeatures)["draw"].__func__.__kwdefaults__, "cosines", 64)
        yield patch


def write_origins(folder: Path, origins: int = 6) -> dict[str, list[Path]]:
    """Scans of `origins` origins as PNG, `EACH` of each, one folder for each origin."""
    found: dict[str, list[Path]] = {}
    for origin in range(origins):
        (folder / f"origin-{origin}").mkdir()
        for number in range(EACH):
            file = folder / f"origin-{origin}" / f"{number}.png"
            Image.fromarray(scan(EACH * origin + number, side=112).rgb).save(file)
            found.setdefault(f"origin-{origin}", []).append(file)
    return found
