"""One HTML page that holds the whole report: no script, no reference to anything outside it.

In this order: what it says in a few sentences, the main table with its words explained, the
pictures with their tables, and folded at the end where the figures come from.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING

from imc_bench.report.glossary import GLOSSARY, explain
from imc_bench.report.head import head_facts, title_of
from imc_bench.report.page_style import STYLE
from imc_bench.report.report import Report
from imc_bench.report.runs import run_names
from imc_bench.report.table import Table
from imc_bench.report.verdict import details, headline

if TYPE_CHECKING:
    from imc_bench.report.picture import Picture

SHOWN = (
    *("summary", "severity", "recovery", "clean", "matrix", "controls", "text", "scores"),
    *("confusion", "perception", "severities", "reliability", "gate", "cost", "cells"),
)
"""The order of tables and pictures; what has both is under one heading."""
OPEN_ROWS = 24
"""Tables with more rows are folded, but for the main ones."""
MAIN = "summary"


@dataclass(frozen=True)
class Section:
    """One run of a page."""

    report: Report
    tables: Sequence[Table]
    plots: Mapping[str, Picture]


def make_page(sections: Sequence[Section], overview: Table | None = None) -> str:
    """The page; every text is escaped, pictures are inside it.

    Args:
        sections: one for each run.
        overview: of several runs, shown above them.
    """
    explained: set[str] = set()
    if overview is None:
        title, level = title_of(sections[0].report), 1
        body = []
    else:
        title, level = f"Robustness over {len(sections)} runs", 2
        body = [
            f"<h1>{escape(title)}</h1>",
            *_headlines(sections),
            f"<h2>{escape(overview.title)}</h2>",
            _table(overview, explained, fold=False),
        ]
    for section in sections:
        body += ["<section>", *_section(section, level, explained), "</section>"]
    body += [f"<details><summary>Glossary</summary>{_words(GLOSSARY)}</details>"]
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(title)}</title><style>{STYLE}</style></head>\n<body>\n"
        + "\n".join(part for part in body if part)
        + "\n</body></html>\n"
    )


def _section(section: Section, level: int, explained: set[str]) -> list[str]:
    """One run under a heading of this level; `explained` gathers the words explained so far."""
    by_name = {table.name: table for table in section.tables}
    body = [f"<h{level}>{escape(title_of(section.report))}</h{level}>", _warning(section.report)]
    body.append(f'<p class="verdict">{escape(headline(section.report))}</p>')
    body.append("<ul>" + "".join(f"<li>{escape(one)}</li>" for one in details(section.report)))
    body.append("</ul>")
    for name in dict.fromkeys((*SHOWN, *by_name)):
        table, picture = by_name.get(name), section.plots.get(name)
        if table is None and picture is None:
            continue
        heading = picture.caption.title if picture else table.title if table else name
        body.append(f"<h{level + 1}>{escape(heading)}</h{level + 1}>")
        if picture is not None:
            body.append(_figure(picture))
        if table is not None:
            fold = picture is not None or len(table.rows) > OPEN_ROWS
            body.append(_table(table, explained, fold=fold and name != MAIN))
    return [*body, _facts(section.report)]


def _headlines(sections: Sequence[Section]) -> list[str]:
    """What each run found, under its name in the table of all runs."""
    names = run_names([one.report for one in sections])
    return [
        f'<p class="verdict"><b>{escape(name)}</b>: {escape(headline(one.report))}</p>'
        for name, one in zip(names, sections, strict=True)
    ]


def _figure(picture: Picture) -> str:
    """The panels, and the caption as text: what they say first, then of what."""
    caption = picture.caption
    data = base64.b64encode(picture.panels).decode("ascii")
    return (
        f'<figure><div class="scroll"><img alt="{escape(caption.title)}" width="{picture.width}" '
        f'src="data:image/png;base64,{data}"></div>'
        f"<figcaption>{escape(caption.verdict)}"
        f'<div class="faint">{escape(caption.setting)}</div></figcaption></figure>'
    )


def _warning(report: Report) -> str:
    progress = report.results.progress
    if progress.complete:
        return ""
    return (
        f'<p class="warn">This run is not complete: {progress.rows} of {progress.expected} rows. '
        "Every comparison is over the items that both sides hold.</p>"
    )


def _facts(report: Report) -> str:
    """Folded: the command as it can be pasted, and everything else that the figures depend on."""
    pairs = "".join(
        f"<dt>{escape(name)}</dt><dd>{_pasted(value) if name == 'command' else escape(value)}</dd>"
        for name, value in head_facts(report).items()
    )
    return (
        "<details><summary>Where these figures come from: command, data, model, versions</summary>"
        f'<dl class="facts">{pairs}</dl></details>'
    )


def _pasted(command: str) -> str:
    return f"<pre><code>{escape(command)}</code></pre>"


def _words(words: Mapping[str, str]) -> str:
    pairs = "".join(
        f"<div><dt>{escape(term)}</dt><dd>{escape(meaning)}</dd></div>"
        for term, meaning in words.items()
    )
    return f'<dl class="words">{pairs}</dl>' if pairs else ""


def _cell(text: str) -> str:
    """Escaped; an interval is set small."""
    figure, bracket, interval = escape(text).partition(" [")
    return f"{figure}<small>{bracket}{interval}</small>" if bracket else figure


def _table(table: Table, explained: set[str], *, fold: bool) -> str:
    """A table in a box that scrolls, then the words that no table before it has explained."""
    marks = [' class="left"' if left else "" for left in table.lefts]
    head = "".join(
        f"<th{mark}>{escape(name)}</th>" for mark, name in zip(marks, table.columns, strict=True)
    )
    rows = "".join(
        "<tr>"
        + "".join(f"<td{mark}>{_cell(cell)}</td>" for mark, cell in zip(marks, row, strict=True))
        + "</tr>\n"
        for row in table.rows
    )
    made = (
        f'<div class="scroll" tabindex="0"><table><thead><tr>{head}</tr></thead>\n'
        f"<tbody>{rows}</tbody></table></div>"
    )
    new = explain(term for term in table.terms if term not in explained)
    explained.update(new)
    made += f'<p class="note">{escape(table.note)}</p>' if table.note else ""
    if fold:
        made = f"<details><summary>Table: {len(table.rows)} rows</summary>{made}</details>"
    return made + _words(new)
