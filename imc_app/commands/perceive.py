"""`imc perceive`: which noise is in an image, without a question."""

from __future__ import annotations

import json
from typing import Annotated

import typer

from imc_app.options import AsJson, Frame, ModelOption, PrototypesOption
from imc_app.refusals import is_refusal, one_line


def perceive(
    images: Annotated[list[str], typer.Argument(metavar="IMAGE...", help="Image files.")],
    model: ModelOption = None,
    prototypes: PrototypesOption = None,
    frame: Frame = None,
    as_json: AsJson = False,
) -> None:
    """Name the noise in each image, its severity and how sure that is.

    An image that is refused gets its line on stderr and the others are still answered; the exit
    code is then 2.
    """
    from imc_app.session import open_calibrator
    from imc_app.show import console, describe_noise
    from vision.reading import read_image

    calibrator = open_calibrator(model, prototypes)
    out = console()
    refused = False
    for source in images:
        try:
            image = read_image(source, frame=frame)
            noise = calibrator.perceive(image).model_dump(mode="json")
        except ValueError as error:
            if not is_refusal(error):
                raise
            typer.echo(f"imc: {one_line(str(error))}", err=True)
            refused = True
            continue
        if as_json:
            report = {
                "source": source,
                "sha256": image.sha256,
                "width": image.width,
                "height": image.height,
                "noise": noise,
            }
            typer.echo(json.dumps(report, ensure_ascii=False))
        else:
            out.print(f"{one_line(source)}: ", describe_noise(noise), sep="", markup=False)
    if refused:
        raise typer.Exit(2)
