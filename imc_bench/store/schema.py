"""What a result store holds: its tables, and what identifies the run in it.

Tables, for whoever reads them (`Store.read`, or any SQLite client):

`run`  key, value (JSON). One row each of: `schema` (SCHEMA), `run_key` (hash of what follows),
    `arguments` (object: data_set, split, limit, items_digest, noises, severities, conditions,
    methods, noise_at, seed, profile, keep_text), `versions` (object: imc-agents, torch, ...),
    `model` (object: name, fingerprint, device, dtype, bank, acquisition, kinds; `device` and
    `dtype` are where and in what its weights are, "cpu" and "float32" where an older store has
    none, `bank` is the SHA-256 of the model half, null without one, `acquisition` that of the
    acquisition half, `kinds` the kinds of noise that it knows),
    `created` (ISO time), `machine` (text), `command` (the command that began it, '' from Python),
    `expected` (rows of the whole run), `bad_rows` (list of [where, why]: rows of the data set that
    could not be used). `arguments`, `versions` and `model` determine the rows: a store with
    another value is refused.
`item`  item_id, image_group, topic, closed (0/1), answer, options (JSON list), and `question`
    where `keep_text` is set, else null.
`row`  one for each item, condition and method:
    run_key, dataset, split, item_id, image (first 16 hex digits of the SHA-256 of the shown
    image's pixels before any noise), image_group, topic, closed,
    image_noise ('' none, a noise, several joined by '+', 'blank' or 'swapped'), image_severity (0
    for none and controls),
    text_noise (''), text_severity (0), noise_at ('input' or 'native'), method,
    prediction, answer (the true one), confidence (0..1), correct_strict (0/1),
    question_noisy (0/1: the noise changed the question), question_edited (0/1: the method changed
    what it was given), question_restored (0/1: the question asked is the clean one),
    cer_before, cer_after (character errors against the clean question, a share of its length),
    protected_violations (against the clean question, those that the method made),
    touched (0/1: the method changed the image or its features),
    perceived_kind ('' where the method perceives nothing), perceived_severity,
    clean_p_value (null where it does not),
    calls (passes through the model), ms (milliseconds, equal shares of shared work),
    question_asked (where `keep_text` is set, else null).
    The condition of all severities 0 is the clean one. Unique by run_key, item_id, condition,
    noise_at and method. Everything but `ms` is the same whenever the run is repeated.
`skipped`  unit, item_id, image_noise, image_severity, text_noise, text_severity, why: items left
    out of a condition, for every method alike, because image or question could not be read.
`unit`  unit (0..), owner, lease_until (Unix seconds), done (0/1), rows, seconds: the pieces that
    processes claim. A unit's rows and its `done` are written in one transaction.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

SCHEMA = 2
"""Version of the tables; a store of another one is refused."""

ROW_COLUMNS = (
    "run_key dataset split item_id image image_group topic closed image_noise image_severity "
    "text_noise text_severity noise_at method prediction answer confidence correct_strict "
    "question_noisy question_edited question_restored cer_before cer_after protected_violations "
    "touched perceived_kind perceived_severity clean_p_value calls ms question_asked"
).split()
"""The columns of `row`, in order."""
_OPTIONAL = {"clean_p_value", "question_asked"}
UNIQUE = (
    "run_key, item_id, image_noise, image_severity, text_noise, text_severity, noise_at, method"
)
TABLES = f"""
CREATE TABLE run (key TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE item (item_id TEXT PRIMARY KEY, image_group TEXT NOT NULL, topic TEXT NOT NULL,
    closed INTEGER NOT NULL, answer TEXT NOT NULL, options TEXT NOT NULL, question TEXT);
CREATE TABLE row ({", ".join(c if c in _OPTIONAL else f"{c} NOT NULL" for c in ROW_COLUMNS)},
    UNIQUE ({UNIQUE}));
CREATE TABLE skipped (unit INTEGER NOT NULL, item_id TEXT NOT NULL, image_noise TEXT NOT NULL,
    image_severity NOT NULL, text_noise TEXT NOT NULL, text_severity NOT NULL, why TEXT NOT NULL);
CREATE TABLE unit (unit INTEGER PRIMARY KEY, owner TEXT, lease_until REAL NOT NULL DEFAULT 0,
    done INTEGER NOT NULL DEFAULT 0, rows INTEGER NOT NULL DEFAULT 0, seconds REAL);
"""

ResultRow = Mapping[str, Any]
"""A row of a result store by column name."""


BEFORE_DEVICES = {"device": "cpu", "dtype": "float32", "attention": "auto"}
"""What the model of a store is taken to be that was written before these were recorded."""


@dataclass(frozen=True)
class Identity:
    """What determines every row of a run."""

    arguments: Mapping[str, Any]
    versions: Mapping[str, str]
    model: Mapping[str, Any]

    @property
    def run_key(self) -> str:
        """Sixteen hex digits that identify all of it."""
        known = BEFORE_DEVICES.items()  # left out, so that stores without them go on
        model = {name: value for name, value in self.model.items() if (name, value) not in known}
        text = json.dumps([SCHEMA, self.arguments, self.versions, model], sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:16]


@dataclass(frozen=True)
class NewRun:
    """What a store is created with beside its identity."""

    items: Sequence[tuple[str, str, str, bool, str, Sequence[str], str | None]]
    """item_id, image_group, topic, closed, answer, options, question or None."""
    units: int
    expected: int
    bad_rows: Sequence[tuple[str, str]] = ()
    command: str = ""
    """The command line that began it; empty where it was begun from Python."""
