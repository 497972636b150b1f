"""A Llama in a GGUF file as float32 tensors, settings and tokenizer of transformers.

GGUF stores the rows of the query and key projections in another order (pairs of a rotation beside
one another instead of half a head apart): that is undone, everything else is dequantized as it is.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers
from transformers import LlamaConfig, PreTrainedTokenizerFast

from imc_reference.pretrained.package import INSTALL, PretrainedRefused

PRE_TOKENIZER = "smollm"
"""The splitting of texts that is known here: digits alone, then GPT-2's expression over bytes."""

_CONTROL = 3
"""Type of a control token in `tokenizer.ggml.token_type`."""

_LAYER_NAMES = {
    "attn_norm": "input_layernorm",
    "attn_q": "self_attn.q_proj",
    "attn_k": "self_attn.k_proj",
    "attn_v": "self_attn.v_proj",
    "attn_output": "self_attn.o_proj",
    "ffn_norm": "post_attention_layernorm",
    "ffn_gate": "mlp.gate_proj",
    "ffn_up": "mlp.up_proj",
    "ffn_down": "mlp.down_proj",
}
_NAMES = {"token_embd": "embed_tokens", "output_norm": "norm"}


@dataclass
class GGUFLlama:
    """What the file holds: weights of `LlamaModel` by name, settings, tokenizer."""

    config: LlamaConfig
    weights: dict[str, torch.Tensor]
    """float32; the embedding serves as output layer too."""
    tokenizer: PreTrainedTokenizerFast
    chat_template: str


def read_gguf(path: Path) -> GGUFLlama:
    """Read a GGUF file of a Llama whose embedding is its output layer.

    Raises:
        PretrainedRefused: the package gguf is not installed; damaged, of another architecture, or
            with a tokenizer that is not known here.
    """
    try:
        from gguf import GGUFReader
    except ImportError:
        raise PretrainedRefused(f"the package gguf is not installed: {INSTALL}") from None
    try:
        reader = GGUFReader(path)
        fields = {name: field.contents() for name, field in reader.fields.items()}
        config = _config(fields)
        weights = _weights(reader.tensors, config)
        tokenizer = _tokenizer(fields)
    except PretrainedRefused:
        raise
    except Exception as error:  # the reader checks little: a damaged file fails anywhere
        raise PretrainedRefused(
            f"language weights {path.name}: damaged, or no GGUF file of a Llama "
            f"({type(error).__name__}); copy the file again"
        ) from error
    return GGUFLlama(config, weights, tokenizer, str(fields["tokenizer.chat_template"]))


def _config(fields: dict[str, Any]) -> LlamaConfig:
    if fields["general.architecture"] != "llama":
        raise PretrainedRefused(
            f"language weights are of the architecture {str(fields['general.architecture'])[:40]!r}"
            ": only llama is read"
        )
    return LlamaConfig(
        vocab_size=len(fields["tokenizer.ggml.tokens"]),
        hidden_size=fields["llama.embedding_length"],
        intermediate_size=fields["llama.feed_forward_length"],
        num_hidden_layers=fields["llama.block_count"],
        num_attention_heads=fields["llama.attention.head_count"],
        num_key_value_heads=fields["llama.attention.head_count_kv"],
        max_position_embeddings=fields["llama.context_length"],
        rms_norm_eps=fields["llama.attention.layer_norm_rms_epsilon"],
        rope_parameters={"rope_type": "default", "rope_theta": fields["llama.rope.freq_base"]},
        tie_word_embeddings=True,
        bos_token_id=fields["tokenizer.ggml.bos_token_id"],
        eos_token_id=fields["tokenizer.ggml.eos_token_id"],
        pad_token_id=fields["tokenizer.ggml.padding_token_id"],
    )


def _weights(tensors: Any, config: LlamaConfig) -> dict[str, torch.Tensor]:
    from gguf import dequantize

    weights: dict[str, torch.Tensor] = {}
    for tensor in tensors:
        values: NDArray[np.float32] = dequantize(tensor.data, tensor.tensor_type)
        if not np.isfinite(values).all():
            raise ValueError("a weight that is not finite")
        name = _weight_name(tensor.name)
        if name.endswith("q_proj.weight"):
            values = split_rotations(values, config.num_attention_heads)
        elif name.endswith("k_proj.weight"):
            values = split_rotations(values, config.num_key_value_heads)
        weights[name] = torch.from_numpy(np.array(values, dtype=np.float32))
    return weights


def _weight_name(stored: str) -> str:
    """Name in `LlamaModel` of a tensor of the file; KeyError for one that is not known."""
    parts = stored.split(".")
    if parts[0] == "blk":
        return f"layers.{int(parts[1])}.{_LAYER_NAMES[parts[2]]}.{parts[3]}"
    return f"{_NAMES[parts[0]]}.{parts[1]}"


def split_rotations(values: NDArray[np.float32], heads: int) -> NDArray[np.float32]:
    """Rows of a query or key projection from GGUF's order to transformers'.

    Args:
        values: (heads * width, inputs), rows 2i and 2i + 1 of a head rotated together.
        heads: heads of this projection.

    Returns:
        The same rows with i and i + width / 2 rotated together.
    """
    rows, inputs = values.shape
    pairs = values.reshape(heads, rows // heads // 2, 2, inputs)
    return pairs.swapaxes(1, 2).reshape(rows, inputs)


def _tokenizer(fields: dict[str, Any]) -> PreTrainedTokenizerFast:
    kind, splitting = fields["tokenizer.ggml.model"], fields.get("tokenizer.ggml.pre")
    if (kind, splitting) != ("gpt2", PRE_TOKENIZER):
        raise PretrainedRefused(
            f"language weights have a tokenizer of the kind {str(kind)[:20]!r} "
            f"{str(splitting)[:20]!r}: only gpt2 {PRE_TOKENIZER} is read"
        )
    tokens = fields["tokenizer.ggml.tokens"]
    merges = [tuple(merge.split(" ")) for merge in fields["tokenizer.ggml.merges"]]
    vocabulary = {token: number for number, token in enumerate(tokens)}
    tokenizer = Tokenizer(models.BPE(vocab=vocabulary, merges=merges))
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Digits(individual_digits=True),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    types = fields["tokenizer.ggml.token_type"]
    control = [t for t, kind in zip(tokens, types, strict=True) if kind == _CONTROL]
    tokenizer.add_special_tokens([AddedToken(t, special=True, normalized=False) for t in control])
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        bos_token=tokens[fields["tokenizer.ggml.bos_token_id"]],
        eos_token=tokens[fields["tokenizer.ggml.eos_token_id"]],
        unk_token=tokens[fields["tokenizer.ggml.unknown_token_id"]],
        pad_token=tokens[fields["tokenizer.ggml.padding_token_id"]],
        model_max_length=fields["llama.context_length"],
        clean_up_tokenization_spaces=False,
    )
