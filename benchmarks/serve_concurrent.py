"""Ask a real `imc serve` many questions at once: how many are answered, and the slowest of them.

    python benchmarks/serve_concurrent.py --questions 50

Starts the server on a free port, asks one question so that the model is loaded, then sends all
questions at the same moment, each with another picture (a phantom with noise of its own seed, as an
image block) and a mistyped question. Afterwards the same questions are asked one by one: an answer
or a refined question that differs is counted, because runs of one server share a model and stores.
"""

from __future__ import annotations

import argparse
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from threading import Barrier
from typing import Any

import httpx

from imc_app.page import picture_address
from imc_app.session import read_request

REPOSITORY = Path(__file__).parent.parent
PHANTOMS = tuple(sorted((REPOSITORY / "examples").glob("phantom_*.png")))
QUESTIONS = (
    "Waht modality is this?",
    "Is teh image noisy?",
    "What modaliy is shown in this imgae?",
)
START_SECONDS = 180
WAIT_SECONDS = 600


@dataclass(frozen=True)
class Reply:
    """What the server returned for one question."""

    seconds: float
    answer: str | None
    """None: none was given."""
    read_as: str | None
    fault: str | None
    """Why there is no answer."""


@contextmanager
def served() -> Iterator[str]:
    """The address of an `imc serve` of the embedded model, which ends with the block."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "imc_app.cli", "serve", "--port", str(port)]
    environment = {name: value for name, value in os.environ.items() if name != "IMC_TOKEN"}
    process = subprocess.Popen(
        command,
        cwd=REPOSITORY,
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        url = f"http://127.0.0.1:{port}"
        _wait_until_ready(url, process)
        yield url
    finally:
        process.terminate()
        try:
            process.wait(15)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _wait_until_ready(url: str, process: subprocess.Popen[bytes]) -> None:
    end = time.monotonic() + START_SECONDS
    while process.poll() is None and time.monotonic() < end:
        try:
            if httpx.get(f"{url}/ok", timeout=2).is_success:
                return
        except httpx.TransportError:
            pass  # not listening yet
        time.sleep(0.2)
    raise SystemExit("the server did not start; run `imc serve` to see why")


def inputs(number: int) -> list[dict[str, Any]]:
    """Inputs for the served graph, no two with the same pixels."""
    made = []
    for seed in range(number):
        phantom, question = PHANTOMS[seed % len(PHANTOMS)], QUESTIONS[seed % len(QUESTIONS)]
        request = read_request(phantom, question, ["gaussian:3"], frame=None, seed=seed)
        pixels = picture_address(request.image).partition(",")[2]
        block = {"type": "image", "base64": pixels, "mime_type": "image/png"}
        made.append({"image": block, "question": question})
    return made


def ask(client: httpx.Client, given: dict[str, Any]) -> Reply:
    """Put one question to the server and wait for its answer."""
    start = time.perf_counter()
    try:
        sent = client.post("/runs/wait", json={"assistant_id": "imc", "input": given})
        sent.raise_for_status()
        values = sent.json()
    except httpx.HTTPError as error:
        return Reply(time.perf_counter() - start, None, None, type(error).__name__)
    seconds = time.perf_counter() - start
    if "__error__" in values:
        return Reply(seconds, None, None, str(values["__error__"].get("message")))
    answer = values["answer"]
    return Reply(seconds, answer["text"], values["decision"]["used"], answer.get("failure"))


def at_once(client: httpx.Client, given: list[dict[str, Any]]) -> list[Reply]:
    """All questions sent at the same moment, each from a thread of its own."""
    ready = Barrier(len(given))

    def ask_together(each: dict[str, Any]) -> Reply:
        ready.wait()
        return ask(client, each)

    with ThreadPoolExecutor(len(given)) as pool:
        return list(pool.map(ask_together, given))


def main() -> int:
    """Ask, print what came of it, and return 1 where a question has no answer."""
    parser = argparse.ArgumentParser(description="Ask `imc serve` many questions at once.")
    parser.add_argument("--questions", type=int, default=50)
    options = parser.parse_args()
    given = inputs(options.questions)
    limits = httpx.Limits(max_connections=options.questions)
    with (
        served() as url,
        httpx.Client(base_url=url, timeout=WAIT_SECONDS, limits=limits, trust_env=False) as client,
    ):
        first = ask(client, given[0])
        print(f"first question, which loads the model: {first.seconds:.1f} s")
        start = time.perf_counter()
        together = at_once(client, given)
        whole = time.perf_counter() - start
        alone = [ask(client, each) for each in given]
    failed = [reply for reply in together if reply.answer is None]
    pairs = zip(together, alone, strict=True)
    differ = sum((a.answer, a.read_as) != (b.answer, b.read_as) for a, b in pairs)
    print(f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}; {len(given)} at once:")
    print(f"answered {len(given) - len(failed)}, failed {len(failed)}")
    print(f"slowest {max(reply.seconds for reply in together):.1f} s, all {whole:.1f} s")
    print(f"one by one {sum(reply.seconds for reply in alone):.1f} s, answers that differ {differ}")
    for fault in sorted({str(reply.fault) for reply in failed}):
        print(f"failed: {fault}")
    return 1 if failed or differ else 0


if __name__ == "__main__":
    sys.exit(main())
