"""One HTML page that holds the whole report: no script, no reference to anything outside it."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape

from imc_bench.report.document import Report
from imc_bench.report.head import head_facts, title_of
from imc_bench.report.table import Table

TITLES = {
    "severity": "Accuracy against severity",
    "recovery": "What was won back",
    "matrix": "Image state by text state",
    "confusion": "Noise, and what it was taken for",
    "severities": "Severity, and what it was taken for",
    "reliability": "Is the p-value of being clean a p-value?",
    "cost": "Cost against gain",
}
SHOWN = (
    *("summary", "severity", "clean", "recovery", "matrix", "controls", "text", "scores"),
    *("perception", "confusion", "severities", "reliability", "cost", "cells"),
)
"""The order of tables and pictures; what has both stands under one heading."""
OPEN_ROWS = 24
"""Tables with more rows are folded."""
STYLE = """
:root { color-scheme: light dark; }
body { font: 15px/1.5 system-ui, sans-serif; max-width: 76rem; margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.5rem; } h2 { font-size: 1.15rem; margin-top: 2.2rem; } h3 { font-size: 1rem; }
section + section { border-top: 3px solid #8888; margin-top: 3rem; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; font-size: 13px; font-variant-numeric: tabular-nums; }
th, td { padding: .2rem .6rem; text-align: right; white-space: nowrap;
  border-bottom: 1px solid #8884; }
th { border-bottom: 2px solid #888; vertical-align: bottom; white-space: normal; }
th:first-child, td:first-child, table.two td:nth-child(2), table.two th:nth-child(2) {
  text-align: left; }
figure { margin: 1rem 0; } img { max-width: 100%; background: #fff; }
dl { display: grid; grid-template-columns: max-content 1fr; gap: .1rem 1rem; }
dt { color: #888; } dd { margin: 0; overflow-wrap: anywhere; }
p.note { color: #777; font-size: 13px; max-width: 60rem; }
p.warn { border-left: 4px solid #d55e00; padding-left: .8rem; }
"""


@dataclass(frozen=True)
class Section:
    """One run of a page."""

    report: Report
    tables: Sequence[Table]
    plots: Mapping[str, bytes]
    """PNG bytes by name."""


def make_page(sections: Sequence[Section], overview: Table | None = None) -> str:
    """The page; every text is escaped, pictures are inside it.

    Args:
        sections: one for each run.
        overview: of several runs, shown above them.
    """
    if overview is None:
        title, level = title_of(sections[0].report), 1
        body = []
    else:
        title, level = f"Robustness over {len(sections)} runs", 2
        body = [f"<h1>{escape(title)}</h1>", f"<h2>{escape(overview.title)}</h2>", _table(overview)]
    for section in sections:
        body += ["<section>", *_section(section, level), "</section>"]
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(title)}</title><style>{STYLE}</style></head>\n<body>\n"
        + "\n".join(part for part in body if part)
        + "\n</body></html>\n"
    )


def _section(section: Section, level: int) -> list[str]:
    """One run under a heading of this level."""
    by_name = {table.name: table for table in section.tables}
    title = title_of(section.report)
    body = [f"<h{level}>{escape(title)}</h{level}>", _warning(section.report)]
    body.append(_facts(section.report))
    for name in dict.fromkeys((*SHOWN, *by_name)):
        table, png = by_name.get(name), section.plots.get(name)
        if table is None and png is None:
            continue
        heading = TITLES[name] if table is None else table.title
        body.append(f"<h{level + 1}>{escape(heading)}</h{level + 1}>")
        if png is not None:
            data = base64.b64encode(png).decode("ascii")
            body.append(
                f'<figure><img alt="{escape(TITLES[name])}" src="data:image/png;base64,{data}">'
                "</figure>"
            )
        if table is not None:
            body.append(_table(table))
    return body


def _warning(report: Report) -> str:
    standing = report.results.standing
    if standing.complete:
        return ""
    return (
        f'<p class="warn">This run is not complete: {standing.rows} of {standing.expected} rows. '
        "Every comparison is over the items that both sides hold.</p>"
    )


def _facts(report: Report) -> str:
    facts = head_facts(report).items()
    pairs = "".join(f"<dt>{escape(name)}</dt><dd>{escape(value)}</dd>" for name, value in facts)
    return f"<dl>{pairs}</dl>"


def _table(table: Table) -> str:
    two = ' class="two"' if "method" in table.columns[1:2] else ""
    head = "".join(f"<th>{escape(name)}</th>" for name in table.columns)
    rows = "".join(
        "<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>\n"
        for row in table.rows
    )
    made = (
        f'<div class="scroll"><table{two}><thead><tr>{head}</tr></thead>\n<tbody>{rows}</tbody>'
        "</table></div>"
    )
    if len(table.rows) > OPEN_ROWS:
        made = f"<details><summary>{len(table.rows)} rows</summary>{made}</details>"
    note = f'<p class="note">{escape(table.note)}</p>' if table.note else ""
    return made + note
