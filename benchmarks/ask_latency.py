"""Time `imc ask`: cold (a fresh process) and warm (the model already loaded).

Run from the repository: `make bench`, or `.venv/bin/python benchmarks/ask_latency.py --help`.
Prints one row per method with the median and the slowest run, and how many times the bare model's
time each method takes.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from imc_app.cli import run
from imc_app.example import ct_example

METHODS = ("none", "pdc", "sms", "imc")


def time_each(call: Callable[[], None], repeats: int) -> list[float]:
    """Return the seconds each of `repeats` calls took."""
    seconds = []
    for _ in range(repeats):
        start = time.perf_counter()
        call()
        seconds.append(time.perf_counter() - start)
    return seconds


def ask_in_new_process(arguments: list[str]) -> None:
    """Run `imc` as a person would: interpreter start, imports, model, answer."""
    subprocess.run(
        [sys.executable, "-m", "imc_app.cli", *arguments],
        check=True,
        stdout=subprocess.DEVNULL,
        cwd=Path(__file__).parent.parent,
    )


def ask_in_this_process(arguments: list[str]) -> None:
    """Run `imc` in this process, where the libraries and the model are already loaded."""
    with contextlib.redirect_stdout(io.StringIO()):
        code = run(arguments)
    if code != 0:
        raise SystemExit(f"imc {' '.join(arguments)}: exit code {code}")


def main() -> None:
    """Measure and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--cold", type=int, default=3, help="cold runs per method")
    parser.add_argument("--warm", type=int, default=7, help="warm runs per method")
    parser.add_argument("--model", help="another model than the embedded one")
    options = parser.parse_args()

    example = ct_example()
    base = ["ask", str(example.image), example.question, "--json"]
    for noise in example.noise:
        base += ["--noise", noise]
    if options.model:
        base += ["--model", options.model]

    print(f"{'method':8} {'cold s':>8} {'slowest':>8} {'warm ms':>9} {'slowest':>9} {'× none':>7}")
    bare = None
    for method in METHODS:
        arguments = [*base, "--method", method]
        cold = time_each(lambda given=arguments: ask_in_new_process(given), options.cold)  # type: ignore[misc]
        ask_in_this_process(arguments)  # load, outside the measurement
        warm = time_each(lambda given=arguments: ask_in_this_process(given), options.warm)  # type: ignore[misc]
        middle = statistics.median(warm)
        bare = bare or middle
        print(
            f"{method:8} {statistics.median(cold):8.2f} {max(cold):8.2f} "
            f"{1000 * middle:9.0f} {1000 * max(warm):9.0f} {middle / bare:7.2f}"
        )


if __name__ == "__main__":
    main()
