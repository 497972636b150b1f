"""A contact sheet as PNG pages: a row for each noise, clean and severity 1 to 5 side by side.

Drawn with Pillow, pixel for pixel: the same sheet is the same bytes.
"""

from __future__ import annotations

import io
import textwrap
from collections.abc import Sequence
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

from imc_bench.sheet import PLACES, SEVERITIES, TILE, Pixels, Sheet, SheetRow

ROWS_A_PAGE = 6
"""Noises of a page: as high as it is wide, about 1,600 pixels, legible at its own size."""
MARGIN, GAP = 16, 8
"""Pixels around a page, and between its tiles."""
NARROWEST = 120
"""Pixels that a tile's caption needs, however small the tile."""
TITLE_SIZE, NAME_SIZE, TEXT_SIZE = 24, 19, 15
"""Pixels of the letters."""
NAME_LINE, LINE = 26, 20
PAPER, INK, FAINT = "#ffffff", "#111111", "#555555"


def page_paths(out: Path, rows: int) -> list[Path]:
    """Files of a sheet with so many rows: `sheet.png`, `sheet-2.png`, ..."""
    return [
        out if page == 0 else out.with_name(f"{out.stem}-{page + 1}{out.suffix}")
        for page in range(_pages(rows))
    ]


def draw_pages(sheet: Sheet) -> list[bytes]:
    """The sheet as PNGs of at most `ROWS_A_PAGE` noises, without a date or a file name in them."""
    count, rows = _pages(len(sheet.rows)), len(sheet.rows)
    pages = [sheet.rows[n * rows // count : (n + 1) * rows // count] for n in range(count)]
    return [
        _draw_page(sheet, rows, f"page {number} of {len(pages)}")
        for number, rows in enumerate(pages, start=1)
    ]


def _pages(rows: int) -> int:
    return -(-rows // ROWS_A_PAGE)


def verdict(sheet: Sheet) -> str:
    """One sentence: which noise changes the picture most at the highest severity, which least."""
    last = {row.name: row.ssim[-1] for row in sheet.rows}
    most, least = min(last, key=lambda name: last[name]), max(last, key=lambda name: last[name])
    said = f"At severity {SEVERITIES[-1]} {most} changes the picture most (SSIM {last[most]:.2f})"
    if len(last) > 1:
        said += f", {least} least ({last[least]:.2f})"
    return f"{said}."


def _draw_page(sheet: Sheet, rows: Sequence[SheetRow], page: str) -> bytes:
    title_font, name_font, font = (
        ImageFont.load_default(size) for size in (TITLE_SIZE, NAME_SIZE, TEXT_SIZE)
    )
    # every page has the columns of the widest name of the whole sheet
    words = [text for row in sheet.rows for text in _label(sheet, row)]
    left = MARGIN + 2 * GAP
    left += round(max(name_font.getlength(row.name) for row in sheet.rows))
    left = max(left, MARGIN + 2 * GAP + round(max(font.getlength(text) for text in words)))
    column_width = max(NARROWEST, sheet.clean.shape[1]) + GAP
    width = left + (1 + len(SEVERITIES)) * column_width + MARGIN - GAP
    tallest = NAME_LINE + LINE * max(len(_label(sheet, row)) for row in rows)
    row_height = max(tallest, sheet.clean.shape[0] + LINE) + GAP
    letters = int((width - 2 * MARGIN) / (0.5 * TEXT_SIZE))
    heading = [line for text in _heading(sheet) for line in textwrap.wrap(text, letters)]
    top = MARGIN + NAME_LINE + GAP + LINE * len(heading) + GAP + LINE

    paper = Image.new("RGB", (width, top + row_height * len(rows) + MARGIN), PAPER)
    pen = ImageDraw.Draw(paper)
    title = f"{len(sheet.rows)} noises at severity 1 (mild) to 5 (strong) on one image"
    pen.text((MARGIN, MARGIN), title, fill=INK, font=title_font)
    x = width - MARGIN - round(font.getlength(page))
    pen.text((x, MARGIN + GAP), page, fill=FAINT, font=font)
    for number, line in enumerate(heading):
        y = MARGIN + NAME_LINE + GAP + number * LINE
        pen.text((MARGIN, y), line, fill=FAINT, font=font)
    for column, head in enumerate(("clean", *(f"severity {one}" for one in SEVERITIES))):
        pen.text((left + column * column_width, top - LINE), head, fill=INK, font=font)
    for number, row in enumerate(rows):
        y = top + number * row_height
        pen.text((MARGIN, y), row.name, fill=INK, font=name_font)
        for below, text in enumerate(_label(sheet, row)):
            pen.text((MARGIN, y + NAME_LINE + below * LINE), text, fill=FAINT, font=font)
        for column, (tile, caption) in enumerate(_tiles(sheet, row)):
            x = left + column * column_width
            paper.paste(Image.fromarray(tile), (x, y))
            pen.text((x, y + tile.shape[0] + 1), caption, fill=INK, font=font)
    out = io.BytesIO()
    paper.save(out, format="PNG")
    return out.getvalue()


def _heading(sheet: Sheet) -> list[str]:
    """Of what the sheet is, how to read it, and what it says."""
    kind = "grey" if sheet.grey else "colour"
    lines = [
        f"image: {kind}, SHA-256 {sheet.sha256[:12]}; noise put on {sheet.width} x {sheet.height} "
        f"pixels ({sheet.noise_at}), seed {sheet.seed}. SSIM: similarity to the clean image, 1 for "
        "equal ones.",
    ]
    if max(sheet.width, sheet.height) > TILE:
        lines.append(
            f"Tiles are shrunk to {TILE} pixels, which weakens fine noise; SSIM is of all pixels."
        )
    return [*lines, verdict(sheet)]


def _label(sheet: Sheet, row: SheetRow) -> list[str]:
    """The lines under a row's name."""
    return ["recoverable" if row.recoverable else "not recoverable", *sheet.remarks(row)]


def _tiles(sheet: Sheet, row: SheetRow) -> list[tuple[Pixels, str]]:
    """The pictures of a row, each with its caption."""
    return [
        (sheet.clean, "SSIM 1"),
        *(
            (tile, f"SSIM {value:.{PLACES}f}")
            for tile, value in zip(row.tiles, row.ssim, strict=True)
        ),
    ]
