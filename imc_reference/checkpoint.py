"""Training state on disk, as one safetensors file: no pickle is ever written or read."""

import json
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from safetensors.torch import save_file

Tensors = dict[str, torch.Tensor]


def save_state(file: Path, parts: dict[str, Tensors], progress: dict[str, Any]) -> None:
    """Write `parts` and `progress` to `file` in one step, so that a kill leaves the old or new."""
    file.parent.mkdir(parents=True, exist_ok=True)
    flat = {
        f"{part}/{name}": tensor.detach().contiguous().clone()
        for part, tensors in parts.items()
        for name, tensor in tensors.items()
    }
    temporary = file.with_suffix(".part")
    save_file(flat, temporary, metadata={"progress": json.dumps(progress)})
    temporary.replace(file)


def load_state(file: Path) -> tuple[dict[str, Tensors], dict[str, Any]]:
    """What `save_state` wrote: parts and progress."""
    parts: dict[str, Tensors] = {}
    with safe_open(file, framework="pt") as opened:
        progress = json.loads((opened.metadata() or {})["progress"])
        for key in opened.keys():  # noqa: SIM118 - safe_open is no mapping
            part, name = key.split("/", 1)
            parts.setdefault(part, {})[name] = opened.get_tensor(key)
    return parts, progress


def flatten_optimizer(optimizer: torch.optim.Optimizer) -> Tensors:
    """Per-parameter state as flat tensors named `index.field`."""
    return {
        f"{index}.{name}": value
        for index, state in optimizer.state_dict()["state"].items()
        for name, value in state.items()
    }


def restore_optimizer(optimizer: torch.optim.Optimizer, tensors: Tensors) -> None:
    """Put back what `flatten_optimizer` took."""
    state = optimizer.state_dict()
    for key, value in tensors.items():
        index, name = key.split(".", 1)
        state["state"].setdefault(int(index), {})[name] = value
    optimizer.load_state_dict(state)
