"""A contact sheet as one PNG: a row for each noise, clean and severity 1 to 5 side by side.

Drawn with Pillow, pixel for pixel: the same sheet is the same bytes.
"""

from __future__ import annotations

import io

from PIL import Image, ImageDraw, ImageFont

from imc_bench.sheet import PLACES, SEVERITIES, TILE, Pixels, Sheet, SheetRow

MARGIN, GAP = 16, 8
"""Pixels around the sheet, and between its tiles."""
NARROWEST = 104
"""Pixels that a tile's caption needs, however small the tile."""
NAME_SIZE, TEXT_SIZE = 15, 12
NAME_LINE, LINE = 20, 16
PAPER, INK, FAINT, WARNING = "#ffffff", "#111111", "#666666", "#b2182b"


def draw_sheet(sheet: Sheet) -> bytes:
    """The sheet as a PNG, without a date or a file name in it."""
    name_font, font = ImageFont.load_default(NAME_SIZE), ImageFont.load_default(TEXT_SIZE)
    labels = [_label(sheet, row) for row in sheet.rows]
    widths = [name_font.getlength(row.name) for row in sheet.rows]
    widths += [font.getlength(text) for label in labels for text, _ in label]
    left = MARGIN + round(max(widths)) + 2 * GAP
    tallest = NAME_LINE + LINE * max(len(label) for label in labels)
    row_height = max(tallest, sheet.clean.shape[0] + LINE) + GAP
    column_width = max(NARROWEST, sheet.clean.shape[1]) + GAP
    heading = _heading(sheet)
    top = MARGIN + LINE * len(heading) + GAP

    width = left + (1 + len(SEVERITIES)) * column_width + MARGIN - GAP
    page = Image.new("RGB", (width, top + row_height * len(sheet.rows) + MARGIN), PAPER)
    pen = ImageDraw.Draw(page)
    for number, line in enumerate(heading):
        pen.text((MARGIN, MARGIN + number * LINE), line, fill=FAINT if number else INK, font=font)
    for number, (row, label) in enumerate(zip(sheet.rows, labels, strict=True)):
        y = top + number * row_height
        pen.text((MARGIN, y), row.name, fill=INK, font=name_font)
        for below, (text, colour) in enumerate(label):
            pen.text((MARGIN, y + NAME_LINE + below * LINE), text, fill=colour, font=font)
        for column, (tile, caption) in enumerate(_tiles(sheet, row)):
            x = left + column * column_width
            page.paste(Image.fromarray(tile), (x, y))
            pen.text((x, y + tile.shape[0] + 1), caption, fill=FAINT, font=font)
    out = io.BytesIO()
    page.save(out, format="PNG")
    return out.getvalue()


def _heading(sheet: Sheet) -> list[str]:
    """What was done, and how to read it."""
    lines = [
        f"noise on {sheet.width} x {sheet.height} pixels ({sheet.noise_at}), seed {sheet.seed}; "
        "SSIM to the clean image",
        "recoverable: what was there can still be told; uncalibrated: severities not set by SSIM",
    ]
    if max(sheet.width, sheet.height) > TILE:
        lines.append(
            f"shown shrunk to {TILE} pixels: fine noise looks weaker than it is; SSIM is of all "
            "pixels"
        )
    return lines


def _label(sheet: Sheet, row: SheetRow) -> list[tuple[str, str]]:
    """The lines under a row's name, each with its colour."""
    kept = "recoverable" if row.recoverable else "not recoverable"
    return [
        (f"image, {kept}", FAINT),
        *((remark, WARNING) for remark in sheet.remarks(row)),
    ]


def _tiles(sheet: Sheet, row: SheetRow) -> list[tuple[Pixels, str]]:
    """The pictures of a row, each with its caption."""
    noisy = zip(row.tiles, SEVERITIES, row.ssim, strict=True)
    return [
        (sheet.clean, "clean"),
        *((tile, f"{severity}: SSIM {value:.{PLACES}f}") for tile, severity, value in noisy),
    ]
