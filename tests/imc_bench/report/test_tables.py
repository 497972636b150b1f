"""Tables: aligned, counted, and every word of theirs explained once."""

from __future__ import annotations

from imc_bench.report.glossary import GLOSSARY, explain, glossary_markdown
from imc_bench.report.report import Report
from imc_bench.report.table import Table
from imc_bench.report.tables import make_tables


def test_words_are_aligned_left_and_figures_right() -> None:
    lines = Table("t", "T", ("run", "method", "n"), (("a", "b", "1"),), labels=2).markdown()
    assert "| :--- | :--- | ---: |" in lines.splitlines()
    assert r"\begin{tabular}{llr}" in Table("t", "T", ("a", "b", "c"), (), labels=2).latex()


def test_every_table_of_answers_shows_how_many_there_are(report: Report) -> None:
    for table in make_tables(report):
        if table.name in {"summary", "clean", "cells", "controls", "text"}:
            assert table.columns[-1] == "n"


def test_every_term_of_a_table_has_an_explanation(report: Report) -> None:
    terms = [term for table in make_tables(report) for term in table.terms]
    assert {"recovered", "flips", "BE", "rBE", "ECE", "gate"} <= set(terms)
    assert all(explain(terms)[term].endswith(".") for term in terms)


def test_the_glossary_is_a_list_for_a_page_of_the_docs() -> None:
    lines = glossary_markdown().splitlines()
    assert len(lines) == len(GLOSSARY)
    assert all(line.startswith("- **") for line in lines)
