"""Small pieces of HTML with which values show themselves in a notebook; every text is escaped.

Colours come from the text around them, so that light and dark themes both work.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from html import escape

__all__ = ["html_bars", "html_image", "html_rows", "html_text"]

_CELL = "text-align:left;vertical-align:top;padding:.1rem .8rem .1rem 0;background:none"


def html_text(text: object) -> str:
    """`text` as HTML."""
    return escape(str(text))


def html_rows(title: str, rows: Sequence[tuple[str, str]]) -> str:
    """A table of names and values.

    Args:
        title: what the table describes, as text.
        rows: a name as text and a value as HTML each; empty values are left out.
    """
    lines = "".join(
        f'<tr style="background:none"><th scope="row" style="{_CELL};font-weight:400;opacity:.7">'
        f'{escape(name)}</th><td style="{_CELL}">{value}</td></tr>'
        for name, value in rows
        if value
    )
    caption = f'<caption style="text-align:left;font-weight:600">{escape(title)}</caption>'
    return f'<table style="border-collapse:collapse;max-width:46rem">{caption}{lines}</table>'


def html_bars(shares: Mapping[str, float], *, most: int = 6) -> str:
    """Probabilities as bars, the largest first.

    Args:
        shares: by name, between 0 and 1.
        most: bars shown.
    """
    shown = sorted(shares.items(), key=lambda one: -one[1])[:most]
    lines = "".join(
        f'<div style="display:flex;gap:.6rem;align-items:center"><span style="flex:0 1 8rem;'
        f'overflow-wrap:anywhere">'
        f'{escape(name)}</span><span style="width:3.2rem;text-align:right">{share:.3f}</span>'
        f'<span style="flex:0 1 8rem;min-width:2rem"><span style="display:inline-block;'
        f'height:.6rem;opacity:.6;background:currentColor;'
        f'width:{100 * min(1.0, max(0.0, share)):.1f}%">'
        "</span></span></div>"
        for name, share in shown
    )
    return f"<div>{lines}</div>"


def html_image(png: bytes, caption: str, *, width: int) -> str:
    """A picture with its caption.

    Args:
        png: the bytes of a PNG file.
        caption: text below it, which is its description too.
        width: pixels of the page.
    """
    data = base64.b64encode(png).decode("ascii")
    return (
        f'<figure style="margin:0;display:inline-block"><img width="{width}" style="max-width:100%;'
        f'height:auto" src="data:image/png;base64,{data}" alt="{escape(caption)}">'
        f'<figcaption style="opacity:.7">{escape(caption)}</figcaption></figure>'
    )
