"""Calibration under noise that the bank was not built with: the harder half.

    python benchmarks/pdc_unmatched.py --data DATA [--bank FILE] [--stages both pixels features]

Every question of SLAKE validation, the embedded model, noise at its input resolution, seed 0:
other implementations (scikit-image's, Pillow's; MONAI's and TorchIO's where they are installed),
strengths off the bank's grid, kinds that it lacks, two noises at once; a column says which. The
25 rows of the first table come first, the others, "also", after them.

A flip is an answer that differs from the model's own on the clean image (answers are cut at 16
tokens); restored is the share of flips that calibration takes back, net of those it makes. Beside
both stages: non-local means with an estimated sigma, applied blindly.
"""

from __future__ import annotations

import argparse
import importlib.util
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, ImageEnhance, ImageFilter, ImageOps
from scipy import ndimage
from skimage.exposure import adjust_gamma, adjust_sigmoid, equalize_hist
from skimage.filters import unsharp_mask
from skimage.util import random_noise

from imc_bench.denoisers import non_local_means
from imc_noise import apply_image, noise_rng
from imc_reference import MODEL_DIR
from imc_reference.architecture import IMAGE_SIZE
from imc_reference.evaluation import Answerer, EvaluateConfig
from imc_reference.real_data import load_slake
from imc_reference.scoring import is_right, normalise_answer
from vision.encoder import VisionEncoder
from vision.pdc import Calibrator
from vision.prototypes import PrototypeBank
from vision.reading import MedicalImage, read_image

Pixels = NDArray[np.uint8]
Spoil = Callable[[Pixels, int], Pixels]
"""(pixels (H, W, 3), number of the image) -> spoilt."""
Floats = NDArray[np.float64]

STAGES = {"both": {}, "pixels": {"features": False}, "features": {"pixels": False}}


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="holds slake/ as published")
    parser.add_argument("--model", type=Path, default=MODEL_DIR)
    parser.add_argument("--bank", type=Path, help="default: the model folder's own")
    parser.add_argument("--stages", nargs="+", choices=list(STAGES), default=["both"])
    args = parser.parse_args()

    images = load_slake(args.data / "slake", "validate")
    asked = [(row, pair) for row, image in enumerate(images) for pair in image.pairs]
    questions = [(row, pair.question) for row, pair in asked]
    answerer = Answerer(EvaluateConfig(model=args.model, batch=96, max_new_tokens=16))
    encoder = VisionEncoder(answerer.model, answerer.processor)
    bank = PrototypeBank.load(
        args.bank or args.model / "prototypes.safetensors", fingerprint=encoder.fingerprint
    )
    calibrators = {name: Calibrator(encoder, bank, **STAGES[name]) for name in args.stages}
    side = (IMAGE_SIZE, IMAGE_SIZE)
    clean = [
        np.asarray(
            Image.fromarray(read_image(image.path).rgb).resize(side, Image.Resampling.BICUBIC)
        )
        for image in images
    ]

    def told(pictures: list[Pixels], calibrator: Calibrator | None) -> tuple[list[str], int]:
        plain = next(iter(calibrators.values()))
        results = []
        for start in range(0, len(pictures), 32):
            batch = [MedicalImage.from_rgb(one) for one in pictures[start : start + 32]]
            results += (calibrator or plain).calibrate_batch(
                batch, calibrate=calibrator is not None, perceive=calibrator is not None
            )
        features = [
            torch.cat(
                [part.reshape(-1, part.shape[-1]) for part in r.features.output.pooler_output]
            )
            for r in results
        ]
        touched = sum(r.report.applied for r in results)
        return answerer.answers_from(features, questions), touched

    def flips(answers: list[str]) -> float:
        pairs = zip(answers, own, strict=True)
        return float(np.mean([normalise_answer(a) != normalise_answer(b) for a, b in pairs]))

    def accuracy(answers: list[str]) -> float:
        pairs = zip(answers, asked, strict=True)
        return float(np.mean([is_right(a, p.answer, closed=p.closed) for a, (_, p) in pairs]))

    own, _ = told(clean, None)
    print(f"SLAKE validation, {len(asked)} questions on {len(clean)} images; seed 0")
    for name, calibrator in calibrators.items():
        answers, touched = told(clean, calibrator)
        print(
            f"clean, {name}: {touched} of {len(clean)} touched, flips {flips(answers):.4f}, "
            f"accuracy {accuracy(own):.3f} -> {accuracy(answers):.3f}"
        )
    columns = [*calibrators, "non-local means"]
    heads = " | ".join(f"{column}: accuracy, restored" for column in columns)
    print(f"| noise | what is new | accuracy | flips | {heads} |")
    print("|" + " --- |" * (4 + len(columns)))
    restored: dict[str, dict[str, list[float]]] = {column: {} for column in columns}
    first = {**_conditions(), **_monai()}
    for (condition, new), spoil in {**first, **_also(), **_torchio()}.items():
        noisy = [spoil(picture, number) for number, picture in enumerate(clean)]
        before = told(noisy, None)[0]
        lost = flips(before)
        cells = []
        for column in columns:
            answers = (
                told(noisy, calibrators[column])[0]
                if column in calibrators
                else told([non_local_means(picture) for picture in noisy], None)[0]
            )
            share = 1.0 - flips(answers) / lost if lost else float("nan")
            part = new if (condition, new) in first else ALSO
            restored[column].setdefault(part, []).append(share)
            cells.append(f"{accuracy(answers):.3f}, {share:+.2f}")
        print(
            f"| {condition} | {new} | {accuracy(before):.3f} | {lost:.3f} | {' | '.join(cells)} |",
            flush=True,
        )
    for column, by_newness in restored.items():
        parts = [f"{new} {np.mean(part):.2f}" for new, part in by_newness.items()]
        shares = [share for new, part in by_newness.items() if new != ALSO for share in part]
        every = [share for part in by_newness.values() for share in part]
        print(
            f"{column}: mean restored {np.mean(shares):.2f} over the first {len(shares)} rows, "
            f"{np.mean(every):.2f} over all {len(every)}; {', '.join(parts)}"
        )


def _own(*noises: tuple[str, float]) -> Spoil:
    def spoil(picture: Pixels, number: int) -> Pixels:
        for kind, severity in noises:
            rng = noise_rng(f"unmatched {number}", kind, severity)
            picture = apply_image(kind, picture, severity, rng)
        return picture

    return spoil


def _grey(change: Callable[[Floats, int], Floats]) -> Spoil:
    """On brightness in [0, 1], the same on every plane."""

    def spoil(picture: Pixels, number: int) -> Pixels:
        changed = change(picture.mean(axis=2) / 255.0, number)
        grey = np.clip(np.rint(255.0 * changed), 0, 255).astype(np.uint8)
        return np.repeat(grey[:, :, None], 3, axis=2)

    return spoil


def _scikit(mode: str, **options: float) -> Spoil:
    return _grey(lambda grey, number: random_noise(grey, mode=mode, rng=number, **options))


def _pixelated(grey: Floats) -> Floats:
    rows, columns = (size // 4 for size in grey.shape)
    cells = grey[: rows * 4, : columns * 4].reshape(rows, 4, columns, 4).mean(axis=(1, 3))
    return np.asarray(np.kron(cells, np.ones((4, 4))), dtype=np.float64)


MAKER, STRENGTH, KIND, TWO = "implementation", "strength", "kind", "two at once"
"""What is new to the bank in a condition."""
ALSO = "also"
"""Rows that the first table did not have."""
Named = tuple[str, str]


def _conditions() -> dict[Named, Spoil]:
    return {
        ("gaussian .12 (scikit-image)", MAKER): _scikit("gaussian", var=0.12**2),
        ("gaussian .18 (scikit-image)", MAKER): _scikit("gaussian", var=0.18**2),
        ("Poisson, 25 a pixel (numpy)", MAKER): _grey(
            lambda grey, number: np.random.default_rng(number).poisson(25.0 * grey) / 25.0
        ),
        ("speckle .5 (scikit-image)", MAKER): _scikit("speckle", var=0.25),
        ("salt and pepper 5 % (scikit-image)", MAKER): _scikit("s&p", amount=0.05),
        ("gamma 1.6 and contrast .45 (scikit-image)", MAKER): _grey(
            lambda grey, number: 0.45 * adjust_gamma(grey, 1.6) + 0.1
        ),
        ("gaussian blur 1.8 (scipy)", MAKER): _grey(
            lambda grey, number: ndimage.gaussian_filter(grey, 1.8)
        ),
        ("pixelation 4", MAKER): _grey(lambda grey, number: _pixelated(grey)),
        ("low_contrast 2.5", STRENGTH): _own(("low_contrast", 2.5)),
        ("bias_field 3.5", STRENGTH): _own(("bias_field", 3.5)),
        ("ghosting 4.5", STRENGTH): _own(("ghosting", 4.5)),
        ("horizontal blur 9 (scipy)", MAKER): _grey(
            lambda grey, number: ndimage.uniform_filter1d(grey, 9, axis=1, mode="constant")
        ),
        ("zoom 4", STRENGTH): _own(("zoom", 4)),
        ("jpeg 5", STRENGTH): _own(("jpeg", 5)),
        ("undersampling 4", STRENGTH): _own(("undersampling", 4)),
        ("low_contrast 3 then gaussian 4", TWO): _own(("low_contrast", 3), ("gaussian", 4)),
        ("gaussian 3 then bias_field 4", TWO): _own(("gaussian", 3), ("bias_field", 4)),
        ("low_contrast 4 then motion 3", TWO): _own(("low_contrast", 4), ("motion", 3)),
        ("bias_field 3 then ghosting 3", TWO): _own(("bias_field", 3), ("ghosting", 3)),
        ("ghosting 3 then low_contrast 3", TWO): _own(("ghosting", 3), ("low_contrast", 3)),
    }


def _also() -> dict[Named, Spoil]:
    def pillow(change: Callable[[Image.Image], Image.Image]) -> Spoil:
        return lambda picture, number: np.asarray(change(Image.fromarray(picture)).convert("RGB"))

    return {
        ("contrast .4 (Pillow)", MAKER): pillow(lambda i: ImageEnhance.Contrast(i).enhance(0.4)),
        ("brightness .35 (Pillow)", MAKER): pillow(
            lambda i: ImageEnhance.Brightness(i).enhance(0.35)
        ),
        ("brightness 1.8 (Pillow)", MAKER): pillow(
            lambda i: ImageEnhance.Brightness(i).enhance(1.8)
        ),
        ("gaussian blur 2 (Pillow)", MAKER): pillow(
            lambda i: i.filter(ImageFilter.GaussianBlur(2))
        ),
        ("greys 60 to 160 (numpy)", MAKER): _grey(
            lambda grey, number: (60.0 + 100.0 * grey) / 255.0
        ),
        ("gamma .5 (scikit-image)", MAKER): _grey(lambda grey, number: adjust_gamma(grey, 0.5)),
        ("gamma 2 (scikit-image)", MAKER): _grey(lambda grey, number: adjust_gamma(grey, 2.0)),
        ("sigmoid curve (scikit-image)", KIND): _grey(
            lambda grey, number: adjust_sigmoid(grey, cutoff=0.5, gain=5)
        ),
        ("sparse_view 4", KIND): _own(("sparse_view", 4)),
        ("shot 4", KIND): _own(("shot", 4)),
        ("8 greys (Pillow)", KIND): pillow(lambda i: ImageOps.posterize(i, 3)),
        ("histogram equalised (scikit-image)", KIND): _grey(
            lambda grey, number: equalize_hist(grey)
        ),
        ("unsharp mask 3, 2 (scikit-image)", KIND): _grey(
            lambda grey, number: unsharp_mask(grey, radius=3, amount=2)
        ),
        ("median 7 (scipy)", KIND): _grey(lambda grey, number: ndimage.median_filter(grey, 7)),
        ("contrast_down 3", STRENGTH): _own(("contrast_down", 3)),
        ("contrast_up 3", STRENGTH): _own(("contrast_up", 3)),
        ("gamma_down 3", STRENGTH): _own(("gamma_down", 3)),
    }


def _torchio() -> dict[Named, Spoil]:
    if importlib.util.find_spec("torchio") is None:
        print("TorchIO is not installed: its noises are left out")
        return {}
    import torchio

    def made(transform: Callable[[torch.Tensor], torch.Tensor]) -> Spoil:
        def change(grey: Floats, number: int) -> Floats:
            torch.manual_seed(number)
            spoilt = transform(torch.from_numpy(grey.astype(np.float32))[None, :, :, None])
            whole: Floats = np.asarray(spoilt, dtype=np.float64)[0, :, :, 0]
            return whole

        return _grey(change)

    return {
        ("ghosting (TorchIO)", MAKER): made(
            torchio.RandomGhosting(num_ghosts=(2, 6), axes=(0, 1), intensity=(0.6, 1.0))
        ),
        ("bias field (TorchIO)", MAKER): made(torchio.RandomBiasField(coefficients=0.9)),
        ("motion (TorchIO)", MAKER): made(
            torchio.RandomMotion(degrees=8, translation=8, num_transforms=2)
        ),
        ("k-space spike (TorchIO)", MAKER): made(torchio.RandomSpike(intensity=(0.3, 0.6))),
        ("noise .12 (TorchIO)", MAKER): made(torchio.RandomNoise(mean=0, std=(0.12, 0.12))),
    }


def _monai() -> dict[Named, Spoil]:
    if importlib.util.find_spec("monai") is None:
        print("MONAI is not installed: its noises are left out")
        return {}
    from monai import transforms

    def made(name: str, **options: object) -> Spoil:
        def change(grey: Floats, number: int) -> Floats:
            transform = getattr(transforms, name)(prob=1.0, **options)
            transform.set_random_state(number)
            spoilt = transform(torch.from_numpy(grey.astype(np.float32))[None])
            whole: Floats = np.asarray(spoilt, dtype=np.float64)[0]
            return whole

        return _grey(change)

    return {
        ("Rician .1 (MONAI)", KIND): made("RandRicianNoise", mean=0.0, std=0.1),
        ("bias field (MONAI)", MAKER): made("RandBiasField", degree=3, coeff_range=(0.2, 0.5)),
        ("k-space spike (MONAI)", MAKER): made("RandKSpaceSpikeNoise", intensity_range=(9.5, 10.5)),
        ("Gibbs ringing (MONAI)", MAKER): made("RandGibbsNoise", alpha=(0.5, 0.7)),
        ("gamma 2.5-3.5 (MONAI)", MAKER): made("RandAdjustContrast", gamma=(2.5, 3.5)),
    }


if __name__ == "__main__":
    main()
