"""PDC: perceive the noise with the model's own encoder, calibrate its features in the same pass."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from vision.acquisition import acquisition_statistics, grey_image
from vision.bank import PrototypeBank
from vision.cascade import STRENGTHS, calibration_weights
from vision.encoder import EncodedImage, PixelInputs, VisionEncoder
from vision.errors import BankRefused
from vision.layout import infer_layout
from vision.perception import Floats, Perceived
from vision.reading import MedicalImage
from vision.report import UNKNOWN, CalibrationReport, NoisePerception
from vision.token_statistics import token_statistics

ALPHA = 0.01
"""Clean images that may be called noisy: the level of the conformal gate."""


@dataclass(frozen=True)
class CalibratedImage:
    """An image's features as the model should see them, and what was done."""

    features: EncodedImage
    perception: NoisePerception | None
    """None where there is no bank."""
    report: CalibrationReport


class Calibrator:
    """Perceives and calibrates with one encoder and its prototype bank (None: encodes only)."""

    def __init__(
        self, encoder: VisionEncoder, bank: PrototypeBank | None, *, alpha: float = ALPHA
    ) -> None:
        """Raises BankRefused where the bank is another model's, ValueError for a bad alpha."""
        if not 0.0 < alpha < 1.0:
            raise ValueError(f"alpha is a probability between 0 and 1, got {alpha!r}")
        if bank is not None and bank.fingerprint != encoder.fingerprint:
            raise BankRefused(
                "the prototype bank was built for another model (its fingerprint differs): "
                "build one for this model with `imc prototypes build`"
            )
        self.encoder = encoder
        self.bank = bank
        self.alpha = alpha

    def perceive(self, image: MedicalImage) -> NoisePerception:
        """Perceive only; the encoder runs as far as the tap it is perceived at.

        Raises BankRefused where there is no bank.
        """
        if self.bank is None:
            raise BankRefused(
                "perceiving needs a prototype bank: give one, or build it with "
                "`imc prototypes build`"
            )
        inputs = self.encoder.prepare(image)
        task = CalibrationPass(self.bank, self.alpha, [image], inputs, calibrate=False)
        if self.bank.perception_tap:
            self.encoder.visit(inputs, task.visit, last_tap=self.bank.perception_tap)
        perception = task.perception(0)
        if perception is None:
            raise BankRefused(
                "the encoder's features of this image are not finite: nothing can be perceived"
            )
        return perception

    def __call__(self, image: MedicalImage, *, calibrate: bool = True) -> CalibratedImage:
        """Encode, perceive and calibrate one image in one pass of the encoder."""
        inputs = self.encoder.prepare(image)
        return self._pass(inputs, [image], calibrate)[0]

    def calibrate_batch(
        self, images: Sequence[MedicalImage], *, calibrate: bool = True
    ) -> list[CalibratedImage]:
        """The same for several images, together where their pixel inputs stack."""
        done: dict[int, CalibratedImage] = {}
        for positions, inputs in self.encoder.group(self.encoder.prepare_many(images)):
            results = self._pass(inputs, [images[i] for i in positions], calibrate)
            done.update(zip(positions, results, strict=True))
        return [done[i] for i in range(len(images))]

    def begin(self, images: Sequence[MedicalImage], inputs: PixelInputs) -> CalibrationPass:
        """A pass over `images` whose `visit` goes into the encoder by hand (to look inside)."""
        if self.bank is None:
            raise BankRefused(
                "calibrating needs a prototype bank: give one, or build it with "
                "`imc prototypes build`"
            )
        return CalibrationPass(self.bank, self.alpha, images, inputs, calibrate=True)

    def _pass(
        self, inputs: PixelInputs, images: Sequence[MedicalImage], calibrate: bool
    ) -> list[CalibratedImage]:
        if self.bank is None:
            plain = self.encoder.encode_inputs(inputs, images)
            nothing = CalibrationReport(
                applied=False, reason="no prototype bank: the features are the plain encoder's"
            )
            return [CalibratedImage(features, None, nothing) for features in plain]
        task = CalibrationPass(self.bank, self.alpha, images, inputs, calibrate=calibrate)
        encoded = self.encoder.encode_inputs(inputs, images, intervene=task.visit)
        return [
            CalibratedImage(features, task.perception(i), task.report(i))
            for i, features in enumerate(encoded)
        ]


class CalibrationPass:
    """One pass of the encoder over a batch: what was perceived, what was changed where."""

    def __init__(
        self,
        bank: PrototypeBank,
        alpha: float,
        images: Sequence[MedicalImage],
        inputs: PixelInputs,
        *,
        calibrate: bool,
    ) -> None:
        self.bank = bank
        self.alpha = alpha
        self.aspect = inputs.aspect
        self.calibrate = calibrate
        self.pixels: Floats = np.stack(
            [acquisition_statistics(grey_image(image.rgb, bank.side)) for image in images]
        )
        count = len(images)
        self.perceived: list[Perceived | None] = [None] * count
        self.finite = torch.ones(count, dtype=torch.bool)
        self.weights = torch.zeros(0)
        self.touched: list[list[str]] = [[] for _ in images]
        self.undone: list[list[str]] = [[] for _ in images]
        self.before: list[list[float]] = [[] for _ in images]
        self.after: list[list[float]] = [[] for _ in images]
        self.strengths: list[list[float]] = [[] for _ in images]
        if not bank.perception_tap:
            self._perceive(None)

    def visit(self, tap: str, features: Tensor) -> Tensor | None:
        """The intervention: perceive at the perception tap, calibrate from there on."""
        if tap not in self.bank.maps:
            return None
        hidden = features.detach().float().cpu()
        self.finite &= torch.isfinite(hidden).flatten(1).all(dim=1)
        if tap == self.bank.perception_tap:
            layout = infer_layout(hidden.shape[2], self.aspect)
            self._perceive(token_statistics(hidden, layout))
        if not self.calibrate:
            return None
        open_gate = self.finite & (self.weights.sum(dim=1) > 0.0)
        rows = open_gate.nonzero().flatten().tolist()
        if not rows:
            return None
        return self._calibrate(tap, features, hidden, rows)

    def _perceive(self, statistics: Tensor | None) -> None:
        found = {"pixels": self.pixels}
        if statistics is not None:
            clean_of_nan = torch.nan_to_num(statistics, nan=0.0, posinf=0.0, neginf=0.0)
            found = {"encoder": clean_of_nan.double().numpy(), **found}
        everything = self.bank.perceiver.perceive(found)
        self.perceived = list(everything)
        posterior = torch.from_numpy(np.stack([one.weights for one in everything]))
        self.weights = calibration_weights(posterior)
        for i, one in enumerate(everything):
            if one.clean_p_value > self.alpha:
                self.weights[i] = 0.0

    def _calibrate(
        self, tap: str, features: Tensor, hidden: Tensor, rows: list[int]
    ) -> Tensor | None:
        maps = self.bank.maps[tap]
        layout = infer_layout(hidden.shape[2], self.aspect)
        chosen = hidden[rows]
        change = maps.change(chosen, layout, self.weights[rows])
        before = maps.distance(chosen, layout)
        trials = [maps.distance(chosen + g * change, layout) for g in STRENGTHS]
        accepted = [maps.distance.accepts(before, after) for after in trials]
        changed = features.clone()
        moved = False
        for row, i in enumerate(rows):
            first = next((t for t, accepts in enumerate(accepted) if bool(accepts[row])), None)
            if first is None:
                self.undone[i].append(tap)
                continue
            step = STRENGTHS[first] * change[row]
            changed[i] = (chosen[row] + step).to(changed)
            moved = True
            self.touched[i].append(tap)
            self.before[i].append(float(before[row]))
            self.after[i].append(float(trials[first][row]))
            norm = maps.standard.patches(chosen[row : row + 1], layout).norm()
            size = (step[:, layout.prefix :] / maps.standard.scale).norm()
            self.strengths[i].append(float(size / norm.clamp_min(1e-9)))
        return changed if moved else None

    def perception(self, i: int) -> NoisePerception | None:
        """What was perceived of image `i`; None where its features are not finite."""
        perceived = self.perceived[i]
        if perceived is None or not bool(self.finite[i]):
            return None
        return self.bank.perceiver.report(perceived, alpha=self.alpha)

    def report(self, i: int) -> CalibrationReport:
        """What was done to image `i`."""
        perception = self.perception(i)
        if perception is None:
            return CalibrationReport(
                applied=bool(self.touched[i]),
                taps=self.touched[i],
                reason="the encoder's features are not finite: nothing was perceived or calibrated",
            )
        if self.touched[i]:
            return CalibrationReport(
                applied=True,
                reason=self._why(perception, i),
                taps=self.touched[i],
                strength=float(np.mean(self.strengths[i])),
                distance_before=float(np.sqrt(np.mean(np.square(self.before[i])))),
                distance_after=float(np.sqrt(np.mean(np.square(self.after[i])))),
            )
        return CalibrationReport(applied=False, reason=self._why_not(perception, i))

    def _why(self, perception: NoisePerception, i: int) -> str:
        what = (
            "unknown noise: the map pooled over all kinds"
            if perception.kind == UNKNOWN
            else f"{perception.kind} of severity {perception.severity}"
        )
        undone = f"; undone at {', '.join(self.undone[i])}" if self.undone[i] else ""
        return f"{what}, clean p-value {perception.clean_p_value:.4f}{undone}{self._limits()}"

    def _why_not(self, perception: NoisePerception, i: int) -> str:
        p_value = f"clean p-value {perception.clean_p_value:.4f}"
        if perception.clean_p_value > self.alpha:
            return f"looks clean ({p_value}, over {self.alpha}){self._limits()}"
        if not self.calibrate:
            return f"{perception.kind} perceived ({p_value}); calibration was not asked for"
        if self.undone[i]:
            return f"{perception.kind} perceived ({p_value}); no tap came nearer to clean: undone"
        return f"{perception.kind} perceived ({p_value}); no tap can be calibrated{self._limits()}"

    def _limits(self) -> str:
        notes = []
        if not self.bank.perception_tap:
            notes.append("the tower cannot be tapped: perceived from pixels alone")
        elif self.bank.perception_tap != "embed":
            notes.append(f"the tower's blocks cannot be tapped: only {self.bank.perception_tap}")
        if self.bank.perceiver.p_values_are_modelled:
            notes.append("few references: the p-value is a modelled tail")
        return "".join(f" ({note})" for note in notes)
