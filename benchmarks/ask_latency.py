"""Time `imc ask`: cold (a fresh process) and warm (the model already loaded).

Run from the repository: `make bench`, or `.venv/bin/python benchmarks/ask_latency.py --help`.
Prints one row per method: median and slowest run, and how many times the bare model's time each
method takes. The example's image and question are asked about, corrupted anew for each warm run, so
that no features are held from the one before. Then the graph's `stream()`: the milliseconds to its
first event (a node begins), to the end of the first node, and to the end of the run.
`--only events` leaves the table out.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, get_args

from graphs import build_imc_graph
from imc_agents.policy import Method
from imc_app.example import Example, ct_example
from imc_app.session import answer_request, open_context, read_request

CLEAN_QUESTION = "What modality is shown in this image?"


def timed(calls: Iterable[Callable[[], object]]) -> list[float]:
    """Return the seconds that each call took."""
    seconds = []
    for call in calls:
        start = time.perf_counter()
        call()
        seconds.append(time.perf_counter() - start)
    return seconds


def cold_runs(example: Example, method: Method, model: str | None, repeats: int) -> list[float]:
    """Seconds of `imc ask` as a person meets it: interpreter, imports, model, answer."""
    noise = [part for each in example.noise for part in ("--noise", each)]
    command = [sys.executable, "-m", "imc_app.cli", "ask", str(example.image), example.question]
    command += [*noise, "--method", method, "--json", *(["--model", model] if model else [])]

    def ask() -> None:
        subprocess.run(
            command, check=True, stdout=subprocess.DEVNULL, cwd=Path(__file__).parent.parent
        )

    return timed([ask] * repeats)


def warm_runs(
    example: Example, method: Method, model: str | None, repeats: int, question: str
) -> list[float]:
    """Seconds from reading the file to the finished document, with the model loaded."""
    context = open_context(model, method=method)

    def ask(seed: int) -> None:
        request = read_request(str(example.image), question, example.noise, frame=None, seed=seed)
        answer_request(context, request)

    ask(10_000)  # the first question pays for what is made lazily
    return timed([lambda seed=seed: ask(seed) for seed in range(repeats)])  # type: ignore[misc]


def event_times(example: Example, model: str | None, repeats: int) -> list[list[float]]:
    """Milliseconds of each run from `stream()` to its first event, first node's end, and end."""
    context, graph = open_context(model), build_imc_graph()

    def follow(seed: int) -> list[float]:
        request = read_request(
            str(example.image), example.question, example.noise, frame=None, seed=seed
        )
        asked: Any = {"image": context.images.put(request.image), "question": request.question}
        first: dict[str, float] = {}
        start = time.perf_counter()
        for mode, _ in graph.stream(asked, context=context, stream_mode=["tasks", "updates"]):
            first.setdefault(mode, time.perf_counter())
        moments = (first["tasks"], first["updates"], time.perf_counter())
        return [1000 * (moment - start) for moment in moments]

    follow(10_000)  # as in warm_runs
    return [follow(seed) for seed in range(repeats)]


def print_events(example: Example, model: str | None, repeats: int) -> None:
    """Measure and print when the events of `stream()` come."""
    names = ("first event", "first node's end", "end")
    columns = zip(*event_times(example, model, repeats), strict=True)
    print(f"stream(), method imc, {repeats} runs; ms after the call, median (slowest):")
    for name, column in zip(names, columns, strict=True):
        print(f"{name:>17} {statistics.median(column):6.1f} ({max(column):.1f})", flush=True)


def main() -> None:
    """Measure and print what was asked for."""
    parser = argparse.ArgumentParser(description="Time `imc ask`, cold and warm, and its events.")
    parser.add_argument("--cold", type=int, default=3, help="cold runs per method")
    parser.add_argument("--warm", type=int, default=9, help="warm runs per method")
    parser.add_argument("--events", type=int, default=30, help="runs whose events are timed")
    parser.add_argument("--only", choices=("answers", "events"), help="one part alone")
    parser.add_argument("--model", help="another model than the embedded one")
    options = parser.parse_args()
    example = ct_example()
    print(f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}; {example.command}\n")
    if options.only != "events":
        print_answers(example, options)
    if options.only != "answers":
        print_events(example, options.model, options.events)


def print_answers(example: Example, options: argparse.Namespace) -> None:
    """Measure and print the table of cold and warm runs."""
    print("| method | cold s (slowest) | warm ms (slowest) | × none | clean question, warm ms |")
    print("| --- | --- | --- | --- | --- |")
    bare = None
    for method in get_args(Method):
        cold = cold_runs(example, method, options.model, options.cold)
        warm = warm_runs(example, method, options.model, options.warm, example.question)
        clean = warm_runs(example, method, options.model, options.warm, CLEAN_QUESTION)
        middle = statistics.median(warm)
        bare = bare or middle
        print(
            f"| {method} | {statistics.median(cold):.1f} ({max(cold):.1f}) "
            f"| {1000 * middle:.0f} ({1000 * max(warm):.0f}) | {middle / bare:.1f} "
            f"| {1000 * statistics.median(clean):.0f} |",
            flush=True,
        )
    print()


if __name__ == "__main__":
    main()
