"""Beginnings of prompts whose keys and values are held: an image's, an agent's instructions'.

A second question on one image, and a second question to one agent, begin with the same tokens.
What the model computed over them is held here, in the model's own memory, and nowhere else: bounded
in bytes and number, and dropped with the image's features. The beginning is always computed by the
model's own pass over it, with its own positions and masks, so that rotary positions in three axes
and spans of an image that attend to each other are what the family makes them.
"""

from __future__ import annotations

import weakref
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor
from transformers import DynamicCache

from imc_agents.chat.encoded_prompt import EncodedPrompt
from imc_agents.chat.prompt_batches import stack_prompts

__all__ = ["PREFIX_BYTES", "Continuation", "Prefix", "PrefixStore", "cache_of", "positions_read"]

PREFIX_BYTES = 1 << 30
"""Bytes of keys and values held at most: three images of LLaVA-7B, 600 tokens of .5 MB each in
bfloat16, and the instructions of the agents."""
_ENTRIES = 16
"""Most beginnings held: those of four prompts and of some images."""
_TOKENS_A_PASS = 32 * 1024
"""Most tokens of beginnings computed in one pass."""

_Key = tuple[bytes, int]


@dataclass(frozen=True)
class Prefix:
    """The first tokens of a prompt, computed.

    Attributes:
        length: number of tokens.
        position: of the token that comes next. `length` for most families, less after an image
            whose tokens have their places in rows and columns for positions, one more where a
            family counts from one.
        layers: keys and values, shape (1, heads, length, dim) each, by layer; None for a layer that
            uses another's.
        logits: of the token that comes next, shape (vocabulary,); None where they were not kept.
    """

    length: int
    position: int
    layers: tuple[tuple[Tensor | None, Tensor | None], ...] = field(repr=False)
    logits: Tensor | None = field(repr=False)

    @property
    def bytes(self) -> int:
        """Memory of keys, values and logits."""
        held = [one for layer in self.layers for one in layer] + [self.logits]
        return sum(one.numel() * one.element_size() for one in held if one is not None)


@dataclass(frozen=True)
class Continuation:
    """What a whole pass has found after a beginning: shows whether going on from it agrees.

    Attributes:
        ids: tokens after the beginning, the first tokens of the answer among them.
        written: how many of them are the answer's.
        logprobs: log-probability of each of those, in nats.
    """

    ids: tuple[int, ...] = field(repr=False)
    written: int
    logprobs: tuple[float, ...] = field(repr=False)


@dataclass
class _Held:
    prefix: Prefix
    features: weakref.ref[Any] | None
    continuation: Continuation | None = None


class PrefixStore:
    """Computes and holds beginnings of prompts.

    Args:
        model: takes `mm_encoder_outputs`.
        most_bytes: memory of all that is held; a beginning that takes more is used and not held.

    Attributes:
        computed_tokens: tokens of beginnings computed so far.
    """

    def __init__(self, model: Any, most_bytes: int = PREFIX_BYTES) -> None:
        self._model = model
        self._most_bytes = most_bytes
        self._held: OrderedDict[_Key, _Held] = OrderedDict()
        self.computed_tokens = 0

    def __len__(self) -> int:
        return len(self._held)

    @property
    def bytes(self) -> int:
        """Memory of all that is held."""
        return sum(held.prefix.bytes for held in list(self._held.values()))

    def clear(self) -> None:
        """Hold nothing."""
        self._held.clear()

    def release(self) -> bool:
        """Hold nothing, and leave its memory to others; whether anything was held."""
        held = bool(self._held)
        self.clear()
        torch.cuda.empty_cache()
        return held

    def get(self, beginnings: Sequence[EncodedPrompt], *, logits: bool = False) -> list[Prefix]:
        """The beginnings, computed once each; those of equal length in one pass.

        Args:
            beginnings: beginnings of prompts (`EncodedPrompt.beginning`).
            logits: whether the next token's are wanted.

        Returns:
            One each, in order; equal ones are the same object.

        Raises:
            NotImplementedError: the model keeps no keys and values by layer and token.
        """
        found: dict[_Key, Prefix] = {}
        missing: dict[int, dict[_Key, EncodedPrompt]] = {}
        keys = [_key(one) for one in beginnings]
        for key, one in zip(keys, beginnings, strict=True):
            held = self._lookup(key, one)
            if held is not None and (held.prefix.logits is not None or not logits):
                found[key] = held.prefix
            else:
                missing.setdefault(len(one.ids), {})[key] = one
        for length, several in missing.items():
            rows = max(1, _TOKENS_A_PASS // length)
            for first in range(0, len(several), rows):
                some = dict(list(several.items())[first : first + rows])
                for key, prefix in zip(some, self._computed(list(some.values())), strict=True):
                    found[key] = prefix
                    self._hold(key, some[key], prefix)
        return [found[key] for key in keys]

    def held(self, beginning: EncodedPrompt) -> tuple[Prefix, Continuation | None] | None:
        """A beginning that is held, and what is known to come after it; None: it is not held."""
        held = self._lookup(_key(beginning), beginning)
        return None if held is None else (held.prefix, held.continuation)

    def keep(
        self,
        beginning: EncodedPrompt,
        cache: Any,
        positions: Tensor | None,
        continuation: Continuation,
    ) -> None:
        """Hold a beginning that a pass over a longer sequence has computed.

        It is not held where the cache does not hold all of it any more (an attention window).

        Args:
            beginning: of the sequence, which was the only one of its batch.
            cache: the keys and values of that pass.
            positions: those of its tokens (`positions_read`).
            continuation: what that pass has found after it.
        """
        length = len(beginning.ids)
        try:
            (layers,) = _rows_of(cache, 1, length)
        except NotImplementedError:
            return
        prefix = Prefix(length, _next_position(positions, 0, length), layers, None)
        self._hold(_key(beginning), beginning, prefix, continuation)

    @torch.no_grad()
    def _computed(self, beginnings: Sequence[EncodedPrompt]) -> list[Prefix]:
        """One pass over beginnings of equal length."""
        length = len(beginnings[0].ids)
        # Without its config a cache keeps all tokens of layers with a window, too.
        with positions_read(self._model) as positions:
            output = self._model(
                **stack_prompts(beginnings, pad_id=0, side="right"),
                past_key_values=DynamicCache(),
                use_cache=True,
                logits_to_keep=1,
            )
        rows = _rows_of(output.past_key_values, len(beginnings), length)
        self.computed_tokens += length * len(beginnings)
        return [
            Prefix(
                length,
                _next_position(positions[0], row, length),
                layers,
                output.logits[row, -1].clone(),
            )
            for row, layers in enumerate(rows)
        ]

    def _lookup(self, key: _Key, beginning: EncodedPrompt) -> _Held | None:
        held = self._held.get(key)
        if held is None or (held.features and held.features() is not beginning.features):
            return None
        self._held.move_to_end(key)
        return held

    def _hold(
        self,
        key: _Key,
        beginning: EncodedPrompt,
        prefix: Prefix,
        continuation: Continuation | None = None,
    ) -> None:
        if prefix.bytes > self._most_bytes:
            return
        features = None
        if beginning.features is not None:
            held = self._held  # not self: the callback must not keep the model
            try:
                features = weakref.ref(beginning.features, lambda _: held.pop(key, None))
            except TypeError:
                return  # its end would not be noticed
        self._held[key] = _Held(prefix, features, continuation)
        self._held.move_to_end(key)
        while len(self._held) > _ENTRIES or self.bytes > self._most_bytes:
            self._held.popitem(last=False)


@contextmanager
def positions_read(model: Any) -> Iterator[list[Tensor | None]]:
    """The positions that the language model is given in the block, one entry a pass.

    Shape (batch, tokens), with the axes before it where there are several; None where the language
    model counts by itself, from 0.
    """
    found: list[Tensor | None] = []
    hook = model.get_decoder().register_forward_pre_hook(
        lambda _module, _args, given: found.append(given.get("position_ids")), with_kwargs=True
    )
    try:
        yield found
    finally:
        hook.remove()


def _next_position(positions: Tensor | None, row: int, length: int) -> int:
    """The position that follows those of a row's first `length` tokens, on all axes."""
    if positions is None:
        return length
    if positions.dim() == 3 and len(positions) == 4:
        positions = positions[1:]  # the first are the tokens' own, beside three axes
    row = min(row, positions.shape[-2] - 1)  # one row may serve the whole batch
    return int(positions[..., row, :length].max()) + 1


def cache_of(rows: Sequence[Prefix]) -> DynamicCache:
    """Keys and values of beginnings of equal length, one row each, to go on from.

    They are copied: what is held stays as it is.
    """
    layers: list[tuple[Tensor | None, ...]] = []
    for index in range(len(rows[0].layers)):
        keys, values = zip(*(prefix.layers[index] for prefix in rows), strict=True)
        if keys[0] is None:
            layers.append((None, None))
        elif all(prefix is rows[0] for prefix in rows):
            layers.append(tuple(one[0].expand(len(rows), -1, -1, -1) for one in (keys, values)))
        else:
            layers.append((torch.cat(keys), torch.cat(values)))
    return DynamicCache(layers)


def _key(beginning: EncodedPrompt) -> _Key:
    features = beginning.features
    return beginning.ids.cpu().numpy().tobytes(), 0 if features is None else id(features)


def _rows_of(
    cache: Any, rows: int, length: int
) -> list[tuple[tuple[Tensor | None, Tensor | None], ...]]:
    """The first `length` tokens' keys and values by row and layer.

    Raises NotImplementedError where a layer does not hold them all.
    """
    found: list[list[tuple[Tensor | None, Tensor | None]]] = [[] for _ in range(rows)]
    layers: Sequence[Any] = getattr(cache, "layers", (None,))
    for layer in layers:
        keys: Tensor | None = getattr(layer, "keys", None)
        values: Tensor | None = getattr(layer, "values", None)
        if keys is None and not getattr(layer, "is_initialized", True):
            for row in found:
                row.append((None, None))  # uses another layer's
            continue
        if (
            keys is None
            or values is None
            or keys.dim() != 4
            or not length <= keys.shape[-2] == layer.get_seq_length()
        ):
            raise NotImplementedError(f"{type(layer).__name__} does not hold every token")
        for place, row in enumerate(found):
            one = slice(place, place + 1)
            row.append((keys[one, :, :length].clone(), values[one, :, :length].clone()))
    return [tuple(row) for row in found]
