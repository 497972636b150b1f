"""How results are shown to a person: plain words, colour only on a terminal."""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping
from typing import Any

from rich.console import Console
from rich.text import Text

from imc_app.refusals import one_line

Document = Mapping[str, Any]


def console() -> Console:
    """Return a console on stdout: coloured on a terminal, plain in a pipe or a file."""
    return Console(highlight=False, soft_wrap=True)


def show_answer(document: Document, out: Console, *, with_times: bool = True) -> None:
    """Print the document of `imc ask` (DESIGN: answer, confidence, noise, question, steps)."""
    answer = Text(one_line(document["answer"]) or "(no answer)", style="bold")
    answer.append(f"   confidence {document['confidence']:.2f}", style="not bold dim")
    rows = [
        ("answer", answer),
        ("image", describe_image(document["image"])),
        *_question_rows(document["question"]),
        ("steps", describe_steps(document["trace"], with_times=with_times)),
        ("model", Text(f"{document['model']}, method {document['method']}")),
    ]
    for label, text in rows:
        out.print(Text(f"{label:10}", "dim").append_text(text))


def _question_rows(question: Document) -> list[tuple[str, Text]]:
    original, used = one_line(question["original"]), one_line(question["used"])
    rows = [("question", Text(used))]
    if question["changed"]:
        removed, added = question_diff(original, used)
        rows = [("asked", removed), ("read as", added)]
    return [*rows, ("", Text(one_line(question["reason"]), style="dim"))]


def question_diff(original: str, used: str) -> tuple[Text, Text]:
    """Return `original` with what was taken out marked red, and `used` with the new in green.

    Words are compared; inside a replaced word only the letters that differ are marked.
    """
    before, after = re.findall(r"\s+|\S+", original), re.findall(r"\s+|\S+", used)
    removed, added = Text(), Text()
    matcher = difflib.SequenceMatcher(None, before, after, autojunk=False)
    for operation, start, end, start_used, end_used in matcher.get_opcodes():
        old, new = "".join(before[start:end]), "".join(after[start_used:end_used])
        if operation == "equal":
            removed.append(old)
            added.append(new)
        else:
            _mark_letters(old, new, removed, added)
    return removed, added


def _mark_letters(old: str, new: str, removed: Text, added: Text) -> None:
    matcher = difflib.SequenceMatcher(None, old, new, autojunk=False)
    for operation, start, end, start_new, end_new in matcher.get_opcodes():
        same = operation == "equal"
        removed.append(old[start:end], None if same else "red strike")
        added.append(new[start_new:end_new], None if same else "bold green")


def describe_image(image: Document) -> Text:
    """Say in one line what was seen: size, noise, and whether it was calibrated."""
    return Text(f"{image['width']}×{image['height']}, ").append_text(
        describe_noise(image.get("noise"), image.get("calibrated"))
    )


def describe_noise(noise: Document | None, calibrated: bool | None = None) -> Text:
    """Say a noise perception in words; `None` means that nobody looked."""
    if noise is None:
        return Text("noise not looked for")
    if noise["kind"] == "clean":
        text = Text("clean", style="green")
    else:
        name = "noise of no known kind" if noise["kind"] == "unknown" else noise["kind"]
        strength = f", severity {noise['severity']}" if noise["severity"] else ""
        text = Text(f"{name}{strength}", style="yellow")
    # What passes the gate is called clean, however likely some noise is: its p says how narrowly.
    likely = "" if noise["kind"] == "clean" else f"probability {noise['probability']:.2f}, "
    text.append(f" ({likely}p of being clean {noise['clean_p_value']:.3f})", "dim")
    if calibrated is not None:
        text.append(", calibrated" if calibrated else ", left as it is")
    return text


def describe_steps(trace: list[Document], *, with_times: bool = True) -> Text:
    """List the nodes in the order they first ended, each with its runs, time and notes."""
    runs: dict[str, list[Document]] = {}
    for step in trace:
        runs.setdefault(step["node"], []).append(step)
    told = []
    for node, steps in runs.items():
        text = Text(node if len(steps) == 1 else f"{node} ×{len(steps)}")
        if with_times:
            text.append(f" {sum(step['ms'] for step in steps):.0f} ms", "dim")
        notes = [step["note"] for step in steps if step.get("note")]
        if notes:
            text.append(f" ({'; '.join(notes)})", "yellow")
        told.append(text)
    return Text(" · ", "dim").join(told)
