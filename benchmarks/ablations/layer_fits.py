"""Fitting the feature-only family on clean references and draws of them: closed form, no labels."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from ablations.layer_maps import (
    TokenMoments,
    mean_shift,
    mean_std,
    ridge,
    whitening_colouring,
    with_context,
)
from ablations.layers import Layers, Standard, codebook, keyed, linear
from vision.build.draws import NATIVE_SIDES, noisy_draw, resized
from vision.encoder.token_layout import POSITION_FEATURES, TokenLayout, infer_layout
from vision.encoder.vision_encoder import PixelInputs, VisionEncoder
from vision.reading.medical_image import MedicalImage

MOMENTS = {
    "mean shift": mean_shift,
    "mean-std": mean_std,
    "whitening-colouring": whitening_colouring,
}
"""Maps made of the tokens' first and second moments."""
ALONE, CONTEXT, CASCADE = "ridge per token", "ridge with context", "cascade"
CODES, KEYS = "nearest clean token", "nearest noisy token's residual"

_BATCH = 32
_CODES = 4096
"""Clean tokens of the codebook."""
_KEYS = 1024
"""Noisy tokens kept of each class."""
_SPREAD, _COARSE_SPREAD = 0.5, 1.0
"""How far a draw's strength lies from its class's severity: as in a bank, for kinds that it knows
at every severity and for those that it knows at two."""
_SIDE = 224
"""Where the model's input side varies by image."""

Seen = dict[str, tuple[Tensor, TokenLayout]]
"""Features (images, tiles, tokens, dim) by tap."""
Intervene = Callable[[str, Tensor], Tensor | None]


def layer_names(taps: Sequence[str]) -> tuple[str, ...]:
    """What `LayerFits.fit` returns, the simplest first."""
    return (CODES, KEYS, *MOMENTS, ALONE, *(f"{CONTEXT}, {tap}" for tap in taps), CASCADE)


@dataclass(frozen=True)
class _Sums:
    """phi' phi and phi' residual of tokens in context: all that a ridge needs."""

    gram: Tensor
    cross: Tensor

    def __add__(self, other: _Sums) -> _Sums:
        return _Sums(self.gram + other.gram, self.cross + other.cross)

    def in_context(self) -> Tensor:
        """(phi, dim)."""
        return ridge(self.gram.double(), self.cross.double()).float()

    def alone(self) -> Tensor:
        """(dim + 1, dim) of the token and a one: the first of the position's entries."""
        kept = [*range(self.cross.shape[1]), len(self.gram) - POSITION_FEATURES]
        gram = self.gram[kept][:, kept]
        return ridge(gram.double(), self.cross[kept].double()).float()


class LayerFits:
    """Fits every member of the family on one set of references, class after class."""

    def __init__(
        self,
        encoder: VisionEncoder,
        images: Sequence[MedicalImage],
        taps: Sequence[str],
        classes: Sequence[tuple[str, int]],
    ) -> None:
        """`classes` are a bank's, clean first; `taps` in order of depth: at the last stand all that
        need one layer alone."""
        self.encoder, self.taps, self.classes = encoder, tuple(taps), tuple(classes)
        self.side = encoder.input_side or _SIDE
        self.small = [resized(image, NATIVE_SIDES * self.side) for image in images]
        self.clean = self._seen(self._prepared(images))
        self.standards = {
            tap: Standard.of(features[:, :, layout.prefix :])
            for tap, (features, layout) in self.clean.items()
        }
        self.sums: dict[str, list[_Sums]] = {tap: [] for tap in taps}
        self.cascade: dict[str, list[_Sums]] = {tap: [] for tap in taps}
        self.moments: list[TokenMoments] = []
        self.keys: list[Tensor] = []
        self.residuals: list[Tensor] = []
        self.draw = torch.Generator().manual_seed(0)

    def fit(self) -> dict[str, Layers]:
        """Everything, by the names of `layer_names`."""
        last = self.taps[-1]
        clean = self.standards[last](*self.clean[last])[0].flatten(0, 2)
        for kind, severity in self.classes[1:]:
            inputs = self._prepared(self._drawn(kind, severity))
            noisy = self._seen(inputs)
            for tap in self.taps:
                self.sums[tap].append(self._summed(noisy, tap))
            tokens = self.standards[last](*noisy[last])[0].flatten(0, 2)
            self.moments.append(TokenMoments.of(tokens))
            chosen = torch.randperm(len(tokens), generator=self.draw)[:_KEYS]
            self.keys.append(tokens[chosen])
            self.residuals.append((clean - tokens)[chosen])
            self._cascade(inputs, noisy)
        # unknown noise: a share of every class
        everything, missing = torch.cat(self.keys), torch.cat(self.residuals)
        some = torch.randperm(len(everything), generator=self.draw)[:_KEYS]
        self.moments.append(TokenMoments.of(everything))
        self.keys.append(everything[some])
        self.residuals.append(missing[some])
        return dict(zip(layer_names(self.taps), self._made(clean), strict=True))

    def _made(self, clean: Tensor) -> list[Layers]:
        last, standards = self.taps[-1], self.standards
        codes = clean[torch.randperm(len(clean), generator=self.draw)[:_CODES]]
        keys, residuals = torch.stack(self.keys), torch.stack(self.residuals)
        goal = TokenMoments.of(clean)
        changes = [codebook(codes), keyed(keys, residuals)]
        for make in MOMENTS.values():
            maps = torch.stack([make(one, goal) for one in self.moments])
            changes.append(linear(maps, context=False))
        alone = torch.stack([one.alone() for one in _with_pooled(self.sums[last])])
        changes.append(linear(alone, context=False))
        made = [Layers({last: (standards[last], change)}) for change in changes]
        solved = {
            tap: (standards[tap], linear(_solved(self.sums[tap]), context=True))
            for tap in self.taps
        }
        made += [Layers({tap: solved[tap]}) for tap in self.taps]
        cascade = {
            tap: (standards[tap], linear(_solved(self.cascade[tap]), context=True))
            for tap in self.taps
        }
        return [*made, Layers(cascade)]

    def _cascade(self, inputs: Sequence[PixelInputs], noisy: Seen) -> None:
        """One class at every tap, each on features that the maps before it have changed."""
        first, *later = self.taps
        self.cascade[first].append(self._summed(noisy, first))
        for place, tap in enumerate(later, start=1):
            before = {
                one: (
                    self.standards[one],
                    linear(self.cascade[one][-1].in_context()[None], context=True),
                )
                for one in self.taps[:place]
            }
            changed = self._seen(inputs, Layers(before), upto=tap)
            self.cascade[tap].append(self._summed(changed, tap))

    def _drawn(self, kind: str, severity: int) -> list[MedicalImage]:
        finely = sum(name == kind for name, _ in self.classes) > 2
        spread = _SPREAD if finely else _COARSE_SPREAD
        return [
            noisy_draw(image, kind, severity, 0, side=self.side, seed=0, spread=spread)
            for image in self.small
        ]

    def _prepared(self, images: Sequence[MedicalImage]) -> list[PixelInputs]:
        """Stacked inputs of every batch; the model's images are all of one size."""
        batches = []
        for start in range(0, len(images), _BATCH):
            prepared = self.encoder.prepare_many(images[start : start + _BATCH])
            batches += [inputs for _, inputs in self.encoder.group(prepared)]
        return batches

    def _seen(
        self, batches: Sequence[PixelInputs], before: Layers | None = None, upto: str = ""
    ) -> Seen:
        """Features of every tap as far as `upto`, those after the maps `before` changed by them."""
        found: dict[str, list[Tensor]] = {tap: [] for tap in self.taps}
        layouts: dict[str, TokenLayout] = {}
        for inputs in batches:
            certain = torch.ones(inputs.images, 1)
            change = before.intervention(certain, inputs.aspect) if before else _nothing

            def see(
                tap: str,
                features: Tensor,
                change: Intervene = change,
                aspect: tuple[int, int] | None = inputs.aspect,
            ) -> Tensor | None:
                if tap in found:
                    found[tap].append(features.float().clone())
                    layouts[tap] = infer_layout(features.shape[2], aspect)
                return change(tap, features)

            self.encoder.visit(inputs, see, last_tap=upto or self.taps[-1])
        return {tap: (torch.cat(found[tap]), layouts[tap]) for tap in layouts}

    def _summed(self, noisy: Seen, tap: str) -> _Sums:
        patches, first = self.standards[tap](*noisy[tap])
        clean, _ = self.standards[tap](*self.clean[tap])
        phi = with_context(patches, first, noisy[tap][1]).flatten(0, 2)
        return _Sums(phi.T @ phi, phi.T @ (clean - patches).flatten(0, 2))


def _with_pooled(sums: Sequence[_Sums]) -> list[_Sums]:
    pooled = sums[0]
    for one in sums[1:]:
        pooled = pooled + one
    return [*sums, pooled]


def _solved(sums: Sequence[_Sums]) -> Tensor:
    return torch.stack([one.in_context() for one in _with_pooled(sums)])


def _nothing(tap: str, features: Tensor) -> Tensor | None:
    return None
