"""The Bench page: finished runs, their tables with intervals, and items, which open in Step."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nicegui import ui

from imc_app.refusals import InputRefused, one_line
from imc_app.studio.shell import Refusal, shell
from imc_app.studio.studio import Studio
from imc_app.studio.watched import Computation

if TYPE_CHECKING:
    from imc_bench.conditions import Condition
    from imc_bench.report.report import Report
    from imc_bench.report.table import Table

SHOWN_ITEMS = 200
"""Rows of items on the page; the answers that the method lost or won come first."""


def add_bench_page(studio: Studio) -> None:
    """Register the page under `/bench` and, of a run, `/bench/NUMBER`."""

    @ui.page("/bench")
    async def choose() -> None:
        with shell("Bench"):
            ui.html("Finished runs", tag="h1")
            if not studio.stores:
                ui.label(
                    "none was given: start the studio with --bench run.sqlite, a store of "
                    "imc bench run"
                )
            items = "".join(
                f'<li><a href="/bench/{number}">{escape(store.name)}</a></li>'
                for number, store in enumerate(studio.stores)
            )
            ui.html(f"<ul>{items}</ul>", sanitize=False)

    @ui.page("/bench/{number}")
    async def run(number: str) -> None:
        with shell("Bench") as refusal, refusal.shown():
            if not number.isdecimal() or int(number) >= len(studio.stores):
                raise InputRefused(f"there is no run {number!r}: choose one on the Bench page")
            store = studio.stores[int(number)]
            ui.html(escape(store.name), tag="h1")
            _View(studio, _begun(studio, store), refusal)


def _begun(studio: Studio, store: Path) -> Computation:
    def job() -> Report:
        from imc_bench.report.report import make_report

        return make_report(store)

    changed = store.stat().st_mtime_ns
    return studio.computation(f"report {store} {changed}", "computing intervals", job)


class _View:
    """The report, when it is there."""

    def __init__(self, studio: Studio, computation: Computation, refusal: Refusal) -> None:
        self.studio = studio
        self.computation = computation
        self.refusal = refusal
        self.shown = False
        self.status = ui.html("", sanitize=False).props("role=status")
        self.place = ui.element("div").classes("w-full")
        ui.context.client.on_delete(computation.watch(self.show))
        self.show()

    def show(self) -> None:
        """Show what is known now."""
        self.status.set_content(self.computation.status_html)
        if self.computation.result is None or self.shown:
            return
        self.shown = True
        report: Report = self.computation.result
        from imc_bench.report.tables import make_tables
        from imc_bench.report.verdict import details, headline

        with self.place:
            said = "".join(f"<li>{escape(one)}</li>" for one in details(report))
            ui.html(f"<p>{escape(headline(report))}</p><ul>{said}</ul>", sanitize=False)
            for number, table in enumerate(make_tables(report)):
                if number < 2:
                    ui.html(table_html(table), sanitize=False)
                else:
                    with ui.expansion(table.title).classes("w-full"):
                        ui.html(table_html(table), sanitize=False)
            _Items(self.studio, report, self.refusal)


def table_html(table: Table) -> str:
    """A table of a report as HTML."""
    heads = "".join(
        f'<th scope="col"{"" if left else " class=number"}>{escape(column)}</th>'
        for column, left in zip(table.columns, table.lefts, strict=True)
    )
    rows = "".join(
        "<tr>"
        + "".join(
            f"<td{'' if left else ' class=number'}>{escape(cell)}</td>"
            for cell, left in zip(row, table.lefts, strict=True)
        )
        + "</tr>"
        for row in table.rows
    )
    note = f'<p class="soft">{escape(table.note)}</p>' if table.note else ""
    return (
        f'<h2>{escape(table.title)}</h2><div class="wide"><table><tr>{heads}</tr>{rows}</table>'
        f"</div>{note}"
    )


class _Items:
    """The items of one condition and method; a button opens one in Step."""

    def __init__(self, studio: Studio, report: Report, refusal: Refusal) -> None:
        self.studio = studio
        self.results = report.results
        self.refusal = refusal
        ui.html("Items", tag="h2")
        conditions = {number: str(one) for number, one in enumerate(self.results.conditions)}
        with ui.row().classes("w-full"):
            self.condition = ui.select(
                conditions, value=0, label="Condition", on_change=self.show
            ).classes("grow")
            self.method = ui.select(
                list(self.results.methods),
                value=self.results.methods[-1],
                label="Method",
                on_change=self.show,
            ).classes("grow")
        self.place = ui.element("div").classes("w-full wide")
        self.show()

    @property
    def cell(self) -> Condition:
        """The chosen condition."""
        return self.results.conditions[int(self.condition.value)]

    def show(self) -> None:
        """Show the items of the chosen condition and method."""
        held = self.results.responses.get((self.cell, str(self.method.value)), {})
        base = self.results.responses.get((self.cell, "none"), {})
        items = sorted(
            held, key=lambda one: (one not in base or base[one].correct == held[one].correct, one)
        )
        self.place.clear()
        with self.place:
            if len(items) > SHOWN_ITEMS:
                ui.label(f"{SHOWN_ITEMS} of {len(items)} items; answers that changed come first")
            with ui.element("table"):
                with ui.element("tr"):
                    for head in ("item", "true answer", "answer", "right", "without IMC", ""):
                        ui.html(head, tag="th").props("scope=col")
                for item in items[:SHOWN_ITEMS]:
                    self._row(item, held[item], base.get(item))

    def _row(self, item: str, response: Any, bare: Any) -> None:
        cells: Sequence[str] = (
            item,
            self.results.items[item].answer,
            response.prediction,
            "yes" if response.correct else "no",
            "" if bare is None else ("right" if bare.correct else "wrong"),
        )
        with ui.element("tr"):
            for cell in cells:
                ui.html(escape(one_line(cell)), tag="td", sanitize=False)
            with ui.element("td"):
                ui.button("Step", on_click=lambda: self._open(item)).props(
                    f'no-caps dense flat aria-label="Open item {escape(item)} in Step"'
                )

    async def _open(self, item: str) -> None:
        from imc_bench.item_inputs import item_inputs

        condition, method = self.cell, str(self.method.value)
        arguments = self.results.facts["arguments"]

        def read() -> Any:
            calibrator = self.studio.open().calibrator
            return item_inputs(
                arguments,
                item,
                condition,
                folder=self.studio.data,
                encoder=None if calibrator is None else calibrator.encoder,
            )

        with self.refusal.shown():
            if method not in ("none", "pdc", "sms", "imc"):
                raise InputRefused(f"method {method!r} is not one of the graph's: choose imc")
            image, question = await self.studio.work(read)
            begun = self.studio.ask(image, question, method=method, stepping=True)  # type: ignore[arg-type]
            ui.navigate.to(f"/step/{begun.id}")
