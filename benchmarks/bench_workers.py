"""Rows per second of `imc bench run` with one and with two workers, and whether the rows are equal.

    python benchmarks/bench_workers.py                  # actors of a local Ray cluster
    python benchmarks/bench_workers.py --processes      # worker processes of --jobs

Each worker has one thread (OMP_NUM_THREADS is 1), so that one and two differ in nothing else. The
clock runs from when every worker has loaded the model to when the last row is written; one and two
take turns. Methods are those of the image side, encoder and answers; --methods names others.
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

from imc_agents.chat.placement import Placement
from imc_bench.run.crew import Crew, Place
from imc_bench.run.driver import POLL_SECONDS, drive
from imc_bench.run.processes import Processes
from imc_bench.run.ray_cluster import RayCluster
from imc_bench.run.recipe import ModelRequest, RunRecipe
from imc_bench.run.session import RunRequest, check_request, open_store
from imc_core.ray_connection import LOCAL

ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")
Rows = list[dict[str, Any]]


def place(workers: int, processes: bool) -> Place:
    """So many workers on the CPU of this machine."""
    if processes:
        return Processes([ONE_THREAD] * workers)
    return RayCluster(LOCAL, wanted=workers, use_gpus=False, cores=workers)


def measured(recipe: RunRecipe, workers: int, processes: bool) -> tuple[float, Rows]:
    """Seconds of a whole run, the loading of models left out, and its rows without their times."""
    checked = check_request(recipe.request)
    with (
        tempfile.TemporaryDirectory() as folder,
        Crew(place(workers, processes), recipe) as crew,
    ):
        while crew.ready < workers:
            crew.wait(POLL_SECONDS, lambda: None)
        with open_store(checked, crew.identity(), Path(folder) / "run.sqlite") as store:
            start = time.perf_counter()
            drive(store, crew)
            seconds = time.perf_counter() - start
            rows = [{k: v for k, v in row.items() if k != "ms"} for row in store.rows()]
    return seconds, rows


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--processes", action="store_true", help="of --jobs, without Ray")
    parser.add_argument("--pairs", type=int, default=3)
    parser.add_argument("--limit", type=int, default=120)
    parser.add_argument("--noises", nargs="*", default=["core-image"])
    parser.add_argument("--methods", nargs="*", default=["none", "pdc"])
    parser.add_argument("--acquisition", help="default: the shipped one")
    args = parser.parse_args()
    os.environ.update(ONE_THREAD)
    recipe = RunRecipe(
        RunRequest(
            "phantom",
            noises=tuple(args.noises),
            severities=(3,),
            methods=tuple(args.methods),
            limit=args.limit,
        ),
        ModelRequest(acquisition=args.acquisition, placement=Placement("cpu")),
    )
    where = "processes" if args.processes else "Ray actors"
    print(f"{where}, {os.cpu_count()} cores, {', '.join(args.methods)}; {args.limit} items")
    print("\n| pair | rows | one, rows/s | two, rows/s | ratio |")
    print("| ---: | ---: | ---: | ---: | ---: |")
    ratios, unlike = [], 0
    for pair in range(args.pairs):
        by_count = {}
        for workers in (1, 2) if pair % 2 == 0 else (2, 1):
            by_count[workers] = measured(recipe, workers, args.processes)
        (one, rows), (two, others) = by_count[1], by_count[2]
        unlike += sum(a != b for a, b in zip(rows, others, strict=True))
        ratios.append(one / two)
        print(
            f"| {pair + 1} | {len(rows)} | {len(rows) / one:.1f} | {len(rows) / two:.1f} "
            f"| {ratios[-1]:.2f} |",
            flush=True,
        )
    print(f"\nratio: median {statistics.median(ratios):.2f}; {unlike} rows differ")
    if unlike:
        raise SystemExit(1)


if __name__ == "__main__":
    main()
