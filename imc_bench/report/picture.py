"""A picture of a report: it says what it shows and of what, and ends in a sentence.

Needs matplotlib; drawn without a display.
"""

from __future__ import annotations

import io
import textwrap
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure, SubFigure
from PIL import Image

DPI = 150
CSS_DPI = 96
"""Pixels of a style sheet in an inch."""
NARROWEST = 7.2
"""Inches of width that a title and a sentence need, however small the panels are."""
_EDGE = 0.12
"""Inches around the words."""
_TITLE, _SMALL = 12.0, 9.0
"""Points of the title, and of all other words outside the panels."""
_WIDTH_OF_LETTER = 0.53
"""Mean width of a letter of the font, DejaVu Sans, as a share of its size."""
_BOLD = 1.14
"""How much wider bold letters are."""


@dataclass(frozen=True)
class Caption:
    """The words of a picture."""

    title: str
    """What is shown."""
    setting: str
    """Of what: data set with counts, model, severities, methods (`wording.setting`)."""
    verdict: str
    """What it says: one sentence, computed from the figures."""


@dataclass(frozen=True)
class Picture:
    """A finished picture."""

    caption: Caption
    png: bytes
    """With the caption drawn into it, for a file that is shown alone."""
    panels: bytes
    """Without it, for a page that has the caption as text."""
    width: int
    """CSS pixels that it is legible at."""


class Drawing:
    """A picture in the making: panels are drawn into `body`, then `picture` adds the caption."""

    def __init__(self, width: float, height: float, caption: Caption) -> None:
        """Panels of `width` x `height` inches; the caption comes on top of the height."""
        self.caption = caption
        self.width = width = max(width, NARROWEST)
        title = _wrapped(caption.title, width, _BOLD * _TITLE)
        setting = _wrapped(caption.setting, width, _SMALL)
        verdict = _wrapped(caption.verdict, width, _SMALL)
        head = _inches(title, _TITLE) + _inches(setting, _SMALL) + 2 * _EDGE
        foot = _inches(verdict, _SMALL) + 2 * _EDGE
        total = head + height + foot
        self._rows = (round(DPI * head), round(DPI * foot))
        self._figure = Figure(figsize=(width, total), dpi=DPI, layout="constrained")
        rows: Any = self._figure.subfigures(3, 1, height_ratios=[head, height, foot], hspace=0)
        above, self.body, below = rows
        left, top = _EDGE / width, 1 - _EDGE / head
        above.text(left, top, title, fontsize=_TITLE, weight="bold", va="top")
        down = top - _inches(title, _TITLE) / head
        above.text(left, down, setting, fontsize=_SMALL, color="#555555", va="top")
        below.text(left, 1 - _EDGE / foot, verdict, fontsize=_SMALL, va="top")

    body: SubFigure

    def picture(self) -> Picture:
        """Render it, without a date or a version: the same figures are the same bytes."""
        canvas = FigureCanvasAgg(self._figure)
        canvas.draw()
        pixels = np.asarray(canvas.buffer_rgba())[..., :3]
        head, foot = self._rows
        panels = pixels[head : pixels.shape[0] - foot]
        return Picture(self.caption, _png(pixels), _png(panels), round(CSS_DPI * self.width))


def _png(pixels: np.ndarray[tuple[int, ...], np.dtype[np.uint8]]) -> bytes:
    out = io.BytesIO()
    image = Image.fromarray(np.ascontiguousarray(pixels))
    image.quantize(255, dither=Image.Dither.NONE).save(out, format="PNG", optimize=True)
    return out.getvalue()


def _wrapped(text: str, width: float, size: float) -> str:
    letters = int(72 * (width - 2 * _EDGE) / (_WIDTH_OF_LETTER * size))
    # a unit stays with its number, a separator with what it ends
    held = text.replace(" %", "\u00a0%").replace(" ms", "\u00a0ms").replace(" ·", "\u00a0·")
    return "\n".join(textwrap.wrap(held, letters))


def _inches(lines: str, size: float) -> float:
    """Height of lines of text."""
    return (1 + lines.count("\n")) * 1.35 * size / 72
