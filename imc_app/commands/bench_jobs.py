"""`imc bench run --jobs N` and `--ray`: workers elsewhere load the model and measure.

This process loads none: it hands out the units of the run, and is the only one that writes.
"""

from __future__ import annotations

import os
import shlex
import signal
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from imc_app.refusals import InputRefused

if TYPE_CHECKING:
    from imc_bench.run.crew import Crew
    from imc_bench.run.processes import Processes
    from imc_bench.run.recipe import RunRecipe

GIVEN = ("COMMANDLINE", "DEFAULT_MAP")
"""Where an option's value may come from that belongs to the run: typed, or in `--config`."""
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
    words = spelled(context, leaving_out=("jobs", "ray"))
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


@contextmanager
def open_crew(
    recipe: RunRecipe, out: Path, *, jobs: int | None, ray: str | None, units: int
) -> Iterator[Crew]:
    """Workers that load the model themselves, as processes of this machine or actors of a cluster.

    Asked to terminate, the command stops as if interrupted, and its workers with it.

    Args:
        recipe: what they measure.
        out: the store; no more workers are started than it has units left.
        jobs: so many; None: as many as `imc_bench.run.ray_cluster.share_of` finds room for.
        ray: address of a cluster; None: processes.
        units: of the whole run.

    Raises InputRefused and RunRefused, in one line.
    """
    from imc_bench.run.crew import Crew, Place

    device = recipe.model.device
    if device.startswith("cuda:"):
        raise InputRefused(
            f"--device {device}: each worker has a GPU of its own: give cuda or auto, and the GPUs "
            "in CUDA_VISIBLE_DEVICES"
        )
    place: Place
    with _termination_as_interrupt():
        if ray is None:
            place = _processes(jobs or 1, device)
        else:
            from imc_bench.run.ray_cluster import RayCluster

            place = RayCluster(
                ray, wanted=jobs, use_gpus=device in ("auto", "cuda"), cores=_cores()
            )
        with Crew(place, recipe, most=_units_left(out, units)) as crew:
            yield crew


def _units_left(out: Path, units: int) -> int:
    """At least one: a worker says whether the store is this run's."""
    from imc_bench.errors import StoreRefused
    from imc_bench.store.result_store import Store

    try:
        with Store.read(out) as store:
            progress = store.progress()
    except StoreRefused:  # there is none yet, or it is refused where it is opened to write
        return units
    return max(1, progress.units - progress.units_done)


def _processes(jobs: int, device: str) -> Processes:
    from imc_bench.run.processes import GPU_VARIABLE, Processes, gpu_names

    gpus = gpu_names(os.environ.get(GPU_VARIABLE), device)
    if device == "cuda" and not gpus:
        raise InputRefused("--device cuda: this machine has no GPU that can be used: give cpu")
    threads = dict.fromkeys(THREAD_VARIABLES, str(_threads(jobs)))
    return Processes(
        [
            {**threads, **({GPU_VARIABLE: gpus[number % len(gpus)]} if gpus else {})}
            for number in range(jobs)
        ]
    )


@contextmanager
def _termination_as_interrupt() -> Iterator[None]:
    """Within the block SIGTERM interrupts, so that the workers are stopped too."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _threads(jobs: int) -> int:
    """Threads for each worker: an equal share of the cores, or less where less is asked for."""
    cores = _cores()
    asked = os.environ.get(THREAD_VARIABLES[0], "")
    return max(1, min(cores // jobs, int(asked) if asked.isdigit() else cores))


def _cores() -> int:
    """Of this machine, for this process."""
    return len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count() or 1
