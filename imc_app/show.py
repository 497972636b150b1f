"""How results are shown to a person: plain words, colour only on a terminal."""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from imc_app.refusals import one_line

if TYPE_CHECKING:
    from rich.console import Console
    from rich.text import Text

    from imc_app.corruption import NoiseRequest

Document = Mapping[str, Any]


def console() -> Console:
    """Return a console on stdout: coloured on a terminal, plain in a pipe or a file."""
    from rich.console import Console

    return Console(highlight=False, soft_wrap=True)


def show_answer(
    document: Document,
    out: Console,
    *,
    with_times: bool = True,
    applied: Sequence[NoiseRequest] = (),
    correction: str = "",
) -> None:
    """Print the document of `imc ask` (DESIGN: answer, confidence, noise, question, steps).

    Args:
        document: as `imc ask --json` prints it.
        out: where to.
        with_times: the measured milliseconds too.
        applied: what `--noise` put on image and question before they were asked.
        correction: why the image was corrected or left as it was.
    """
    from rich.text import Text

    answer = Text(one_line(document["answer"]) or "(no answer)", style="bold")
    answer.append(f"   confidence {document['confidence']:.2f}", style="not bold dim")
    rows = [("answer", answer)]
    if applied:
        rows.append(("applied", Text(describe_applied(applied), style="dim")))
    rows += [
        *_image_rows(document, correction),
        *_question_rows(document["question"]),
        ("steps", describe_steps(document["trace"], with_times=with_times)),
        ("model", Text(f"{document['model']}, method {document['method']}")),
    ]
    for label, text in rows:
        out.print(Text().append(f"{label:10}", "dim").append_text(text))


def _image_rows(document: Document, correction: str) -> list[tuple[str, Text]]:
    """What was found and done; where noise was found, why, and what restricts it."""
    from rich.text import Text

    image = document["image"]
    rows = [("image", describe_image(image, correction))]
    if correction and image["noise"] is not None and image["noise"]["kind"] != "clean":
        rows.append(("", Text(one_line(correction), style="dim")))
    return rows


def describe_applied(applied: Sequence[NoiseRequest]) -> str:
    """What `--noise` put on image and question, which may differ from what is found in them."""
    said = "; ".join(f"{plain(one.kind)}, severity {one.severity:g}" for one in applied)
    return f"{said} (--noise; the severity found is an estimate)"


def _question_rows(question: Document) -> list[tuple[str, Text]]:
    from rich.text import Text

    original, used = one_line(question["original"]), one_line(question["used"])
    rows = [("question", Text(used))]
    if question["changed"]:
        removed, added = question_diff(original, used)
        rows = [("asked", removed), ("read as", added)]
    return [*rows, ("", Text(one_line(question["reason"]), style="dim"))]


def question_diff(original: str, used: str) -> tuple[Text, Text]:
    """Return `original` with what was taken out marked red, and `used` with the new in green."""
    from rich.text import Text

    removed, added = Text(), Text()
    for old, new in changes(original, used):
        same = old == new
        removed.append(old, None if same else "red strike")
        added.append(new, None if same else "bold green")
    return removed, added


def changes(original: str, used: str) -> list[tuple[str, str]]:
    """The two texts in aligned pieces: equal where nothing changed, else (taken out, put in).

    Words are compared; inside a replaced word only the letters that differ are a change.
    """
    before, after = re.findall(r"\s+|\S+", original), re.findall(r"\s+|\S+", used)
    pieces: list[tuple[str, str]] = []
    for same, old, new in _aligned(before, after):
        if same:
            pieces.append((old, new))
        else:
            pieces += [(old_part, new_part) for _, old_part, new_part in _aligned(old, new)]
    return pieces


def _aligned(before: Sequence[str], after: Sequence[str]) -> list[tuple[bool, str, str]]:
    matcher = difflib.SequenceMatcher(None, before, after, autojunk=False)
    return [
        (operation == "equal", "".join(before[start:end]), "".join(after[start_new:end_new]))
        for operation, start, end, start_new, end_new in matcher.get_opcodes()
    ]


def describe_image(image: Document, why_not: str = "") -> Text:
    """Say in one line the size, the noise that was found, and what was done about it.

    `why_not` says why noise could not be found, where the document has none.
    """
    from rich.text import Text

    noise = image.get("noise")
    text = Text(f"{image['width']} x {image['height']}, ")
    if noise is None:
        return text.append(one_line(why_not or "noise was not searched for"), "yellow")
    text.append_text(describe_noise(noise))
    return text.append(": corrected" if image.get("calibrated") else ": image left as it was")


def describe_noise(noise: Document) -> Text:
    """Say in words which noise was found in an image, and how sure that is."""
    from rich.text import Text

    level = noise.get("alpha")  # a checkpoint of an earlier version has none
    p_value = f'p-value for "no noise": {_p_value(noise["clean_p_value"], level or 0.0)}'
    if noise["kind"] == "clean":
        # An image that passes the gate is left as it is, however likely some noise is.
        text = Text("no noise found", style="green")
        above = f", above the threshold {level:g}" if level else ""
        return text.append(f" ({p_value}{above})", "dim")
    if noise["kind"] == "unknown":
        kind, name = "an unknown kind", "of no known kind"
    else:
        kind = name = plain(noise["kind"])
    severity = f", severity {noise['severity']} of 5" if noise["severity"] else ""
    text = Text("noise found: ").append(f"{name}{severity}", style="yellow")
    threshold = f", threshold {level:g}" if level else ""
    sure = f"probability of {kind} {noise['probability']:.2f}"
    return text.append(f" ({sure}; {p_value}{threshold})", "dim")


def _p_value(p_value: float, threshold: float) -> str:
    """A p-value never shown as 0, nor rounded to the threshold or past it."""
    if p_value < 0.0005:
        return "under 0.0005"
    return f"{p_value:.4f}" if abs(p_value - threshold) < 0.001 else f"{p_value:.3f}"


def plain(kind: str) -> str:
    """The name of a noise as words: `low dose` for `low_dose`."""
    return kind.replace("_", " ")


def describe_steps(trace: list[Document], *, with_times: bool = True) -> Text:
    """List the nodes in the order they first ended, each with its runs, time and notes."""
    from rich.text import Text

    parts = []
    for node, steps in steps_by_node(trace).items():
        text = Text(node if len(steps) == 1 else f"{node} ×{len(steps)}")
        if with_times:
            text.append(f" {sum(step['ms'] for step in steps):.0f} ms", "dim")
        notes = [step["note"] for step in steps if step.get("note")]
        if notes:
            text.append(f" ({'; '.join(notes)})", "yellow")
        parts.append(text)
    return Text(" · ", "dim").join(parts)


def steps_by_node(trace: Sequence[Document]) -> dict[str, list[Document]]:
    """The steps of each node, nodes in the order in which they first ended."""
    runs: dict[str, list[Document]] = {}
    for step in trace:
        runs.setdefault(step["node"], []).append(step)
    return runs
