"""Write synthetic pictures as one more origin of clean references for the acquisition half.

    python scripts/phantom_references.py DATA/phantoms --count 100

Drawn from seeds that neither training nor evaluation of the embedded model draws.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from PIL import Image

from imc_reference.phantoms import make_phantom

_SEED = 4_712


def main() -> None:
    """Draw and write."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("folder", type=Path, help="folder to write, named as the origin")
    parser.add_argument("--count", type=int, default=100, help="number of pictures")
    asked = parser.parse_args()
    asked.folder.mkdir(parents=True, exist_ok=True)
    for number in range(asked.count):
        phantom = make_phantom(np.random.default_rng([_SEED, number]))
        Image.fromarray(phantom.image).save(asked.folder / f"phantom-{number:04d}.png")


if __name__ == "__main__":
    main()
