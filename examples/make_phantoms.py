"""Write the example images: one simulated phantom of each modality, with its truth.

Run from the repository: `.venv/bin/python examples/make_phantoms.py`. The images are drawn by
`imc_reference.phantoms`, so they show no person and may be copied freely.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from imc_reference import MODALITIES, Phantom, make_phantom

SIDE = 256  # pixels
SEED = 7
FOLDER = Path(__file__).parent


def draw_with_lesions(modality: str, seed: int) -> Phantom:
    """Draw phantoms of `modality` until one has a lesion: an example should show something."""
    rng = np.random.default_rng(seed)
    while True:
        phantom = make_phantom(rng, modality, SIDE)  # type: ignore[arg-type]
        if phantom.count:
            return phantom


def main(folder: Path = FOLDER) -> list[tuple[Path, Phantom]]:
    """Write every example image into `folder`; return what was written, with its truth."""
    written = []
    for offset, modality in enumerate(MODALITIES):
        phantom = draw_with_lesions(modality, SEED + offset)
        path = folder / f"phantom_{modality.replace('-', '')}.png"
        Image.fromarray(phantom.image).save(path, optimize=True)
        written.append((path, phantom))
    return written


if __name__ == "__main__":
    for path, phantom in main():
        print(
            f"{path.name}: {phantom.modality}, {phantom.region}, "
            f"{phantom.count} {phantom.size} on the {phantom.side} side"
        )
