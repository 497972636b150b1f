"""`--stages`: which stages of PDC are on, the picture's and that of the encoder's features."""

from __future__ import annotations

from typing import Annotated

import typer

from imc_app.refusals import InputRefused

STAGES = ("pixels", "features")
ALL_STAGES = ",".join(STAGES)

StagesOption = Annotated[
    str,
    typer.Option(
        "--stages",
        metavar="pixels,features",
        help="Stages of PDC, both or one alone. pixels: noise is classified from the pixels, and "
        "the picture restored; features: noise is classified from the encoder's features, and they "
        "are calibrated.",
    ),
]


def parse_stages(option: str) -> tuple[str, ...]:
    """The stages that `--stages` names, in order. Raises InputRefused for others, and for none."""
    named = [word.strip() for word in option.split(",")]
    if not set(named) <= set(STAGES):
        raise InputRefused(f"--stages {option}: give pixels, features or pixels,features")
    return tuple(stage for stage in STAGES if stage in named)
