"""Identity of a model for its model halves: a digest of its vision side."""

from __future__ import annotations

import hashlib
import json

import torch
from torch import nn

from vision.encoder.structure import VisionStructure, find_structure
from vision.errors import EncoderRefused

_VOLATILE_CONFIG = ("transformers_version", "_name_or_path", "dtype", "torch_dtype")
_SAMPLED_WEIGHTS = 32
"""Weights of each parameter that enter the fingerprint: enough to distinguish two trainings."""


def model_fingerprint(model: nn.Module) -> str:
    """Digest of the vision side of `model`: its configuration and a sample of its weights.

    Two models with the same fingerprint encode images alike, so that a model half of one is
    valid for the other. Weights are compared in bfloat16, so that copies in float32 and bfloat16
    have the same fingerprint. The language model does not count: it may be quantised.

    Raises EncoderRefused where a device map holds the vision side outside of memory.
    """
    config = getattr(model, "config", None)
    vision_config = getattr(config, "vision_config", None)
    described: dict[str, object] = {"model_type": getattr(config, "model_type", "")}
    if vision_config is not None and hasattr(vision_config, "to_dict"):
        described["vision"] = {
            key: value
            for key, value in vision_config.to_dict().items()
            if key not in _VOLATILE_CONFIG
        }
    digest = hashlib.sha256(json.dumps(described, sort_keys=True, default=str).encode())
    structure = find_structure(model)
    owner = _tower_name(structure) or structure.projector_name
    for name, parameter in sorted(model.named_parameters()):
        if owner and not name.startswith((owner, structure.projector_name or owner)):
            continue
        if parameter.is_meta:
            raise EncoderRefused(
                "the vision tower's weights are not in memory (a device map has put them off the "
                "accelerators): free memory there, or leave the device map out"
            )
        values = parameter.detach().reshape(-1)
        step = max(values.numel() // _SAMPLED_WEIGHTS, 1)
        sample = values[::step][:_SAMPLED_WEIGHTS].to(torch.bfloat16).float().cpu()
        digest.update(name.encode())
        digest.update(str(tuple(parameter.shape)).encode())
        digest.update(sample.numpy().tobytes())
    return digest.hexdigest()


def _tower_name(structure: VisionStructure) -> str:
    """The outermost module that holds the blocks: `model.vision_tower.` and the like."""
    parts = structure.blocks_name.split(".")
    if len(parts) < 2:
        return ""
    depth = 2 if parts[0] == "model" else 1
    return ".".join(parts[:depth]) + "."
