"""The acquisition half: perceives and restores pictures without a model, where it is sure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from vision.acquisition.domain import Domain
from vision.acquisition.grey_levels import few_levels_declined
from vision.acquisition.half_file import load_parts, save_parts
from vision.acquisition.parts import HalfParts
from vision.acquisition.restoration import Restoration
from vision.acquisition.scales import MIN_SIDE, planes_of, working_size
from vision.acquisition.second_opinion import Opinion
from vision.acquisition.statistics import picture_statistics
from vision.acquisition.trial import Trial, as_stored, make_trial
from vision.errors import BankRefused
from vision.perceive.noise_density import NoisePosterior
from vision.reading.medical_image import MedicalImage
from vision.report import NoisePerception
from vision.restore.stripes import STRIPES, remove_stripes

Floats = NDArray[np.float64]
Size = tuple[int, int]

SHIPPED = Path(__file__).parent.parent / "data" / "acquisition.safetensors"

ALPHA = 0.04
"""Significance level of the test "this picture is clean", against clean pictures of every origin. A
picture that fails it is changed only where the restoration is also predicted to do no harm; of
clean pictures that leaves a fraction of this level (`docs/results/origins.md`)."""
DOMAIN_ALPHA = 0.01
"""The same against the clean references of a model half, for pictures of their domain. These are
more alike than pictures of every origin, so that less noise stands out from them at a stricter
level."""
LEAST_CONTRAST = 2.5 / 255.0
"""A picture whose brightest and darkest pixels differ by less, in every plane, is not restored."""
STRIPES_ALONE = 0.02
"""Stripes are removed without a further correction where the p-value of "nothing left to correct"
is then at least this."""
MAX_ROUNDS = 3
"""Most restorations of one picture: a mixture of two noises takes two, and the third confirms."""
RESIDUAL_ALPHA = 0.05
"""A restored picture is restored once more if its p-value of "nothing left to correct" is at most
this."""


@dataclass(frozen=True)
class AcquisitionHalf(HalfParts):
    """Noise classifiers, restorer and benefit predictor, fitted on clean images of many origins."""

    @staticmethod
    @cache
    def shipped() -> AcquisitionHalf:
        """The one that comes with the package. Raises BankRefused where its file is damaged."""
        return AcquisitionHalf.load(SHIPPED)

    @staticmethod
    def load(path: str | Path) -> AcquisitionHalf:
        """Read from a file. Raises BankRefused where that is not possible."""
        return AcquisitionHalf(**vars(load_parts(Path(path))))

    @property
    def parts(self) -> HalfParts:
        """Itself: what restorations are made of."""
        return self

    def save(self, path: str | Path) -> None:
        """Write as one safetensors file, whole or not at all. Raises BankRefused."""
        save_parts(self, Path(path))

    def scores(self, images: Sequence[MedicalImage], sizes: Sequence[Size] | None = None) -> Floats:
        """Class scores (n, classes) of pictures at working sizes; `nan` for those too small."""
        found = np.full((len(images), len(self.classes)), np.nan)
        for i, (image, size) in enumerate(zip(images, self._sizes(images, sizes), strict=True)):
            if min(size) >= MIN_SIDE:
                statistics = picture_statistics(planes_of(image, size))
                found[i] = self.classifier.scorer(statistics[None])[0]
        return found

    def perceive_batch(
        self,
        images: Sequence[MedicalImage],
        sizes: Sequence[Size] | None = None,
        *,
        alpha: float = ALPHA,
    ) -> list[NoisePerception | None]:
        """The noise in each picture; None for those too small to be examined."""
        found: list[NoisePerception | None] = []
        for image, size in zip(images, self._sizes(images, sizes), strict=True):
            if min(size) < MIN_SIDE:
                found.append(None)
                continue
            posterior = self._posterior(planes_of(image, size))
            found.append(self.classifier.report(posterior, alpha=alpha))
        return found

    def restore_batch(
        self,
        images: Sequence[MedicalImage],
        sizes: Sequence[Size] | None = None,
        *,
        alpha: float | None = None,
        restore: bool = True,
        max_rounds: int = MAX_ROUNDS,
        domain: Domain | None = None,
    ) -> list[Restoration]:
        """Perceive, and restore what is noisy where that is surely better.

        Args:
            images: of any sizes.
            sizes: (height, width) in pixels at which each is seen; None: its own size, up to a
                shorter side of 672.
            alpha: pictures with a p-value above this count as clean and are returned unchanged;
                None: `DOMAIN_ALPHA` for pictures of the domain, `ALPHA` for others.
            restore: False: perceive only.
            max_rounds: most restorations of one picture.
            domain: of a model half's references; pictures that show what they show are classified
                and restored by what is known of them, all others by fits on every origin. None: all
                are.
        """
        rounds = max_rounds if restore else 0
        known = None if domain is None else domain.beside(self)
        usual = None if domain is None or domain.own is None else domain.own.usual
        at = ALPHA if alpha is None else alpha
        here = DOMAIN_ALPHA if alpha is None else alpha
        found = []
        for image, size in zip(images, self._sizes(images, sizes), strict=True):
            one = None
            if known and domain and min(size) >= MIN_SIDE and image in domain.content:
                opinion = None if usual is None else Opinion(self, usual)
                one = _restore(known, image, size, here, rounds, opinion)
            if one is None or (one.doubted and not one.restored):
                by_every_origin = _restore(self, image, size, at, rounds)
                one = by_every_origin if by_every_origin.restored else one or by_every_origin
            found.append(one)
        return found

    @torch.inference_mode()
    def trial(self, image: MedicalImage, size: Size | None = None) -> Trial:
        """The first restoration of a picture, whether it would be kept or not; stripes are left.

        Args:
            image: of any size.
            size: (height, width) in pixels at which it is seen; None: as for `restore_batch`.

        Raises BankRefused where the picture is too small to be examined.
        """
        size = self._sizes([image], None)[0] if size is None else size
        if min(size) < MIN_SIDE:
            raise BankRefused(
                f"this picture is too small to be examined: a side of {min(size)} pixels, under "
                f"{MIN_SIDE}"
            )
        planes = planes_of(image, size)
        return make_trial(self, planes, picture_statistics(planes), self._posterior(planes))

    # -- details --------------------------------------------------------------------------------

    @staticmethod
    def _sizes(images: Sequence[MedicalImage], sizes: Sequence[Size] | None) -> Sequence[Size]:
        if sizes is not None:
            return sizes
        return [working_size((image.height, image.width), None) for image in images]

    def _posterior(self, planes: Tensor) -> NoisePosterior:
        return self.classifier.predict(picture_statistics(planes)[None])[0]


@torch.inference_mode()
def _restore(
    parts: HalfParts,
    image: MedicalImage,
    size: Size,
    alpha: float,
    max_rounds: int,
    opinion: Opinion | None = None,
) -> Restoration:
    """One picture, by these parts; `opinion` of what they do where they are a domain's."""
    if min(size) < MIN_SIDE:
        small = f"the picture has a side of {min(size)} pixels, under {MIN_SIDE}"
        return Restoration(image, None, declined=small)
    planes = planes_of(image, size)
    statistics = picture_statistics(planes)
    scores = parts.classifier.scorer(statistics[None])
    posterior = parts.classifier.from_scores(scores)[0]
    perception = parts.classifier.report(posterior, alpha=alpha)
    start = Restoration(image, perception, posterior=posterior, scores=scores[0])
    if posterior.clean_p_value > alpha or max_rounds < 1:
        return start
    if _contrast(planes) < LEAST_CONTRAST:
        return replace(start, declined="the picture holds one grey level: nothing to restore")
    if too_few := few_levels_declined(image):
        return replace(start, declined=too_few)
    state = _State(parts, opinion, planes, statistics, posterior)
    state.remove_stripes()
    while state.unfinished and len(state.rounds) < max_rounds:
        state.round()
    noisy_still = state.posterior.clean_p_value < STRIPES_ALONE
    if state.rounds == [STRIPES] and state.declined and noisy_still:
        # lines of text are stripes too: what removing them leaves must be a known picture
        after = f"with its stripes removed, {state.declined}"
        return replace(start, declined=after, doubted=state.doubted)
    done = replace(start, declined=state.declined, doubted=state.doubted)
    if not state.rounds:
        return done
    return replace(
        done,
        image=with_change(image, planes, state.planes),
        rounds=state.rounds,
        predicted_share=1.0 - state.left,
    )


@dataclass
class _State:
    """One picture between the rounds."""

    parts: HalfParts
    opinion: Opinion | None
    """On what parts of a domain do; None: they are of every origin."""
    planes: Tensor
    statistics: Floats
    posterior: NoisePosterior
    rounds: list[str] = field(default_factory=list)
    left: float = 1.0
    """Predicted share of the squared error that is left."""
    declined: str = ""
    doubted: bool = False
    unfinished: bool = True

    def remove_stripes(self) -> None:
        """Remove stripes where there are any and the picture comes nearer to clean by it."""
        grey = self.planes.mean(0)
        clear = remove_stripes(grey)
        if clear is grey:
            return
        trial = as_stored(self.planes + (clear - grey))
        after = picture_statistics(trial)
        then, now = self.parts.classifier.nonconformity(np.stack([after, self.statistics]))
        if then < now and self.parts.stripes_left < 1.0:
            self._accept(STRIPES, trial, after, left=self.parts.stripes_left)

    def round(self) -> None:
        """One restoration under the posterior of the present state."""
        again = bool(self.rounds)
        trial = make_trial(
            self.parts, self.planes, self.statistics, self.posterior, residual=again
        )
        if not trial.kept:
            self.declined = (
                f"a correction for {trial.noise.replace('_', ' ')} was not surely better "
                f"(estimated risk of harm {trial.harm:.2f}, allowed: below {trial.most_harm:.2f})"
            )
            self.unfinished = False
            return
        if self.opinion is not None and self.opinion.doubts(self.planes, trial, again=again):
            self.declined = (
                f"a correction for {trial.noise.replace('_', ' ')} by fits on the references was "
                "doubted by fits on other origins"
            )
            self.doubted, self.unfinished = True, False
            return
        self._accept(trial.noise, trial.planes, trial.statistics, left=1.0 - trial.share)

    def _accept(self, noise: str, trial: Tensor, statistics: Floats, *, left: float) -> None:
        """Keep a restored picture, and classify what it leaves."""
        self.planes, self.statistics = trial, statistics
        self.rounds.append(noise)
        self.left *= left
        self.posterior = self.parts.residual_classifier.predict(statistics[None])[0]
        self.unfinished = self.posterior.clean_p_value <= RESIDUAL_ALPHA


def _contrast(planes: Tensor) -> float:
    """Largest range of a plane of (planes, H, W)."""
    flat = planes.flatten(1)
    return float((flat.amax(dim=1) - flat.amin(dim=1)).max())


def with_change(image: MedicalImage, before: Tensor, after: Tensor) -> MedicalImage:
    """`image` with the change from `before` to `after` (planes, H, W), enlarged to its own size."""
    change = after - before
    shape = (image.height, image.width)
    if tuple(change.shape[1:]) != shape:
        change = _enlarged(change, shape)
    levels = image.rgb.astype(np.float32) + 255.0 * change.permute(1, 2, 0).numpy()
    return MedicalImage.from_rgb(
        np.clip(np.rint(levels), 0, 255).astype(np.uint8), image.source_format
    )


_CORRECTIONS = 2
"""Corrections of an enlarged change: of grain's error in what the model sees, .10 is left without,
.03 with one, .02 with two or more (LLaVA-NeXT, pictures of 600 x 800 pixels seen at 504 x 672)."""


def _enlarged(change: Tensor, shape: Size) -> Tensor:
    """A change (planes, h, w) for a picture of `shape`, such that the picture, reduced, has changed
    by it.

    Bicubic enlarging and the processor's reducing each lose fine detail. So what is lost after both
    is added, enlarged, a few times (van Cittert's iteration).
    """
    wanted = change[None]
    large = torch.zeros(1, len(change), *shape)
    left = wanted
    for _ in range(1 + _CORRECTIONS):
        large = large + F.interpolate(left, size=shape, mode="bicubic", align_corners=False)
        left = wanted - F.interpolate(
            large, size=wanted.shape[2:], mode="bicubic", align_corners=False, antialias=True
        )
    return large[0]
