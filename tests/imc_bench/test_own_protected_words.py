"""A run knows a hospital's own protected words: with another file it is another run."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from graphs.context import IMCContext
from imc_agents.safeguards.protected import load_protected
from imc_bench.run.session import RunRequest, check_request, identity_of


def test_the_digest_of_own_words_belongs_to_a_run(
    bench_context: IMCContext, tmp_path: Path
) -> None:
    own, other = tmp_path / "own.yaml", tmp_path / "other.yaml"
    own.write_text("categories: {drug: {words: [apixaban]}}")
    other.write_text("categories: {drug: {words: [edoxaban]}}")
    checked = check_request(RunRequest(dataset="phantom", limit=1, methods=("sms",)))
    tables = [load_protected(), load_protected(own), load_protected(other)]
    contexts = [replace(bench_context, protected=table) for table in tables]
    shipped, first, second = (identity_of(checked, context).arguments for context in contexts)
    assert "protected" not in shipped
    assert first["protected"] != second["protected"]
