"""The Image page: the picture and the restored one under a slider, and what moved, per patch."""

from __future__ import annotations

import base64
import io
from html import escape
from typing import TYPE_CHECKING

from nicegui import ui
from PIL import Image

from imc_app.page import picture_address
from imc_app.refusals import InputRefused
from imc_app.studio.pictures import PictureChoice
from imc_app.studio.shell import Refusal, shell
from imc_app.studio.studio import Studio
from imc_app.studio.watched import Computation

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from vision.patch_changes import ImageComparison
    from vision.reading.medical_image import MedicalImage

STYLE = """
<style>
.imc-compare { --cut: 50%; --zoom: 1; --heat: 0; max-width: 40rem; }
.imc-compare .frame { overflow: auto; max-height: 70vh; border: 1px solid var(--line); }
.imc-compare .stack { position: relative; width: calc(100% * var(--zoom)); }
.imc-compare .stack img { display: block; width: 100%; image-rendering: pixelated; }
.imc-compare .stack img + img { position: absolute; inset: 0; }
.imc-compare .after { clip-path: inset(0 0 0 var(--cut)); }
.imc-compare .heat { opacity: var(--heat); }
.imc-compare label { display: grid; grid-template-columns: 10rem 1fr; align-items: center; }
</style>
"""
SLIDE = "this.closest('.imc-compare').style.setProperty('{}', this.value + '{}')"


def add_image_page(studio: Studio) -> None:
    """Register the page under `/image` and, of a thread or picture, `/image/NAME`."""

    @ui.page("/image")
    async def choose() -> None:
        with shell("Image") as refusal:
            ui.html("What was done to an image", tag="h1")
            _choice(studio, refusal, None)

    @ui.page("/image/{name}")
    async def compare(name: str) -> None:
        with shell("Image") as refusal:
            ui.html("What was done to an image", tag="h1")
            ui.add_head_html(STYLE)
            image = None
            with refusal.shown():
                image = await studio.picture(name)
                computation = _begun(studio, image)
                _View(computation)
            with ui.expansion("Another image").classes("w-full"):
                _choice(studio, refusal, image)


def _choice(studio: Studio, refusal: Refusal, image: MedicalImage | None) -> None:
    picture = PictureChoice(refusal, kept=image)

    def compare() -> None:
        with refusal.shown():
            if picture.image is None:
                raise InputRefused("choose an image first: drop a file, or use the example")
            ui.navigate.to(f"/image/{studio.put_picture(picture.image)}")

    ui.button("Compare", on_click=compare).props("no-caps")


def _begun(studio: Studio, image: MedicalImage) -> Computation:
    def job() -> ImageComparison:
        from vision.patch_changes import compare_image

        calibrator = studio.open().calibrator
        if calibrator is None:
            raise InputRefused("the model has no image side: nothing can be compared")
        return compare_image(calibrator, image)

    return studio.computation(f"compare {image.sha256}", "comparing", job)


class _View:
    """The comparison, when it is there."""

    def __init__(self, computation: Computation) -> None:
        self.computation = computation
        self.status = ui.html("", sanitize=False).props("role=status")
        self.result = ui.html("", sanitize=False).classes("w-full")
        ui.context.client.on_delete(computation.watch(self.show))
        self.show()

    def show(self) -> None:
        """Show what is known now."""
        self.status.set_content(self.computation.status_html)
        if self.computation.result is not None:
            self.result.set_content(comparison_html(self.computation.result))


def comparison_html(comparison: ImageComparison) -> str:
    """The two pictures under a slider, the heat map over them, and the report."""
    calibrated = comparison.calibrated
    found = "" if calibrated.perception is None else calibrated.perception._repr_html_()
    report = calibrated.report._repr_html_()
    restored = calibrated.restored
    if restored is None:
        said = "The picture itself was left as it was."
    else:
        said = "Left of the cut: as it came in. Right of it: as the model saw it."
    return (
        f'<div class="imc-columns"><section aria-label="Pictures"><p>{said}</p>'
        f"{_pictures(comparison, restored or comparison.image)}</section>"
        f'<section aria-label="Report" class="wide">{found}{report}</section></div>'
    )


def _pictures(comparison: ImageComparison, after: MedicalImage) -> str:
    heat, changes = "", comparison.changes
    legend = "No map of changed patches: nothing was changed, or the patches lie on no known grid."
    if changes is not None:
        heat = f'<img class="heat" src="{_heat_map(changes)}" alt="">'
        legend = (
            f"Changed patches, {changes.shape[0]} x {changes.shape[1]}: the reddest moved by "
            f"{100 * float(changes.max()):.1f} % of the mean norm of the patches' features."
        )
    before = picture_address(comparison.image)
    sliders = [
        _slider("cut", "--cut", "%", 0, 100, 50, 1),
        _slider("zoom", "--zoom", "", 1, 6, 1, 0.25),
        *([_slider("changed patches", "--heat", "", 0, 1, 0, 0.05)] if heat else []),
    ]
    return (
        '<div class="imc-compare"><div class="frame" tabindex="0" role="group" '
        'aria-label="pictures">'
        f'<div class="stack"><img src="{before}" alt="the image as it came in">'
        f'<img class="after" src="{picture_address(after)}" alt="the image as the model saw it">'
        f'{heat}</div></div>{"".join(sliders)}<p class="soft">{escape(legend)}</p></div>'
    )


def _slider(
    name: str, variable: str, unit: str, least: float, most: float, value: float, step: float
) -> str:
    slide = escape(SLIDE.format(variable, unit))
    return (
        f'<label><span>{name}</span><input type="range" min="{least}" max="{most}" step="{step}" '
        f'value="{value}" oninput="{slide}"></label>'
    )


def _heat_map(changes: NDArray[np.float32]) -> str:
    """Patches as red, the more opaque the more they moved; as a `data:` address."""
    from vision.patch_changes import heat_map

    held = io.BytesIO()
    Image.fromarray(heat_map(changes)).save(held, "PNG")
    return f"data:image/png;base64,{base64.b64encode(held.getvalue()).decode('ascii')}"
