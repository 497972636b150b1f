"""SSIM of every image noise at every severity on real images, and the calibration made from it.

    python benchmarks/noise_ssim.py --data DATA            # the table, at 112 px and native size
    python benchmarks/noise_ssim.py --data DATA --calibrate > imc_noise/data/image_strengths.tsv

DATA holds `slake/` and `vqa-rad/` in their published layouts. SSIM is scikit-image's
`structural_similarity` with its defaults (7x7 uniform window, data_range 255) on the grey image,
averaged over images; nothing is renormalised before it is taken. Sizes are square, as the model's
own input is (bicubic), or `native`. Calibration rows up to 224 px are made on squeezed images;
the larger ones on images of about that size as they were published, since an image blown up to a
size has not the detail of one acquired at it.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from imc_bench.metrics.similarity import Grey, ssim
from imc_noise import CORE_IMAGE, EXTENDED_IMAGE, apply_image, noise_rng
from imc_noise.image.planes import corrupt_pixels
from imc_noise.registry import _IMAGE
from imc_noise.strengths import SSIM_BANDS

CALIBRATED_SIZES: dict[int, tuple[int, int] | None] = {
    56: None,
    112: None,
    224: None,
    512: (320, 640),
    896: (640, 1300),
}
"""Row of the table -> the published sizes (square root of pixels) it is made on; None: squeezed."""
PIXELS_PER_SIZE = 16_000_000
"""Fewer images at large sizes, so that a calibration takes minutes."""
NAMES = CORE_IMAGE + EXTENDED_IMAGE
TARGETS = [(low + high) / 2.0 for low, high in SSIM_BANDS]
SEARCH = {
    "gaussian": (0.003, 0.6),
    "low_dose": (0.003, 0.6),
    "motion": (0.0001, 0.06),
    "ghosting": (0.01, 4.0),
    "bias_field": (0.05, 8.0),
    "low_contrast": (0.05, 5.0),
    "speckle": (0.004, 2.0),
    "impulse": (0.0003, 0.4),
    "shot": (0.003, 1.0),
    "defocus": (0.0005, 0.2),
    "zoom": (0.003, 0.5),
    "pixelate": (0.001, 0.3),
    "brightness_up": (0.05, 2.2),
    "brightness_down": (0.05, 4.0),
    "contrast_up": (0.02, 2.5),
    "gamma_up": (0.03, 3.0),
    "gamma_down": (0.01, 2.6),
    "rician": (0.001, 0.5),
    "kspace_spike": (0.002, 0.6),
    "undersampling": (0.02, 8.0),
    "sparse_view": (1.0, 60.0),
    "motion_blur": (0.003, 0.4),
    "gibbs": (0.02, 4.0),
    "shading": (0.05, 5.0),
}
"""Strengths between which each noise's calibration searches. A noise without an entry has
strengths of its own scale, one row for every size (`imc_noise.strengths.NOT_BY_SSIM`)."""


def image_paths(data: Path, per_set: int, seed: int) -> dict[str, list[Path]]:
    """`per_set` images of SLAKE train and of VQA-RAD, drawn with `seed` from the sorted names."""
    slake = json.loads((data / "slake" / "train.json").read_text(encoding="utf-8"))
    rad_folder = data / "vqa-rad" / "VQA_RAD Image Folder"
    found = {
        "slake": sorted({data / "slake" / "imgs" / pair["img_name"] for pair in slake}),
        "vqa-rad": sorted(rad_folder.glob("*.jpg")),
    }
    drawn: dict[str, list[Path]] = {}
    for name, paths in found.items():
        order = np.random.default_rng(seed).permutation(len(paths))[:per_set]
        drawn[name] = [paths[i] for i in order]
    return drawn


def read_grey(path: Path, size: int | None) -> Grey:
    """The image as (H, W) uint8, squeezed to `size` x `size` pixels unless None."""
    with Image.open(path) as opened:
        picture = opened.convert("L")
    if size is not None:
        picture = picture.resize((size, size), Image.Resampling.BICUBIC)
    return np.asarray(picture)


def calibration_images(sets: dict[str, list[Path]], size: int, pixels: int) -> list[Grey]:
    """Images for the row of `size`, as many of each data set, as many as the pixel budget holds."""
    span = CALIBRATED_SIZES[size]
    most = max(1, pixels // size**2 // len(sets))
    images: list[Grey] = []
    for paths in sets.values():
        if span is not None:
            paths = [path for path in paths if span[0] <= _size_of(path) < span[1]]
        images.extend(read_grey(path, size if span is None else None) for path in paths[:most])
    return images


def _size_of(path: Path) -> float:
    """Square root of the image's pixels; only its header is read."""
    with Image.open(path) as opened:
        return math.sqrt(opened.width * opened.height)


def calibrate(names: Sequence[str], images: Sequence[Grey], size: int, seed: int) -> Iterator[str]:
    """Rows of `image_strengths.tsv`: the strength at which the mean SSIM meets each target."""
    for name in names:
        tried = np.geomspace(*SEARCH[name], 14)
        curve = []
        for strength in tried:
            values = []
            for number, clean in enumerate(images):
                rng = noise_rng(f"image {number}", name, 3, seed)
                values.append(
                    ssim(clean, corrupt_pixels(clean, float(strength), _IMAGE[name], rng))
                )
            curve.append(float(np.mean(values)))
        # SSIM falls with strength: made monotone, then read backwards.
        falling = np.minimum.accumulate(np.asarray(curve))
        found = np.exp(np.interp([-t for t in TARGETS], -falling, np.log(tried)))
        if not (np.diff(found) > 0).all():
            # Large radiographs are so smooth that no blur takes them down to the last bands; the
            # row of the size below then holds for them.
            print(f"no row for {name} at {size} px: out of reach", file=sys.stderr)
            continue
        yield "\t".join([name, str(size), *(f"{value:.5g}" for value in found)])


def table(
    names: Sequence[str], sets: dict[str, list[Path]], size: int | None, seed: int
) -> Iterator[str]:
    """One line per noise and data set, then for both: mean SSIM at severity 1..5, milliseconds."""
    found: dict[str, list[list[float]]] = {name: [] for name in names}
    for set_name, paths in sets.items():
        images = [read_grey(path, size) for path in paths]
        for name in names:
            means, spent = [], 0.0
            for severity in range(1, 6):
                values = []
                for path, clean in zip(paths, images, strict=True):
                    rng = noise_rng(f"{path.parent.name}/{path.name}", name, severity, seed)
                    start = time.perf_counter()
                    corrupted = apply_image(name, clean, severity, rng)
                    spent += time.perf_counter() - start
                    values.append(ssim(clean, corrupted))
                means.append(float(np.mean(values)))
            found[name].append(means)
            milliseconds = 1000.0 * spent / (5 * len(images))
            yield f"{name:15s} {set_name:8s} {_marked(means)}  {milliseconds:7.2f} ms"
    for name, per_set in found.items():
        yield f"{name:15s} {'both':8s} {_marked(np.mean(per_set, axis=0).tolist())}"


def _marked(means: Sequence[float]) -> str:
    """Five means, each followed by ! where it is outside its band."""
    return "  ".join(
        f"{mean:.3f}{' ' if low <= mean <= high else '!'}"
        for mean, (low, high) in zip(means, SSIM_BANDS, strict=True)
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--data", type=Path, required=True, help="folder of slake/ and vqa-rad/")
    parser.add_argument("--images", type=int, default=40, help="images drawn from each set")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--noises", nargs="*", default=CORE_IMAGE, choices=NAMES)
    parser.add_argument("--calibrate", action="store_true", help="print image_strengths.tsv")
    parser.add_argument("--pixels", type=int, default=PIXELS_PER_SIZE, help="budget of a row")
    parser.add_argument("--sizes", nargs="*", default=["112", "native"], help="pixels or 'native'")
    parser.add_argument(
        "--rows", nargs="*", type=int, default=CALIBRATED_SIZES, choices=CALIBRATED_SIZES
    )
    chosen = parser.parse_args()
    sets = image_paths(chosen.data, chosen.images, chosen.seed)
    if chosen.calibrate:
        print("# Strength of each image noise at severity 1..5, by image size (square root of")
        print("# pixels): benchmarks/noise_ssim.py --calibrate on SLAKE train and VQA-RAD images,")
        print(f"# {chosen.images} of each, seed {chosen.seed}. Units: the noises' docstrings.")
        print("# noise\tsize\ts1\ts2\ts3\ts4\ts5")
        for size in chosen.rows:
            images = calibration_images(sets, size, chosen.pixels)
            for row in calibrate(
                [n for n in chosen.noises if n in SEARCH], images, size, chosen.seed
            ):
                print(row, flush=True)
        return
    print(f"data: SLAKE train and VQA-RAD, {chosen.images} images each, seed {chosen.seed};")
    print("mean SSIM (7x7 window, data_range 255) at severity 1..5; ! is outside the band")
    for size in chosen.sizes:
        print(f"--- {size} px" if size != "native" else "--- native size")
        for line in table(
            chosen.noises, sets, None if size == "native" else int(size), chosen.seed
        ):
            print(line, flush=True)


if __name__ == "__main__":
    main()
