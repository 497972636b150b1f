"""From what a person asked for to a run: checked before the model is loaded, then its runner and
its store, each by itself."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from importlib import metadata
from pathlib import Path
from typing import Any, Literal

from graphs.context import IMCContext
from imc_bench.conditions import Condition, RunRefused, make_conditions
from imc_bench.datasets import load_dataset
from imc_bench.methods import Method, Tools, get_methods, local_chat
from imc_bench.plan import Plan
from imc_bench.run.runner import Runner, RunSettings
from imc_bench.store.result_store import Store
from imc_bench.store.schema import Identity, NewRun
from imc_core.plugins import load_plugins
from imc_data.items import LoadedSet, VQAItem
from imc_noise import Severity

NoiseAt = Literal["input", "native"]
_VERSIONED = (
    "imc-agents",
    "torch",
    "transformers",
    "numpy",
    "scipy",
    "pillow",
    "scikit-image",
    "symspellpy",
)
"""Packages whose version may change a row."""


@dataclass(frozen=True)
class RunRequest:
    """What is to be measured."""

    dataset: str
    """A name of `imc_bench.datasets.NAMES`, or the path of a `.csv` or `.jsonl` file."""
    data: Path | None = None
    """Folder of the data set, or one that holds it under its name; `phantom` needs none."""
    split: str | None = None
    noises: tuple[str, ...] = ("core",)
    severities: tuple[Severity, ...] = (1, 3, 5)
    methods: tuple[str, ...] = ("none", "pdc", "sms", "imc")
    noise_at: NoiseAt = "input"
    limit: int | None = None
    """So many items, drawn by the seed; None: all."""
    seed: int = 0
    batch: int = 64
    """Most images, questions or answers in one pass; no row depends on it. A whole unit by default,
    whose questions then share its images best; a model that fills the memory needs fewer."""
    keep_text: bool = False
    """Store the questions too; without it the store holds answers and numbers alone."""
    plugins: tuple[Path, ...] = ()
    """Python files that register noises and methods of one's own (`imc_core.plugins`)."""


@dataclass(frozen=True)
class CheckedRequest:
    """A request whose names are known and whose items are read."""

    request: RunRequest
    conditions: tuple[Condition, ...]
    methods: tuple[Method, ...]
    items: LoadedSet
    plan: Plan
    plugins: Mapping[str, str]
    """Digest of each plug-in, by file name."""


def check_request(request: RunRequest) -> CheckedRequest:
    """Read the items and check every name, which takes no model.

    Raises UnknownNoise, RunRefused, PluginRefused or DataRefused, in one line.
    """
    if request.batch < 1:
        raise RunRefused(f"--batch-size {request.batch}: at least 1 is needed")
    plugins = load_plugins(request.plugins)
    methods = tuple(get_methods(request.methods))
    conditions = make_conditions(request.noises, request.severities)
    items = load_dataset(
        request.dataset,
        request.data,
        split=request.split,
        limit=request.limit,
        seed=request.seed,
    )
    plan = Plan(items.items, conditions, request.seed)
    return CheckedRequest(request, conditions, methods, items, plan, plugins)


def identity_of(checked: CheckedRequest, context: IMCContext) -> Identity:
    """What determines the rows of this request with this model."""
    request, calibrator = checked.request, context.calibrator
    if calibrator is None:
        raise RunRefused("the model has no image side: answers cannot be measured")
    policy = context.policy.model_dump(mode="json")
    arguments: dict[str, Any] = {
        "data_set": checked.items.name,
        "split": checked.items.split,
        "limit": request.limit,
        "conditions": [str(condition) for condition in checked.conditions],
        "methods": [method.name for method in checked.methods],
        "noise_at": request.noise_at,
        "seed": request.seed,
        "keep_text": request.keep_text,
        "items_digest": _digest(checked.items.items),
        "profile": context.prompts.profile,
        "prompts": _sha(context.prompts.model_dump_json()),
        "policy": {key: policy[key] for key in policy if key not in {"method", "seed", "review"}},
    }
    if context.protected.own_digest:
        arguments["protected"] = context.protected.own_digest
    if checked.plugins:
        arguments["plugins"] = dict(checked.plugins)
    half, acquisition = calibrator.model_half, calibrator.acquisition
    return Identity(
        arguments,
        dict(_versions()),
        {
            "name": context.model_name,
            "fingerprint": calibrator.encoder.fingerprint,
            **_placed(local_chat(context).model),
            "attention": _attention(local_chat(context).model),
            "bank": None if half is None else half.digest,
            "acquisition": acquisition.digest,
            "kinds": list(acquisition.kinds),
        },
    )


def open_run(
    checked: CheckedRequest, context: IMCContext, out: Path, *, command: str = ""
) -> tuple[Runner, Store]:
    """The runner of a checked request in this process, and its store, new or gone on with.

    A new store remembers `command`, the command line that began it.

    Raises StoreRefused or RunRefused, in one line.
    """
    runner = make_runner(checked, context)
    return runner, open_store(checked, identity_of(checked, context), out, command=command)


def make_runner(checked: CheckedRequest, context: IMCContext) -> Runner:
    """What measures the units of a checked request with this model. Raises RunRefused."""
    request = checked.request
    chat = local_chat(context)
    if chat.batch_size != request.batch:
        own = chat.from_parts(chat.model, chat.processor, chat.model_name, batch_size=request.batch)
        context = replace(context, chat=own)
    settings = RunSettings(
        checked.items.name,
        checked.items.split,
        identity_of(checked, context).run_key,
        request.noise_at,
        request.seed,
        request.keep_text,
    )
    return Runner(checked.plan, checked.methods, Tools(context, request.batch), settings)


def open_store(
    checked: CheckedRequest, identity: Identity, out: Path, *, command: str = ""
) -> Store:
    """The store of a checked request, new or gone on with; takes no model. Raises StoreRefused."""
    items = checked.items.items
    new = NewRun(
        [
            (
                item.item_id,
                item.image_group,
                item.topic,
                item.closed,
                item.answer,
                item.options,
                item.question if checked.request.keep_text else None,
            )
            for item in items
        ],
        units=len(checked.plan),
        expected=len(items) * len(checked.conditions) * len(checked.methods),
        bad_rows=[(row.where, row.why) for row in checked.items.bad_rows],
        command=command,
    )
    return Store.open(out, identity, new)


def _placed(model: Any) -> dict[str, str]:
    """Where most of a model's weights are, and in what number format: both change roundings.

    Weights that a device map holds elsewhere until they are used are not counted.
    """
    held: Counter[tuple[str, str]] = Counter()
    for weights in model.parameters():
        if weights.is_meta:
            continue
        held[weights.device.type, str(weights.dtype).removeprefix("torch.")] += weights.numel()
    ((device, dtype), _), *_ = held.most_common(1)
    return {"device": device, "dtype": dtype}


def _attention(model: Any) -> str:
    """Implementation of attention, which changes roundings; `auto`: the usual one of every part."""
    used = set()
    for part in model.modules():
        if hasattr(part, "_supports_sdpa"):
            own = str(part.config._attn_implementation)
            used.add("auto" if own == ("sdpa" if part._supports_sdpa else "eager") else own)
    return "+".join(sorted(used)) or "auto"


def _versions() -> Iterable[tuple[str, str]]:
    for package in _VERSIONED:
        try:
            yield package, metadata.version(package)
        except metadata.PackageNotFoundError:
            yield package, "not installed"


def _digest(items: Iterable[VQAItem]) -> str:
    """Identifies every id, question, answer and option, in order; images are named by the id."""
    facts = [
        (i.item_id, i.image_group, i.question, i.answer, i.closed, i.topic, i.options)
        for i in items
    ]
    return _sha(json.dumps(facts))


def _sha(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8")).hexdigest()[:16]
