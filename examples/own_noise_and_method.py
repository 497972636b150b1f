"""A noise and a method of one's own, measured beside those that are there.

Run from the repository: `.venv/bin/python examples/own_noise_and_method.py`. It puts dust on
phantoms, cleans it off with a small filter, and prints what that won back.
"""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import median_filter

from graphs import IMCContext, load_context
from imc_bench.methods import Seen, Tools, Untouched, encode, register
from imc_bench.noises import register_noise
from imc_bench.report.document import make_report
from imc_bench.report.tables import make_tables
from imc_bench.session import RunRequest, check_request, open_run
from imc_noise import Noise
from imc_reference import MODEL_DIR
from vision.reading import MedicalImage


def put_dust(
    rgb: NDArray[np.uint8], severity: float, rng: np.random.Generator
) -> NDArray[np.uint8]:
    """White specks on pixels (H, W, 3): 2 % of them for each step of severity."""
    rgb[rng.random(rgb.shape[:2]) < 0.02 * severity] = 255
    return rgb


class Swept(Untouched):
    """Shows the model each image after a median over 3 x 3 pixels."""

    name = sight = "swept"

    def see(self, images: Sequence[MedicalImage], tools: Tools) -> list[Seen]:
        """The plain features of the swept images."""
        swept = [
            MedicalImage.from_rgb(median_filter(image.rgb, size=(3, 3, 1))) for image in images
        ]
        return encode(swept, tools, calibrate=False)


def measure(context: IMCContext, store: Path, *, limit: int) -> str:
    """Measure dust and sweeping on `limit` questions about phantoms; the table, in Markdown."""
    register_noise(Noise("dust", "image", "Dust on the detector.", recoverable=True), put_dust)
    register(Swept())
    request = RunRequest(
        "phantom", noises=("dust",), severities=(3,), methods=("none", "swept"), limit=limit
    )
    runner, opened = open_run(check_request(request), context, store)
    with opened:
        runner.run(opened)
    return make_tables(make_report(store))[0].markdown()


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        print(measure(load_context(MODEL_DIR), Path(folder) / "dust.db", limit=40))
