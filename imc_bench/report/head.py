"""The facts of a report: everything that says where its figures come from."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

from imc_bench.report.report import Report
from imc_bench.report.wording import RULE_WORDS, counted, data_name, data_words, model_name

REASONS_SHOWN = 8
"""Different reasons for which something was left out; the store holds them all."""


def title_of(report: Report) -> str:
    """What was measured, on what, and where image noise was put."""
    results = report.results
    return (
        f"Robustness of {model_name(results.facts)} on {data_name(results)}, "
        f"image noise at {results.noise_at} resolution"
    )


def head_facts(report: Report) -> dict[str, str]:
    """By name, in the order in which they are shown."""
    results, facts = report.results, report.results.facts
    model, progress, arguments = facts["model"], results.progress, facts["arguments"]
    groups = len({item.group for item in results.items.values()})
    return {
        "command": facts["command"] or "none, begun from Python",
        "data": f"{data_words(results)}; {counted(groups, 'cluster')} of the bootstrap",
        "methods": ", ".join(results.methods),
        "image noise at": f"{results.noise_at} resolution",
        "scores": RULE_WORDS[results.rule],
        "corruption errors relative to": report.baseline,
        "model": f"{model['name']}, fingerprint {model.get('fingerprint')}",
        "acquisition half": _digest(model.get("acquisition")),
        "model half": _digest(model.get("bank")),
        "seed": str(arguments.get("seed")),
        "rows": f"{progress.rows} of {progress.expected}",
        "rows of the data set left out": _left_out(Counter(why for _, why in facts["bad_rows"])),
        "items left out of a condition": _left_out(results.left_out),
        "run": f"{facts['run_key']}, begun {facts['created']}",
        "machine": facts["machine"],
        "versions": ", ".join(f"{name} {version}" for name, version in facts["versions"].items()),
    }


def _digest(of_file: str | None) -> str:
    return f"SHA-256 {of_file}" if of_file else "none"


def _left_out(reasons: Mapping[str, int]) -> str:
    """`2 × no answer; 1 × no image`, or that there are none."""
    shown = [f"{count} × {why}" for why, count in sorted(reasons.items())]
    if len(shown) > REASONS_SHOWN:
        shown = [*shown[:REASONS_SHOWN], f"{len(shown) - REASONS_SHOWN} other reasons"]
    return "; ".join(shown) or "none"
