"""`imc ask --batch FILE --out FILE`: every row of a file asked, with one model."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from imc_app.batch_rows import FORMATS, SUFFIXES, read_rows
from imc_app.notices import notice
from imc_app.outputs import OutputKind, check_output
from imc_app.progress import progress_bar
from imc_app.refusals import InputRefused

if TYPE_CHECKING:
    from graphs.context import IMCContext


def ask_batch(
    batch: Path,
    out: Path,
    open_context: partial[IMCContext],
    *,
    noise: Sequence[str],
    frame: int | None,
    seed: int,
    times: bool,
) -> None:
    """Ask every row of `batch` and write what came of each to `out`.

    Exits with 2 where a row was refused, with 1 where the model gave no answer to one.
    """
    from imc_app.batch import BatchSettings, ask_rows
    from imc_app.batch_results import PartialResults
    from imc_app.corruption import parse_noise

    for option in noise:
        parse_noise(option)
    content = _read(batch)
    rows = read_rows(batch, content)
    if out.suffix.lower() not in SUFFIXES:
        raise InputRefused(f"--out {out}: neither CSV nor JSON lines; give {FORMATS}")
    images = {batch.parent / row.image for row in rows if row.image}
    check_output("--out", out, OutputKind.TEXT, inputs=(batch, *sorted(images)))
    settings = BatchSettings(batch.parent, tuple(noise), frame, seed, times)
    request = (version("imc-agents"), open_context.args, open_context.keywords, settings)
    results = PartialResults(out, hashlib.sha256(repr(request).encode() + content).hexdigest())
    if results.records:
        notice(f"{len(results.records)} of {len(rows)} rows are done already; going on")

    try:
        with progress_bar() as advance:
            counts = ask_rows(rows, settings, open_context, results, advance)
    except BaseException:
        results.close()
        done = len(results.records)
        notice(f"stopped after {done} of {len(rows)} rows; the same command goes on from there")
        raise
    results.finish(rows)
    typer.echo(
        f"{out}: {counts.answered} of {len(rows)} rows answered, {counts.refused} refused, "
        f"{counts.failed} without an answer"
    )
    if counts.failed or counts.refused:
        notice("the column or key `error` says why a row has no answer")
        raise typer.Exit(1 if counts.failed else 2)


def _read(batch: Path) -> bytes:
    try:
        return batch.read_bytes()
    except OSError as error:
        raise InputRefused(
            f"--batch {batch}: {(error.strerror or 'cannot be read').lower()}; give {FORMATS}"
        ) from error
