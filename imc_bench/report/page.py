"""One HTML page that holds the whole report: no script, no reference to anything outside it."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from html import escape

from imc_bench.report.document import Report
from imc_bench.report.table import Table

TITLES = {
    "severity": "Accuracy against severity",
    "recovery": "What was won back",
    "matrix": "Image state by text state",
    "confusion": "Noise, and what it was taken for",
    "cost": "Cost against gain",
}
OPEN_ROWS = 24
"""Tables with more rows are folded."""
STYLE = """
:root { color-scheme: light dark; }
body { font: 15px/1.5 system-ui, sans-serif; max-width: 76rem; margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.5rem; } h2 { font-size: 1.15rem; margin-top: 2.2rem; }
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


def make_page(report: Report, tables: Sequence[Table], plots: Mapping[str, bytes]) -> str:
    """The page; every text is escaped, pictures are inside it."""
    frame, facts = report.frame, report.frame.facts
    title = f"Robustness of {facts['model']['name']} on {frame.dataset} {frame.split}"
    by_name = {table.name: table for table in tables}
    body = [f"<h1>{escape(title)}</h1>", _warning(report), _facts(report)]
    shown = ("summary", "severity", "clean", "recovery", "matrix", "controls", "text")
    for name in dict.fromkeys((*shown, "scores", "perception", "confusion", "cost", "cells")):
        table, png = by_name.get(name), plots.get(name)
        if table is not None:
            body.append(f"<h2>{escape(table.title)}</h2>")
        elif png is not None:
            body.append(f"<h2>{escape(TITLES[name])}</h2>")
        if png is not None:
            data = base64.b64encode(png).decode("ascii")
            body.append(
                f'<figure><img alt="{escape(TITLES[name])}" src="data:image/png;base64,{data}">'
                "</figure>"
            )
        if table is not None:
            body.append(_table(table))
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(title)}</title><style>{STYLE}</style></head>\n<body>\n"
        + "\n".join(part for part in body if part)
        + "\n</body></html>\n"
    )


def _warning(report: Report) -> str:
    standing = report.frame.standing
    if standing.complete:
        return ""
    return (
        f'<p class="warn">This run is not complete: {standing.rows} of {standing.expected} rows. '
        "Every comparison is over the items that both sides hold.</p>"
    )


def _facts(report: Report) -> str:
    frame, facts = report.frame, report.frame.facts
    model, standing = facts["model"], frame.standing
    told = {
        "model": f"{model['name']}, fingerprint {model.get('fingerprint')}",
        "prototype bank": model.get("bank") or "none",
        "data": f"{frame.dataset} {frame.split}, {len(frame.items)} questions, "
        f"{len({item.group for item in frame.items.values()})} images",
        "left out": f"{len(facts['bad_rows'])} rows of the data set, {standing.skipped} items "
        "under a condition",
        "image noise at": f"{frame.noise_at} resolution",
        "seed": str(facts["arguments"].get("seed")),
        "run": f"{facts['run_key']}, begun {facts['created']}",
        "machine": facts["machine"],
        "versions": ", ".join(f"{name} {version}" for name, version in facts["versions"].items()),
    }
    return (
        "<dl>"
        + "".join(
            f"<dt>{escape(name)}</dt><dd>{escape(str(value))}</dd>" for name, value in told.items()
        )
        + "</dl>"
    )


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
