"""`imc bench run --jobs N` and `--ray`: workers elsewhere load the model and measure.

This process loads none: it hands out the units of the run, and is the only one that writes.
"""

from __future__ import annotations

import os
import shlex
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from imc_app.notices import waiting
from imc_app.refusals import InputRefused
from imc_app.session import check_context, model_name, open_context
from imc_core.workers import termination_as_interrupt, usable_cores

if TYPE_CHECKING:
    from graphs.context import IMCContext
    from imc_bench.run.crew import Place
    from imc_bench.run.driver import Workers
    from imc_bench.run.processes import Processes
    from imc_bench.run.recipe import ModelRequest
    from imc_bench.run.session import CheckedRequest
    from imc_bench.store.result_store import Store

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
def open_workers(
    checked: CheckedRequest,
    model: ModelRequest,
    out: Path,
    command: str,
    jobs: int | None,
    ray: str | None,
) -> Iterator[tuple[Workers, Store]]:
    """Whoever measures a run, and its store, new or gone on with.

    Args:
        checked: what is measured.
        model: with which model. Where there are worker processes, they alone load it.
        out: the store.
        command: the command line, for a new store.
        jobs: so many worker processes; None: this one, or with `ray` as many as
            `imc_bench.run.ray_cluster.share_of` finds room for.
        ray: address of a cluster; None: no cluster.

    Raises InputRefused, RunRefused, StoreRefused and what a model is refused with, in one line,
    and WorkersLost.
    """
    from imc_bench.run.driver import ThisProcess
    from imc_bench.run.recipe import RunRecipe
    from imc_bench.run.session import open_run, open_store

    if ray is None and (jobs or 1) == 1:
        runner, store = open_run(checked, _context(model), out, command=command)
        with store:
            yield ThisProcess(runner), store
        return
    device = model.placement.device
    if device.startswith("cuda:"):
        raise InputRefused(
            f"--device {device}: each worker has a GPU of its own: give cuda or auto, and "
            "the GPUs in CUDA_VISIBLE_DEVICES"
        )
    check_context(model.profile, tuple(map(Path, model.protected)))
    from imc_bench.run.crew import Crew

    recipe, left = RunRecipe(checked.request, model), _units_left(out, len(checked.plan))
    with ExitStack() as stack:
        stack.enter_context(termination_as_interrupt())
        with waiting(f"loading model {model_name(model.path)} in every worker"):
            place = _place(jobs, ray, device)
            crew = stack.enter_context(Crew(place, recipe, most=left))
            identity = crew.identity()
        yield crew, stack.enter_context(open_store(checked, identity, out, command=command))


def _context(model: ModelRequest) -> IMCContext:
    return open_context(
        model.path,
        None if model.prototypes is None else Path(model.prototypes),
        acquisition=None if model.acquisition is None else Path(model.acquisition),
        profile=model.profile or "auto",
        protected=tuple(map(Path, model.protected)),
        seed=model.seed,
        placement=model.placement,
    )


def _place(jobs: int | None, ray: str | None, device: str) -> Place:
    """Where the workers are."""
    if ray is None:
        return _processes(jobs or 1, device)
    from imc_bench.run.ray_cluster import RayCluster

    use_gpus = device in ("auto", "cuda")
    return RayCluster(ray, wanted=jobs, use_gpus=use_gpus, cores=usable_cores())


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


def _threads(jobs: int) -> int:
    """Threads for each worker: an equal share of the cores, or less where less is asked for."""
    cores = usable_cores()
    asked = os.environ.get(THREAD_VARIABLES[0], "")
    return max(1, min(cores // jobs, int(asked) if asked.isdigit() else cores))
