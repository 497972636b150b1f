"""`imc restore`: pictures corrected without any model, where that is surely better."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from imc_app.command import examples
from imc_app.image_files import BATCH, STDIN
from imc_app.notices import notice
from imc_app.options import AcquisitionOption, Frame
from imc_app.outputs import check_output_folder
from imc_app.perceiving import read_parts
from imc_app.progress import progress_bar
from imc_app.refusals import InputRefused, one_line, refusal_line
from imc_app.restored_files import TABLE, RestoredFolder, Row, file_name, targets

if TYPE_CHECKING:
    from vision.acquisition import AcquisitionHalf, Restoration
    from vision.reading.medical_image import MedicalImage

EXAMPLES = examples(
    "imc restore scan.dcm --out restored/",
    "imc restore radiographs/ --out restored/",
)


def restore(
    images: Annotated[
        list[str],
        typer.Argument(
            metavar="IMAGE...", help="Image files and folders, which are searched in depth."
        ),
    ],
    out: Annotated[
        Path,
        typer.Option(
            "--out",
            "-o",
            metavar="FOLDER",
            help="Where restored pictures and restore.csv go; not a folder of the images.",
        ),
    ],
    acquisition: AcquisitionOption = None,
    frame: Frame = None,
) -> None:
    """Correct noisy pictures, without any model, and write those that were surely made better.

    Each goes into the folder under its own name, as PNG of its own size and without any metadata;
    clean pictures, and those whose correction is not sure, are not written. restore.csv says for
    every file what was found, what was decided and why. No original and no other file is
    overwritten; the same command may be run again. A file that is refused gets its line, and the
    others are still restored; the exit code is then 2.
    """
    if STDIN in images:
        raise InputRefused("-: restore reads no paths from stdin; name images and folders")
    check_output_folder("--out", out, inputs=images)
    for source in map(Path, images):
        if source.is_dir() and out.resolve().is_relative_to(source.resolve()):
            raise InputRefused(
                f"--out {out}: it lies in {source}, which is read: restored pictures would be "
                "read as images next time; name another folder"
            )
    names = targets(images)
    from imc_app.perceivers import open_acquisition

    half = open_acquisition(acquisition)
    folder = RestoredFolder(out, names)
    decisions: Counter[str] = Counter()
    paths = list(names)
    try:
        with progress_bar() as advance:
            for begin in range(0, len(paths), BATCH):
                for held in read_parts(paths[begin : begin + BATCH], frame):
                    restored = iter(_restore(half, [one for _, one in held]))
                    for path, image in held:
                        result = image if isinstance(image, str) else next(restored)
                        row = _row(path, names[path], result, folder)
                        if row.decision == "refused":
                            typer.echo(f"imc: {one_line(row.reason)}", err=True)
                        folder.add(row)
                        decisions[row.decision] += 1
                        advance("restoring", decisions.total(), len(paths))
    finally:
        folder.finish()
        if decisions.total() < len(paths):
            notice(f"stopped after {decisions.total()} of {len(paths)} images")
    typer.echo(
        f"{out}: {decisions['restored']} of {len(paths)} images restored, {decisions['clean']} "
        f"clean, {decisions['declined']} declined, {decisions['refused']} refused; {TABLE} says why"
    )
    if decisions["refused"]:
        raise typer.Exit(2)


def _restore(
    half: AcquisitionHalf, images: Sequence[MedicalImage | str]
) -> list[Restoration | str]:
    """What came of every image that was read."""
    read = [image for image in images if not isinstance(image, str)]
    try:
        return list(half.restore_batch(read))
    except ValueError as error:
        refusal_line(error)  # raises what is no refusal
        return [_restore_alone(half, image) for image in read]


def _restore_alone(half: AcquisitionHalf, image: MedicalImage) -> Restoration | str:
    try:
        (result,) = half.restore_batch([image])
    except ValueError as error:
        return refusal_line(error)
    return result


def _row(path: Path, name: Path, result: Restoration | str, folder: RestoredFolder) -> Row:
    """Write the picture where it was restored, and say what was decided."""
    file = file_name(path)
    if isinstance(result, str):
        said = result if str(path) in result else f"{path}: {result}"
        return Row(file, "refused", reason=one_line(said))
    noise = result.perception
    if noise is None:
        return Row(file, "declined", reason=result.declined or "too small to be examined")
    found = {
        "kind": noise.kind,
        "severity": str(noise.severity),
        "p_value": f"{noise.clean_p_value:.6g}",
    }
    if not result.restored:
        decision = "declined" if result.declined else "clean"
        reason = result.declined or "no noise found"
        return Row(file, decision, **found, reason=one_line(reason))
    share = "" if result.predicted_share is None else f"{result.predicted_share:.4g}"
    found["predicted_share"] = share
    try:
        digest = folder.write(name, result.image)
    except InputRefused as error:
        return Row(file, "refused", **found, reason=one_line(str(error)))
    reason = f"corrected: {', '.join(result.rounds)}"
    if result.declined:
        reason += f"; then declined: {result.declined}"
    return Row(
        file,
        "restored",
        **found,
        reason=one_line(reason),
        output=name.as_posix(),
        output_sha256=digest,
    )
