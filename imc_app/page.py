"""One answered question as one HTML page: image, answer, what was found and what was done.

The page needs nothing beside it: the image is in it, and no script, font or address.
"""

from __future__ import annotations

import base64
import io
from html import escape
from typing import TYPE_CHECKING

from imc_app.refusals import one_line
from imc_app.show import changes, describe_applied, describe_image, plain, steps_by_node

if TYPE_CHECKING:
    from imc_app.session import Outcome, Request
    from imc_app.show import Document
    from vision.reading.medical_image import MedicalImage

LARGEST_SIDE = 1024
"""Pixels of the longer side of the image in the page: larger ones are made smaller."""
BARS = 6
"""Noises whose probability is shown, the most probable first."""

STYLE = """
:root { color-scheme: light dark; --soft: #777; --line: #8884; --bar: #0072b2;
  --out: #b2182b; --in: #00704a; }
@media (prefers-color-scheme: dark) { :root { --bar: #56b4e9; --out: #ff8a80; --in: #5fd3a2; } }
body { font: 16px/1.5 system-ui, sans-serif; max-width: 46rem; margin: 0 auto; padding: 1rem; }
h1 { font-size: 1.4rem; } h2 { font-size: 1.05rem; margin: 1.6rem 0 .4rem; }
.verdict { font-size: 1.15rem; } small, .soft { color: var(--soft); }
img { max-width: 100%; min-width: min(16rem, 100%); height: auto; image-rendering: auto; }
del { color: var(--out); } ins { color: var(--in); font-weight: 600; text-decoration: none; }
p { overflow-wrap: anywhere; }
.wide { overflow-x: auto; }
table { border-collapse: collapse;
  width: 100%; }
td, th { text-align: left; padding: .2rem .8rem .2rem 0; border-bottom: 1px solid var(--line); }
td.number, th.number { text-align: right; }
.bars { width: 55%; min-width: 6rem; }
.bar { display: inline-block; height: .7rem; background: var(--bar); }
"""


def case_page(outcome: Outcome, request: Request, name: str) -> str:
    """The page of one request.

    Args:
        outcome: what came of it.
        request: the image and question as they were asked, noise of `--noise` included.
        name: of the image file, for the heading.
    """
    document = outcome.document
    image = document["image"]
    found = describe_image(image, outcome.correction).plain
    answer = document["answer"] or f"no answer ({outcome.failure})"
    sections = [
        f"<h1>{_text(name)}</h1>",
        f'<p class="verdict"><strong>{_text(answer)}</strong> '
        f'<span class="soft">confidence {document["confidence"]:.2f} (mean probability of a token '
        "of the answer)</span></p>",
        "<h2>Question</h2>",
        question_html(document["question"]),
        "<h2>Image</h2>",
        f'<p><img src="{picture_address(request.image)}" width="{image["width"]}" '
        f'alt="the image as it was asked about"></p>',
        f'<p>{_text(found)}.</p><p class="soft">{_text(outcome.correction)}</p>',
        _applied(request),
        posterior_html(image["noise"]),
        _steps(document),
        f'<p class="soft">model {_text(document["model"])}, method {document["method"]}, seed '
        f"{document['seed']}; image SHA-256 {image['sha256']}</p>",
        "<p><small>Not for clinical use: an engineering and research tool.</small></p>",
    ]
    title = _text(f"imc: {name}")
    return (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{title}</title><style>{STYLE}</style></head>\n<body>\n"
        + "\n".join(section for section in sections if section)
        + "\n</body></html>\n"
    )


def _text(text: object) -> str:
    return escape(one_line(str(text)))


def question_html(question: Document) -> str:
    """The question with its changes marked, and why it was changed or left.

    Args:
        question: `question` of the document that `imc ask --json` prints.
    """
    original, used = one_line(question["original"]), one_line(question["used"])
    if not question["changed"]:
        asked = f"<p>{escape(used)}</p>"
    else:
        pieces = [
            escape(old)
            if old == new
            else (f"<del>{escape(old)}</del>" if old else "")
            + (f"<ins>{escape(new)}</ins>" if new else "")
            for old, new in changes(original, used)
        ]
        asked = f"<p>{''.join(pieces)}</p><p>read as: {escape(used)}</p>"
    return f'{asked}<p class="soft">{_text(question["reason"])}</p>'


def _applied(request: Request) -> str:
    if not request.applied:
        return ""
    return f'<p class="soft">Applied before asking: {_text(describe_applied(request.applied))}.</p>'


def posterior_html(noise: Document | None) -> str:
    """Bars of the most probable kinds; empty where the noise was not classified.

    Args:
        noise: `image.noise` of the document that `imc ask --json` prints.
    """
    if noise is None:
        return ""
    seen = [(kind, share) for kind, share in noise["posterior"].items() if share >= 0.0005]
    most = sorted(seen, key=lambda one: -one[1])[:BARS]
    rows = "".join(
        f'<tr><td>{_text(plain(kind))}</td><td class="number">{share:.3f}</td>'
        f'<td class="bars"><span class="bar" style="width:{100 * share:.1f}%"></span></td></tr>'
        for kind, share in most
    )
    return (
        "<h2>Probability of each kind of noise</h2>"
        '<div class="wide"><table><tr><th>kind</th><th class="number">probability</th><th></th>'
        f"</tr>{rows}</table></div>"
    )


def _steps(document: Document) -> str:
    timed = any(step["ms"] for step in document["trace"])
    heads = ["step", "runs", *(["ms"] if timed else []), "model passes", "note"]
    rows = []
    for node, steps in steps_by_node(document["trace"]).items():
        times = [f"{sum(step['ms'] for step in steps):.0f}"] if timed else []
        calls = str(sum(step["calls"] for step in steps))
        notes = "; ".join(step["note"] for step in steps if step.get("note"))
        rows.append([node, str(len(steps)), *times, calls, notes])
    numbers = range(1, len(heads) - 1)
    lines = [
        "".join(
            f"<{tag}{' class=number' if column in numbers else ''}>{_text(cell)}</{tag}>"
            for column, cell in enumerate(row)
        )
        for tag, row in (("th", heads), *(("td", row) for row in rows))
    ]
    table = "".join(f"<tr>{line}</tr>" for line in lines)
    return f'<h2>Steps</h2><div class="wide"><table>{table}</table></div>'


def picture_address(image: MedicalImage) -> str:
    """The image as a `data:` address of a PNG."""
    from PIL import Image

    picture = Image.fromarray(image.rgb)
    picture.thumbnail((LARGEST_SIDE, LARGEST_SIDE))
    held = io.BytesIO()
    picture.save(held, "PNG")
    return f"data:image/png;base64,{base64.b64encode(held.getvalue()).decode('ascii')}"
