"""Calibration under noise that the bank was not built with: the harder half.

    python benchmarks/pdc_unmatched.py --data DATA [--set slake-validation] [--out FILE]

Every question of a set, the embedded model, noise at its input resolution, seed 0: other
implementations (scikit-image's, Pillow's; MONAI's and TorchIO's where they are installed),
strengths off the bank's grid, kinds that it lacks, two noises at once; a column says which.
Beside PDC: non-local means with an estimated sigma, applied blindly.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from ablations.store import Told
from unmatched.ground import SETS, Ground, load
from unmatched.noises import conditions
from unmatched.page import Row, Way, make_page, row_cells

from imc_bench.denoisers import non_local_means
from imc_reference import MODEL_DIR
from vision.build.prototypes import PrototypeBank
from vision.pdc import Calibrator

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
    parser.add_argument("--out", type=Path, help="a page beside what is printed")
    args = parser.parse_args()

    name = SETS[args.set]
    images = load(args.data, name)[: args.limit]
    ground = Ground(images, args.model)
    bank = PrototypeBank.load(
        args.bank or args.model / "prototypes.safetensors", fingerprint=ground.encoder.fingerprint
    )
    calibrators = {
        stage: Calibrator(ground.encoder, bank, **STAGES[stage]) for stage in args.stages
    }
    what = f"{name}, {ground.questions} questions on {len(images)} images"
    print(f"{what}; seed 0", flush=True)

    def way(told: Told) -> Way:
        return Way(ground.right(told), ground.flipped(told))

    rows = []
    for condition in conditions(print):
        if args.only and not any(word in condition.name for word in args.only):
            continue
        noisy = [condition.corrupt(picture, number) for number, picture in enumerate(ground.clean)]
        treated = {
            stage: way(ground.told(noisy, calibrator)) for stage, calibrator in calibrators.items()
        }
        denoised = [non_local_means(picture) for picture in noisy]
        treated[DENOISER] = way(ground.told(denoised, None))
        rows.append(Row(condition, way(ground.told(noisy, None)), treated))
        print(" | ".join(row_cells(rows[-1], ground.bootstrap)), flush=True)
    if not rows:
        sys.exit(f"no condition is called so: {' '.join(args.only)}")
    shown = "".join(f" --{o} {v}" for o, v in (("set", args.set), ("limit", args.limit)) if v)
    page = make_page(
        rows,
        ground.bootstrap,
        title=f"Noise that the bank was not built with: {name}",
        ground=f"{what}, the embedded model, its bank of {bank.images} references",
        # the folder of the data is a machine's own
        command=f"python benchmarks/pdc_unmatched.py --data DATA{shown}",
    )
    if args.out:
        args.out.parent.mkdir(parents=True, exist_ok=True)
        args.out.write_text(page, encoding="utf-8")
    print(page)


if __name__ == "__main__":
    main()
