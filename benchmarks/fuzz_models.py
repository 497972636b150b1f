"""Changed model folders and halves of PDC through `imc`: an answer or one refusal, within bounds.

    python benchmarks/fuzz_models.py --count 250

Settings of tiny models (`tests.tiny_models`), the embedded model's half and the acquisition half
are changed at random: values of other types and sizes, missing and nested parts, settings of
another family, headers of weights, single bytes. Each folder is asked a question by `imc ask`, each
model half is used by `imc perceive`, each acquisition half shown by `imc prototypes show`. Each
must exit with 0, or with 2 and one line on stderr (what native libraries write included), and keep
to the limits below. The same seed gives the same files.
"""

from __future__ import annotations

import argparse
import copy
import json
import os
import random
import resource
import shutil
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

ROOT = Path(__file__).resolve().parent.parent
SECONDS = 60.0
"""Of CPU for one command; the first pays for the libraries' imports."""
MEBIBYTES = 512
"""That one command may hold beside what the process held before it."""
FAMILIES = ("llava", "qwen2_5_vl", "gemma3", "internvl", "paligemma")
_MODEL_HALF = "prototypes.safetensors"

_VALUES: tuple[Any, ...] = (
    *(None, True, False, -1, 0, 1, 2, 7, 99, 10**4, 10**7, 10**12, 10**30, -(10**9)),
    *(0.0, 0.5, -1.5, 1e-30, 1e30, float("nan"), float("inf")),
    *("", "x", "nonsense", "../base", "\x1b[31m", "a" * 10_000, "<image>", "float16"),
    *([], {}, [[]], [0], [None], {"a": {"a": {}}}, list(range(2000))),
)


@dataclass
class Outcome:
    """What a run found."""

    cases: int = 0
    answered: int = 0
    refused: Counter[str] = field(default_factory=Counter)
    """Refusals by what was changed."""
    faults: list[str] = field(default_factory=list)
    """Cases that broke a rule: number, what was changed, and what happened."""
    slowest: float = 0.0
    """CPU seconds."""
    grown: float = 0.0
    """MiB that the costliest command held beside what the process held before it."""


def changed_json(held: Any, chance: random.Random) -> Any:
    """A copy of JSON values with one change or two."""
    made = copy.deepcopy(held)
    for _ in range(chance.choice((1, 1, 2))):
        places = list(_places(made))
        if places:
            owner, key = chance.choice(places)
            _change(owner, key, chance)
    return made


def _places(held: Any) -> Iterator[tuple[Any, Any]]:
    """Every (container, key); of long lists and vocabularies a few."""
    keys: list[Any] = list(held) if isinstance(held, dict) else []
    if isinstance(held, list):
        keys = list(range(len(held)))
    for key in keys[:40]:
        yield held, key
        yield from _places(held[key])


def _change(owner: Any, key: Any, chance: random.Random) -> None:
    value = owner[key]
    way = chance.randrange(7)
    if way == 0:
        del owner[key]
    elif way == 1:
        owner[key] = [value]
    elif way == 2:
        deep: Any = value
        for _ in range(chance.choice((5, 60, 400))):
            deep = {"a": deep}
        owner[key] = deep
    elif way == 3 and isinstance(value, int | float) and not isinstance(value, bool):
        owner[key] = value * chance.choice((-1, 2, 1000, 0.5, 10**9))
    elif way == 4 and isinstance(value, str):
        owner[key] = chance.choice((value.upper(), value[::-1], value * 2, value[:-1]))
    elif way == 5 and isinstance(owner, dict):
        owner[chance.choice(("num_hidden_layers", "auto_map", "extra", "dtype"))] = value
    else:
        owner[key] = copy.deepcopy(chance.choice(_VALUES))


def changed_bytes(raw: bytes, chance: random.Random) -> bytes:
    """Bytes overwritten, cut or inserted."""
    made = bytearray(raw)
    for _ in range(chance.randint(1, 4)):
        if not made:
            break
        at = chance.randrange(min(len(made), 4096))
        way = chance.randrange(4)
        if way == 0:
            made[at] = chance.randrange(256)
        elif way == 1:
            del made[at : at + chance.randint(1, 64)]
        elif way == 2:
            made[at:at] = bytes(chance.randrange(256) for _ in range(8))
        else:
            del made[chance.randrange(len(made)) :]
    return bytes(made)


def changed_header(raw: bytes, chance: random.Random) -> bytes:
    """A safetensors file whose header was changed as JSON."""
    length = int.from_bytes(raw[:8], "little")
    header = json.loads(raw[8 : 8 + length])
    if chance.random() < 0.7 and "__metadata__" in header and "imc" in header["__metadata__"]:
        about = changed_json(json.loads(header["__metadata__"]["imc"]), chance)
        header["__metadata__"]["imc"] = json.dumps(about)
    else:
        header = changed_json(header, chance)
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    return len(text).to_bytes(8, "little") + text + raw[8 + length :]


def change_folder(folder: Path, others: list[Path], chance: random.Random) -> str:
    """Change one or two files of a model folder; what was changed."""
    names = sorted(path.name for path in folder.iterdir() if path.suffix in (".json", ".jinja"))
    said = []
    for _ in range(chance.choice((1, 1, 2))):
        name = chance.choice([*names, "config.json", "processor_config.json", "model.safetensors"])
        path, way = folder / name, chance.random()
        if name == "model.safetensors":
            if name in said:
                continue  # its header was changed before
            change = changed_header if way < 0.7 else changed_bytes
            path.write_bytes(change(path.read_bytes(), chance))
        elif way < 0.08 and (other := chance.choice(others) / name).is_file():
            shutil.copy(other, path)
        elif way < 0.2 or path.suffix == ".jinja":
            path.write_bytes(changed_bytes(path.read_bytes(), chance))
        else:
            try:
                held = json.loads(path.read_bytes())
            except ValueError:
                continue  # bytes of it were changed before
            path.write_text(json.dumps(changed_json(held, chance)))
        said.append(name)
    return " and ".join(said)


def cases(count: int, seed: int, place: Path) -> Iterator[tuple[str, list[str]]]:
    """Changed folders and halves, one after another: what was changed, and the command's words."""
    sys.path.insert(0, str(ROOT))
    from imc_reference import MODEL_DIR
    from tests.tiny_models import save_tiny
    from vision.acquisition.half import SHIPPED

    with redirect_stderr(open(os.devnull, "w", encoding="utf-8")):
        folders = [save_tiny(family, place / family) for family in FAMILIES]
    picture = place / "picture.png"
    Image.fromarray((np.arange(4096) % 251).reshape(64, 64).astype(np.uint8)).save(picture)
    halves = {
        "model half": (MODEL_DIR / _MODEL_HALF, ["perceive", str(picture), "--prototypes"]),
        "acquisition half": (SHIPPED, ["prototypes", "show"]),
    }
    for number in range(count):
        chance = random.Random(f"{seed} {number}")
        case = place / "case"
        shutil.rmtree(case, ignore_errors=True)
        if number % 5 == 4:
            case.mkdir()
            change = changed_header if chance.random() < 0.8 else changed_bytes
            said = chance.choice(list(halves))
            file, words = halves[said]
            (case / file.name).write_bytes(change(file.read_bytes(), chance))
            yield said, [*words, str(case / file.name)]
        else:
            shutil.copytree(chance.choice(folders), case)
            said = change_folder(case, folders, chance)
            yield said, ["ask", str(picture), "Is there a nodule?", "--model", str(case)]


def fuzz(count: int, seed: int, say: Callable[[str], None] = lambda line: None) -> Outcome:
    """Run `count` cases in this process."""
    from imc_app.cli import run

    outcome = Outcome()
    peak = 0.0
    with tempfile.TemporaryDirectory() as place:
        for number, (changed, words) in enumerate(cases(count, seed, Path(place))):
            began = time.process_time()
            with _caught() as written:
                code = run([*words, "--quiet"])
            seconds = time.process_time() - began
            held = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
            grown, peak = held - (peak or held), held
            lines = written().splitlines()
            rule = _broken_rule(code, lines, seconds, grown)
            if rule:
                outcome.faults.append(f"case {number} ({changed}): {rule}: {' | '.join(lines)}")
            outcome.cases += 1
            outcome.answered += code == 0
            outcome.refused[changed] += code == 2
            outcome.slowest = max(outcome.slowest, seconds)
            outcome.grown = max(outcome.grown, grown)
            say(f"{number} {code} {seconds:.1f} s {changed}: {' | '.join(lines)[:200]}")
    return outcome


def _broken_rule(code: int, lines: list[str], seconds: float, grown: float) -> str:
    if code not in (0, 2):
        return f"exit {code}"
    if len(lines) != (code == 2) or any(not line.startswith("imc: ") for line in lines):
        return f"exit {code} with {len(lines)} lines on stderr"
    if seconds > SECONDS:
        return f"{seconds:.0f} s"
    return f"{grown:.0f} MiB" if grown > MEBIBYTES else ""


@contextmanager
def _caught() -> Iterator[Callable[[], str]]:
    """Catch what Python and native libraries write to stderr; returns what reads it afterwards."""
    with tempfile.TemporaryFile() as file:
        kept = os.dup(2)
        os.dup2(file.fileno(), 2)
        found = b""
        try:
            with (
                open(2, "w", encoding="utf-8", closefd=False) as errors,
                open(os.devnull, "w", encoding="utf-8") as nowhere,
                redirect_stderr(errors),
                redirect_stdout(nowhere),
            ):
                yield lambda: found.decode("utf-8", "replace")
        finally:
            os.dup2(kept, 2)
            os.close(kept)
            file.seek(0)
            found = file.read()


def main() -> int:
    """Run from the command line; 1 where a rule was broken."""
    parser = argparse.ArgumentParser(description="Changed model folders and halves through imc.")
    parser.add_argument("--count", type=int, default=250, help="cases (default: 250)")
    parser.add_argument("--seed", type=int, default=0, help="seed of the changes (default: 0)")
    parser.add_argument("--verbose", action="store_true", help="print every case")
    options = parser.parse_args()
    outcome = fuzz(options.count, options.seed, print if options.verbose else lambda line: None)
    refused = dict(sorted(outcome.refused.items()))
    print(f"cases {outcome.cases}, answered {outcome.answered}, refused {sum(refused.values())}")
    print(f"slowest {outcome.slowest:.1f} s of CPU, most memory {outcome.grown:.0f} MiB")
    print(f"broken rules: {len(outcome.faults)}")
    print("\n".join(outcome.faults))
    return 1 if outcome.faults else 0


if __name__ == "__main__":
    sys.exit(main())
