"""A tiny Llama of random weights, written as a GGUF file as llama.cpp's converter writes one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tokenizers import pre_tokenizers

HEADS, KEY_HEADS, WIDTH, LAYERS = 4, 2, 64, 2
CONTROL = ("<|endoftext|>", "<|im_start|>", "<|im_end|>", "<empty_output>")
MERGES = (("l", "u"), ("lu", "n"), ("lun", "g"), ("Ġ", "t"))
TEMPLATE = (
    "{% for message in messages %}{% if loop.first and messages[0]['role'] != 'system' %}"
    "{{ '<|im_start|>system\nYou are a helpful AI assistant named SmolLM, trained by Hugging Face"
    "<|im_end|>\n' }}{% endif %}{{'<|im_start|>' + message['role'] + '\n' + message['content'] + "
    "'<|im_end|>' + '\n'}}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)


def tiny_tokens() -> list[str]:
    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    return [*CONTROL, *letters, *("".join(pair) for pair in MERGES)]


def tiny_llama(seed: int = 0) -> Any:
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.manual_seed(seed)
    config = LlamaConfig(
        vocab_size=len(tiny_tokens()),
        hidden_size=WIDTH,
        intermediate_size=96,
        num_hidden_layers=LAYERS,
        num_attention_heads=HEADS,
        num_key_value_heads=KEY_HEADS,
        max_position_embeddings=1024,
        rope_parameters={"rope_type": "default", "rope_theta": 100000.0},
        rms_norm_eps=1e-5,
        tie_word_embeddings=True,
        initializer_range=0.1,
    )
    return LlamaForCausalLM(config).eval()


def paired_rotations(weight: np.ndarray, heads: int) -> np.ndarray:
    """The order of rows in which llama.cpp's converter stores queries and keys."""
    rows, inputs = weight.shape
    halves = weight.reshape(heads, 2, rows // heads // 2, inputs)
    return halves.swapaxes(1, 2).reshape(rows, inputs)


def write_gguf(path: Path, model: Any, *, pre: str = "smollm", architecture: str = "llama") -> Path:
    gguf = pytest.importorskip("gguf", reason="needs the extra `pretrained` (gguf)")
    writer = gguf.GGUFWriter(path, architecture)
    config = model.config
    writer.add_context_length(config.max_position_embeddings)
    writer.add_embedding_length(config.hidden_size)
    writer.add_block_count(config.num_hidden_layers)
    writer.add_feed_forward_length(config.intermediate_size)
    writer.add_head_count(config.num_attention_heads)
    writer.add_head_count_kv(config.num_key_value_heads)
    writer.add_rope_freq_base(100000.0)
    writer.add_layer_norm_rms_eps(config.rms_norm_eps)
    tokens = tiny_tokens()
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre(pre)
    writer.add_token_list(tokens)
    writer.add_token_types([3 if token in CONTROL else 1 for token in tokens])
    writer.add_token_merges([" ".join(pair) for pair in MERGES])
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(2)
    writer.add_unk_token_id(0)
    writer.add_pad_token_id(2)
    writer.add_chat_template(TEMPLATE)
    for name, value in _named(model):
        writer.add_tensor(name, np.ascontiguousarray(value))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def _named(model: Any) -> list[tuple[str, np.ndarray]]:
    weights = {name: value.numpy() for name, value in model.model.state_dict().items()}
    found = [
        ("token_embd.weight", weights["embed_tokens.weight"]),
        ("output_norm.weight", weights["norm.weight"]),
    ]
    for layer in range(LAYERS):
        of, to = f"layers.{layer}.", f"blk.{layer}."
        attention = of + "self_attn."
        queries, keys = weights[attention + "q_proj.weight"], weights[attention + "k_proj.weight"]
        found += [
            (to + "attn_norm.weight", weights[of + "input_layernorm.weight"]),
            (to + "attn_q.weight", paired_rotations(queries, HEADS)),
            (to + "attn_k.weight", paired_rotations(keys, KEY_HEADS)),
            (to + "attn_v.weight", weights[attention + "v_proj.weight"]),
            (to + "attn_output.weight", weights[attention + "o_proj.weight"]),
            (to + "ffn_norm.weight", weights[of + "post_attention_layernorm.weight"]),
            (to + "ffn_gate.weight", weights[of + "mlp.gate_proj.weight"]),
            (to + "ffn_up.weight", weights[of + "mlp.up_proj.weight"]),
            (to + "ffn_down.weight", weights[of + "mlp.down_proj.weight"]),
        ]
    return found
