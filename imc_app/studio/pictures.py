"""Choosing a picture: a file that is dropped or picked, or the example that comes along."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nicegui import events, ui

from imc_app.page import picture_address
from imc_app.studio.guard import MAX_BODY
from imc_app.studio.shell import Refusal

if TYPE_CHECKING:
    from vision.reading.medical_image import MedicalImage


class PictureChoice:
    """An upload field with a preview; `image` is what was chosen."""

    def __init__(self, refusal: Refusal, *, kept: MedicalImage | None = None) -> None:
        self.refusal = refusal
        self.image: MedicalImage | None = None
        self.upload = (
            ui.upload(
                label="Image: PNG, JPEG, TIFF, WebP or DICOM",
                auto_upload=True,
                max_files=1,
                max_file_size=MAX_BODY - 100_000,
                on_upload=self._uploaded,
                on_rejected=lambda: refusal.show(
                    f"not uploaded: one file of at most {MAX_BODY // 1_000_000} MB"
                ),
            )
            .classes("w-full")
            .props("flat bordered")
        )
        self.upload.on(
            "failed",
            lambda: refusal.show("the upload was cut off or refused: choose the file again"),
        )
        ui.button("Use the example", on_click=self._example).props("flat dense no-caps")
        self._preview = ui.html("", sanitize=False).classes("imc-picture")
        if kept is not None:
            self._take(kept)

    async def _uploaded(self, event: events.UploadEventArguments) -> None:
        from nicegui import run

        from vision.reading.medical_image import read_image

        with self.refusal.shown():
            data = await event.file.read()
            image = await run.io_bound(read_image, data)
            if image is not None:  # None: the server is stopping
                self._take(image)
        self.upload.reset()

    def _example(self) -> None:
        from imc_app.example import ct_example
        from vision.reading.medical_image import read_image

        with self.refusal.shown():
            self._take(read_image(ct_example().image))

    def _take(self, image: MedicalImage) -> None:
        self.image = image
        said = f"{image.width} x {image.height}, {image.source_format}"
        width = min(320, max(160, image.width))
        self._preview.set_content(
            f'<figure style="margin:0"><img src="{picture_address(image)}" width="{width}" '
            f'alt="the chosen image, {said}"><figcaption class="soft">{said}</figcaption></figure>'
        )
