"""What each part of PDC contributes: stages, gate, decision, rounds, class weights, members.

    python benchmarks/pdc_ablations.py --data DATA [--only a b c d e] [--images 64]

Questions of SLAKE validation, the embedded model, noise at its input resolution, seed 0: the six
core kinds at severities 3 and 5, two mixtures, and clean images. Each row changes one thing of the
shipped calibrator. Which clean images the fits need is answered by `docs/results/origins.md`.
Answers are kept under `--work`: a stopped measurement goes on where it was.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from ablations.cells import NOISY, Cell
from ablations.figures import Figures
from ablations.page import make_page
from ablations.plan import chosen_methods, make_parts
from measurement import (
    Measurement,
    NamedCondition,
    add_model_options,
    halves_named,
    load_items,
    open_model,
    shown_command,
)

from imc_core.sources import sources_digest

LETTERS = "abcde"


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="holds slake/")
    add_model_options(parser)
    parser.add_argument("--only", nargs="+", choices=list(LETTERS), default=list(LETTERS))
    parser.add_argument("--images", type=int, default=64, help="the first so many of the split")
    parser.add_argument("--out", type=Path, default=Path("docs/results/ablations.md"))
    parser.add_argument("--work", type=Path, default=Path("runs/ablations"))
    args = parser.parse_args()

    context, calibrator = open_model(args.model, args.half, args.acquisition)
    items = load_items(args.data, "slake", "validate", args.images)
    measurement = Measurement(
        context,
        items,
        args.work,
        sources_digest("vision", "imc_noise", "imc_agents", "ablations"),
        {item.image_group: Path(item.image_group).parent.name for item in items},
    )
    parts = [part for part in make_parts(calibrator) if part.letter in args.only]
    names = measurement.image_names()

    def condition(cell: Cell) -> NamedCondition:
        return NamedCondition(
            cell.name,
            corruption=lambda rgb, name: cell.corrupt(rgb, Path(names[name]).parent.name),
        )

    checked = measurement.checked(
        [NamedCondition(), *(condition(cell) for cell in NOISY)],
        chosen_methods(calibrator, parts),
    )
    page = make_page(
        Figures(measurement, measurement.measure("ablations", checked)),
        parts,
        command=f"python benchmarks/pdc_ablations.py {shown_command(sys.argv[1:])}",
        halves=halves_named(calibrator),
    )
    args.out.parent.mkdir(parents=True, exist_ok=True)
    args.out.write_text(page, encoding="utf-8")
    print(page)


if __name__ == "__main__":
    main()
