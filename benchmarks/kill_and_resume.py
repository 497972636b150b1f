"""Kill a question at random moments, finish it in another process, and compare with one that ran
through: nothing may be lost and no node may run twice.

    python benchmarks/kill_and_resume.py --kills 20

The moments are uniform over the time that the question takes alone, so that they fall between nodes
and inside them. Prints one line for each kill and the sizes of database and images at the end.
"""

from __future__ import annotations

import argparse
import os
import random
import signal
import tempfile
import time
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

from graphs import FeatureStore, IMCContext, build_imc_graph, load_context
from graphs.checkpoints import KeptThreads, open_checkpointer
from graphs.threads import ThreadUnknown, config_of, summary
from imc_reference import MODEL_DIR

IMAGE = Path(__file__).parent.parent / "examples" / "phantom_ct.png"
QUESTION = "Is ther evidense of pnuemothorax on this chest xray imgae?"
KEYS = ("answer", "decision", "findings", "perception", "image_name")


def run(context: IMCContext, kept: KeptThreads, given: Any, thread: str) -> Any:
    """One run of the graph, every step kept before the next; features are computed anew."""
    fresh = replace(context, features=FeatureStore())
    graph = build_imc_graph(checkpointer=kept)
    return graph.invoke(given, config_of(thread), context=fresh, durability="sync")


def killed(context: IMCContext, database: Path, given: Any, thread: str, after: float) -> bool:
    """Run in a process of its own and kill it after `after` seconds; whether it was alive."""
    if (child := os.fork()) == 0:
        try:
            run(context, open_checkpointer(database), given, thread)
        finally:
            os._exit(0)
    time.sleep(after)
    os.kill(child, signal.SIGKILL)
    return os.WIFSIGNALED(os.waitpid(child, 0)[1])


def main() -> None:
    """Run the kills and print what came of each."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    moments, context = random.Random(options.seed), load_context(MODEL_DIR)
    given = {"image": str(IMAGE), "question": QUESTION}
    outcomes: Counter[str] = Counter()
    with tempfile.TemporaryDirectory() as folder:
        database = Path(folder) / "threads.sqlite"
        kept = open_checkpointer(database)
        run(context, kept, given, "warm")
        began = time.monotonic()
        whole = run(context, kept, given, "whole")
        seconds = time.monotonic() - began
        nodes = Counter(step.node for step in whole["trace"])
        for number in range(options.kills):
            thread, after = f"kill-{number}", moments.uniform(0, seconds)
            alive = killed(context, database, given, thread, after)
            outcome, where = _finish(context, kept, thread, whole, nodes)
            outcomes[outcome] += 1
            print(f"{after:6.3f} s  {'killed' if alive else 'ended before'}  {where:28}{outcome}")
        size = kept.thread_sizes()[0][2]
        images = sum(file.stat().st_size for file in kept.images.path.iterdir())
        kept.close()
        print(f"one question: {size / 1024:.1f} KiB; database {database.stat().st_size >> 10} KiB")
        print(f"images: {images >> 10} KiB; {dict(outcomes)}")


def _finish(
    context: IMCContext, kept: KeptThreads, thread: str, whole: Any, nodes: Counter[str]
) -> tuple[str, str]:
    """What became of a killed thread, and where it was stopped."""
    try:
        found = summary(kept, thread)
    except ThreadUnknown:
        return "not begun", "before the first step"
    state = run(context, kept, None, thread)
    where = f"before {', '.join(found.waits_for)}" if found.waits_for else "after the end"
    if any(state[key] != whole[key] for key in KEYS):
        return "LOST", where
    if Counter(step.node for step in state["trace"]) != nodes:
        return "DOUBLED", where
    return "same answer", where


if __name__ == "__main__":
    main()
