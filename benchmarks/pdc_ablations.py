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
import os
import sys
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import cache
from multiprocessing import get_context
from pathlib import Path

import torch
from ablations.banks import SIZES
from ablations.figures import Figures
from ablations.page import make_page
from ablations.plan import LAYERS, USUAL, checked_run, make_parts, make_runs, needed, store_of
from ablations.setup import Settings, Setup
from measurement import without_data

from imc_reference import MODEL_DIR

LETTERS = "abcdefg"
LONG = (LAYERS, "bank of 512", "bank of 256")
"""Groups of runs that begin first, so that no process is left with one of them at the end."""


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
    setup = Setup(settings)
    runs, parts = make_runs(setup.taps), make_parts(setup.taps, args.references, args.sizes)
    wanted = {run for part in parts if part.letter in args.only for run in needed(part)}
    measure(settings, setup, [name for name in runs if name in wanted], args.jobs)

    def is_measured(run: str) -> bool:
        return setup.measurement.is_measured(store_of(setup, run, runs[run]))

    # those of earlier commands too: parts may be measured one by one
    done = [part for part in parts if all(is_measured(run) for run in needed(part))]
    page = make_page(
        Figures(setup, runs),
        done,
        command=f"python benchmarks/pdc_ablations.py {without_data(sys.argv[1:])}".strip(),
        bank=f"its bank of {setup.shipped.images} references",
    )
    args.out.parent.mkdir(parents=True, exist_ok=True)
    args.out.write_text(page, encoding="utf-8")
    print(page)


def measure(settings: Settings, setup: Setup, names: Sequence[str], jobs: int) -> None:
    """Measure the runs of these names, those of one group by one process."""
    runs, groups = make_runs(setup.taps), dict[str, list[str]]()
    for name in names:
        groups.setdefault(runs[name].group, []).append(name)
    if jobs <= 1:
        for name in names:
            setup.measurement.measure(name, checked_run(setup, name, runs[name]))
        return
    if not {LAYERS, USUAL}.isdisjoint(groups):
        setup.banks.usual()  # several groups read it: build it once
    ordered = [*(one for one in LONG if one in groups), *(one for one in groups if one not in LONG)]
    threads = max(1, (os.cpu_count() or 1) // jobs)
    with ProcessPoolExecutor(
        jobs, get_context("spawn"), torch.set_num_threads, (threads,)
    ) as processes:
        waiting = [processes.submit(_measure_group, settings, groups[one]) for one in ordered]
        for one in waiting:
            one.result()


def _measure_group(settings: Settings, names: Sequence[str]) -> None:
    setup = _setup(settings)
    runs = make_runs(setup.taps)
    for name in names:
        setup.measurement.measure(name, checked_run(setup, name, runs[name]))


_setup = cache(Setup)
"""One model a process."""


if __name__ == "__main__":
    main()
