"""`imc bench run --jobs N`: N processes of the same command share one run on this machine.

Each worker is `imc bench run` itself, so that it refuses and owns up as the command does; what
they share is the store. A worker's claim ends with its process, and the others take it up.
"""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING

import typer

from imc_app.refusals import InputRefused

if TYPE_CHECKING:
    from imc_bench.store.result_store import Store
    from imc_bench.store.units import RunProgress

POLL_SECONDS = 0.5
"""How often the store is asked how far the run has come."""
STOP_SECONDS = 5.0
"""How long a worker that was asked to stop may take to give back its claim."""
REFUSED = 2
"""Exit code of a command whose input was refused."""
GIVEN = ("COMMANDLINE", "DEFAULT_MAP")
"""Where an option's value may come from that a worker must be given: typed, or in `--config`."""
THREAD_VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")


def spelled(context: typer.Context, *, leaving_out: Sequence[str] = ()) -> list[str]:
    """The options that were given to this command, as words that give them again."""
    words = []
    for parameter in context.command.params:
        name = parameter.name or ""
        source = context.get_parameter_source(name)
        if source is None or source.name not in GIVEN or name in leaving_out:
            continue
        if name in context.params:  # the output options are each process's own
            value = context.params[name]
            for one in value if isinstance(value, list | tuple) else (value,):
                words.append(parameter.opts[0])
                if one is not True:  # a flag stands alone
                    words.append(str(getattr(one, "value", one)))
    return words


def command_line(context: typer.Context) -> str:
    """The command for a reader of its report, to be pasted; it names no folder of this machine."""
    words = spelled(context, leaving_out=("jobs", "worker_of"))
    return shlex.join(["imc", "bench", "run", *map(shown_path, words)])


def shown_path(word: str) -> str:
    """A word of a command line without a place of this machine in it.

    A relative path stays, an absolute one below the working directory becomes relative, and any
    other is `/path/to/NAME`, which a reader fills in.
    """
    path = Path(word)
    if not path.is_absolute() or not path.parent.is_dir():
        return word
    here = Path.cwd()
    return str(path.relative_to(here)) if path.is_relative_to(here) else f"/path/to/{path.name}"


def run_jobs(
    options: Sequence[str], store: Store, jobs: int, advance: Callable[[RunProgress], None]
) -> tuple[RunProgress, int]:
    """Let `jobs` workers finish the run in `store`; how far it came, and how many of them died.

    Asked to terminate, it stops as if interrupted, and its workers with it.

    Args:
        options: of `imc bench run`, for each worker.
        store: this run's, open.
        jobs: at least 1; no more are started than there are units left.
        advance: called twice a second.

    Raises InputRefused with a worker's own line where it refused to go on (a full disk), and where
    there is no temporary folder.
    """
    with ExitStack() as stack:
        stack.enter_context(_termination_as_interrupt())
        progress = store.progress()
        wanted = min(jobs, progress.units - progress.units_done)
        try:
            said = [stack.enter_context(tempfile.TemporaryFile("w+")) for _ in range(wanted)]
        except OSError as error:
            raise InputRefused(
                f"--jobs {jobs}: no temporary folder can be written "
                f"({error.strerror or type(error).__name__}): free some space, or name another "
                "folder in TMPDIR"
            ) from error
        with _workers(worker_command(options), said, _threads(jobs)) as workers:
            # poll() also buries a dead worker: only then do the others see that it is gone
            while any([worker.poll() is None for worker in workers]):
                advance(store.progress())
                time.sleep(POLL_SECONDS)
        progress = store.progress()
        advance(progress)
        codes = [worker.returncode for worker in workers]
        if not progress.complete and REFUSED in codes:
            raise InputRefused(_last_line(said[codes.index(REFUSED)]))
    return progress, sum(code != 0 for code in codes)


@contextmanager
def _termination_as_interrupt() -> Iterator[None]:
    """Within the block SIGTERM interrupts, so that the workers are stopped too."""
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def worker_command(options: Sequence[str]) -> list[str]:
    """What a worker of this process runs."""
    return [
        *(sys.executable, "-m", "imc_app.cli", "bench", "run"),
        *options,
        *("--worker-of", str(os.getpid())),
    ]


@contextmanager
def _workers(
    command: Sequence[str], said: Sequence[IO[str]], threads: int
) -> Iterator[list[subprocess.Popen[bytes]]]:
    """Workers, each with a file for what it says; none of them outlives the block."""
    environment = {**os.environ, **dict.fromkeys(THREAD_VARIABLES, str(threads))}
    started: list[subprocess.Popen[bytes]] = []
    try:
        for file in said:
            started.append(
                subprocess.Popen(
                    command,
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.DEVNULL,
                    stderr=file,
                    env=environment,
                    start_new_session=True,  # Ctrl-C comes to us, and from us to them
                )
            )
        yield started
    finally:
        for worker in started:
            worker.terminate()
        for worker in started:
            try:
                worker.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                worker.kill()
                worker.wait()


def _threads(jobs: int) -> int:
    """Threads for each worker: an equal share of the cores, or less where less is asked for."""
    cores = len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count() or 1
    asked = os.environ.get(THREAD_VARIABLES[0], "")
    return max(1, min(cores // jobs, int(asked) if asked.isdigit() else cores))


def _last_line(file: IO[str]) -> str:
    """A refusal is the last that a command says."""
    file.seek(0)
    lines = file.read().strip().splitlines() or ["imc: a worker process refused to go on"]
    return lines[-1].removeprefix("imc: ")
