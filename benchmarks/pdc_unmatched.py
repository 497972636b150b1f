"""Calibration under noise that the bank was not built with: the harder half.

    python benchmarks/pdc_unmatched.py --data DATA [--set slake-validation] [--out FILE]

Every question of a set, the embedded model, noise at its input resolution, seed 0: other
implementations (scikit-image's, Pillow's; MONAI's and TorchIO's where they are installed),
strengths off the bank's grid, kinds that it lacks, two noises at once; a column says which.
Beside PDC: non-local means with an estimated sigma, applied blindly. Answers are kept under
`--work`: a stopped measurement goes on where it was.
"""

from __future__ import annotations

import argparse
import sys
from functools import partial
from pathlib import Path

from measurement import (
    CalibratedBy,
    Measurement,
    NamedCondition,
    Pixels,
    Responses,
    load_items,
    open_model,
    sources_digest,
)
from unmatched.noises import UnmatchedNoise, conditions
from unmatched.page import NoiseRow, Outcome, make_page

from imc_bench.denoisers import non_local_means
from imc_bench.methods import BaselineMethod, Denoised, Method
from imc_bench.statistics import answer_flips
from imc_reference import MODEL_DIR
from vision.pdc import Calibrator

SETS = {
    "slake-validation": ("SLAKE validation", "slake", "validate"),
    "vqa-rad-test": ("VQA-RAD test", "vqa-rad", "test"),
}
STAGES = {"both": {}, "pixels": {"features": False}, "features": {"pixels": False}}
DENOISER = "non-local means"


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="holds slake/ and vqa-rad/")
    parser.add_argument("--set", choices=list(SETS), default="slake-validation")
    parser.add_argument("--model", type=Path, default=MODEL_DIR)
    parser.add_argument("--bank", type=Path, help="default: the model folder's own")
    parser.add_argument("--stages", nargs="+", choices=list(STAGES), default=["both"])
    parser.add_argument("--only", nargs="+", help="conditions whose names hold one of these words")
    parser.add_argument("--limit", type=int, help="so many images: to try it")
    parser.add_argument("--work", type=Path, default=Path("runs/unmatched"))
    parser.add_argument("--out", type=Path, help="a page beside what is printed")
    args = parser.parse_args()

    chosen = [
        one
        for one in conditions(print)
        if not args.only or any(word in one.name for word in args.only)
    ]
    if not chosen:
        sys.exit(f"no condition is called so: {' '.join(args.only)}")
    name, dataset, split = SETS[args.set]
    items = load_items(args.data, dataset, split, args.limit)
    images = dict.fromkeys(item.image_group for item in items)
    measurement = Measurement(
        open_model(args.model, args.bank or args.model / "prototypes.safetensors"),
        items,
        args.work,
        sources_digest("vision", "imc_noise", "imc_agents", "unmatched"),
        {image: f"{number:05d}" for number, image in enumerate(images)},
    )
    rows, bank_images = measure(measurement, chosen, args.stages)
    shown = "".join(f" --{o} {v}" for o, v in (("set", args.set), ("limit", args.limit)) if v)
    what = f"{name}, {len(items)} questions on {len(images)} images"
    page = make_page(
        rows,
        measurement.bootstrap,
        title=f"Noise that the bank was not built with: {name}",
        ground=f"{what}, the embedded model, its bank of {bank_images} references",
        # the folder of the data is a machine's own
        command=f"python benchmarks/pdc_unmatched.py --data DATA{shown}",
    )
    if args.out:
        args.out.parent.mkdir(parents=True, exist_ok=True)
        args.out.write_text(page, encoding="utf-8")
    print(page)


def measure(
    measurement: Measurement, chosen: list[UnmatchedNoise], stages: list[str]
) -> tuple[list[NoiseRow], int]:
    """A row of each condition, and how many references the bank has."""
    calibrator = measurement.context.calibrator
    if calibrator is None or calibrator.bank is None:
        raise SystemExit("the model has no image side, or no bank")
    encoder, bank = calibrator.encoder, calibrator.bank
    numbers = {name: int(measurement.clusters[g]) for name, g in measurement.image_names().items()}

    def corrupt(condition: UnmatchedNoise, rgb: Pixels, image: str) -> Pixels:
        return condition.corrupt(rgb, numbers[image])

    named = [NamedCondition(one.name, corruption=partial(corrupt, one)) for one in chosen]
    methods: list[Method] = [BaselineMethod(), Denoised(DENOISER, non_local_means)]
    for stage in stages:
        calibrate = Calibrator(encoder, bank, **STAGES[stage])
        methods.append(CalibratedBy(stage, partial(_always, calibrate)))
    checked = measurement.checked([NamedCondition(), *named], methods)
    store = measurement.measure("unmatched", checked)
    own = measurement.responses(store, "", "none")

    def way(given: Responses) -> Outcome:
        draws = measurement.bootstrap
        flipped = answer_flips(own.answers, given.answers)
        return Outcome(draws.rate(given.right), draws.rate(flipped))

    def row(condition: UnmatchedNoise) -> NoiseRow:
        alone, *treated = (
            way(measurement.responses(store, condition.name, method))
            for method in ("none", *stages, DENOISER)
        )
        return NoiseRow(condition, alone, dict(zip((*stages, DENOISER), treated, strict=True)))

    return [row(one) for one in chosen], bank.images


def _always(calibrator: Calibrator, condition: object) -> Calibrator:
    """The same under every condition."""
    return calibrator


if __name__ == "__main__":
    main()
