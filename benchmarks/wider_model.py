"""A model made wider that computes what it computed: what a larger model costs, without one.

Every weight is padded with zeros to a larger hidden size, so that scores, decisions and the number
of calls stay as they are (up to rounding) while each token costs what it costs a model of that
size. The extra heads and channels carry nothing.
"""

from __future__ import annotations

import copy
import math
from typing import Any

import torch


def widen(model: Any, hidden: int) -> Any:
    """The same function at another hidden size.

    Args:
        model: LLaVA-like, with a Llama-like language model (RMS norms, gated MLP).
        hidden: its new hidden size; a multiple of the size of a head, not below the present one.

    Returns:
        A new model in eval mode; heads keep their size, the MLP its ratio to the hidden size.

    Raises:
        ValueError: the size does not fit.
    """
    config = copy.deepcopy(model.config)
    text = config.text_config
    head, had = text.hidden_size // text.num_attention_heads, text.hidden_size
    if hidden < had or hidden % head:
        raise ValueError(f"hidden size {hidden}: give a multiple of {head} from {had} on")
    if text.num_key_value_heads != text.num_attention_heads:
        raise ValueError(
            "grouped heads cannot be padded: give a model with as many keys as queries"
        )
    text.hidden_size = hidden
    text.intermediate_size = text.intermediate_size * hidden // had
    text.num_attention_heads = text.num_key_value_heads = hidden // head
    text.rms_norm_eps *= had / hidden  # zeros lower the mean square, not what it is compared with
    wide = type(model)(config).to(model.dtype).eval()
    own = model.state_dict()
    with torch.no_grad():
        for name, value in wide.state_dict().items():
            value.zero_()
            value[tuple(slice(size) for size in own[name].shape)] = own[name]
            if "language_model" in name and "norm" in name:
                value *= math.sqrt(had / hidden)
    wide.generation_config = model.generation_config
    return wide
