"""What each part of PDC is worth: feature-only maps, stages, perception, banks of all sorts.

    python benchmarks/pdc_ablations.py --data DATA [--only a b c] [--jobs 2] [--limit IMAGES]

Every question of SLAKE validation, the embedded model, noise at its input resolution, seed 0: the
six core kinds at severities 3 and 5, two mixtures, and clean images. Parts: a feature-only maps, b
stages, c perception, d size of the bank, e a kind left out, f severities left out, g another
origin. Banks and answers are kept under `--work` and made again when model, bank or code change: a
stopped measurement goes on where it was. The page holds every part that is measured.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from ablations.banks import SIZES
from ablations.figures import Figures
from ablations.measuring import is_measured, measure, say
from ablations.page import make_page
from ablations.plan import make_parts
from ablations.store import Answers
from ablations.workshop import Settings, Workshop

from imc_reference import MODEL_DIR

LETTERS = "abcdefg"


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="holds vqa-rad/ and slake/")
    parser.add_argument("--model", type=Path, default=MODEL_DIR)
    parser.add_argument("--bank", type=Path, help="default: the model folder's own")
    parser.add_argument("--only", nargs="+", choices=list(LETTERS), default=list(LETTERS))
    parser.add_argument("--out", type=Path, default=Path("docs/results/ablations.md"))
    parser.add_argument("--work", type=Path, default=Path("runs/ablations"))
    parser.add_argument("--jobs", type=int, default=1, help="processes")
    parser.add_argument("--limit", type=int, help="so many images of the split: to try it")
    parser.add_argument("--references", type=int, default=64, help="of banks of no special size")
    parser.add_argument(
        "--sizes", nargs="+", type=int, choices=SIZES, default=SIZES, help="of the banks of part d"
    )
    args = parser.parse_args()

    settings = Settings(
        args.data,
        args.model,
        args.bank or args.model / "prototypes.safetensors",
        args.work,
        args.limit,
        args.references,
    )
    shop = Workshop(settings, say)
    answers = Answers(args.work / "answers.sqlite", shop.key)
    parts = make_parts(shop.taps, args.references, args.sizes)
    measure(shop, answers, [part for part in parts if part.letter in args.only], args.jobs)
    shipped = shop.shipped
    page = make_page(
        Figures(shop.ground, answers),
        # those of earlier commands too: parts may be measured one by one
        [part for part in parts if is_measured(answers, part)],
        # the folder of the data is a machine's own
        command=f"python benchmarks/pdc_ablations.py {_without_data(sys.argv[1:])}".strip(),
        bank=f"its bank of {shipped.images} references",
    )
    args.out.parent.mkdir(parents=True, exist_ok=True)
    args.out.write_text(page, encoding="utf-8")
    print(page)


def _without_data(arguments: list[str]) -> str:
    kept = list(arguments)
    for place, word in enumerate(arguments):
        if word == "--data":
            kept[place + 1] = "DATA"
        elif word.startswith("--data="):
            kept[place] = "--data=DATA"
    return " ".join(kept)


if __name__ == "__main__":
    main()
