"""One pass of the encoder over a batch: features calibrated at every tap, and what was done."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from vision.bank.prototype_bank import PrototypeBank
from vision.calibrate.cascade import STRENGTHS
from vision.encoder.token_layout import infer_layout
from vision.report import PIXELS, UNKNOWN, CalibrationReport, NoisePerception
from vision.rounds import Seen


class CalibrationPass:
    """The cascade of maps on the features of images that were perceived, and the report."""

    def __init__(
        self,
        bank: PrototypeBank,
        alpha: float,
        seen: Sequence[Seen],
        aspect: tuple[int, int] | None,
        *,
        calibrate: bool,
        features: bool,
    ) -> None:
        self.bank = bank
        self.alpha = alpha
        self.seen = seen
        self.aspect = aspect
        self.calibrate = calibrate
        self.features = features
        count = len(seen)
        self.weights = torch.stack([one.weights for one in seen])
        self.finite = torch.tensor([one.perceived is not None for one in seen])
        self.touched: list[list[str]] = [[] for _ in seen]
        self.undone: list[list[str]] = [[] for _ in seen]
        self.before: list[list[float]] = [[] for _ in range(count)]
        self.after: list[list[float]] = [[] for _ in range(count)]
        self.strengths: list[list[float]] = [[] for _ in range(count)]
        for i, one in enumerate(seen):
            if one.rounds and one.before is not None and one.after is not None:
                self.touched[i].append(PIXELS)
                self.before[i].append(one.before)
                self.after[i].append(one.after)

    def visit(self, tap: str, features: Tensor) -> Tensor | None:
        """The intervention: what takes the place of `features` at `tap`; None: they stay."""
        if tap not in self.bank.maps:
            return None
        hidden = features.detach().float().cpu()
        self.finite &= torch.isfinite(hidden).flatten(1).all(dim=1)
        if not (self.calibrate and self.features):
            return None
        open_gate = self.finite & self.bank.maps[tap].reaches(self.weights)
        rows = open_gate.nonzero().flatten().tolist()
        if not rows:
            return None
        return self._calibrate(tap, features, hidden, rows)

    def _calibrate(
        self, tap: str, features: Tensor, hidden: Tensor, rows: list[int]
    ) -> Tensor | None:
        maps = self.bank.maps[tap]
        layout = infer_layout(hidden.shape[2], self.aspect)
        chosen = hidden[rows]
        change = maps.change(chosen, layout, self.weights[rows])
        before = maps.distance(chosen, layout)
        changed = features.clone()
        waiting = list(range(len(rows)))
        for strength in STRENGTHS:
            if not waiting:
                break
            trial = chosen[waiting] + strength * change[waiting]
            after = maps.distance(trial, layout)
            accepted = maps.distance.accepts(before[waiting], after).tolist()
            for place, row in enumerate(waiting):
                if accepted[place]:
                    i = rows[row]
                    changed[i] = trial[place].to(changed)
                    self.touched[i].append(tap)
                    self.before[i].append(float(before[row]))
                    self.after[i].append(float(after[place]))
                    norm = maps.standard.patches(chosen[row : row + 1], layout).norm()
                    step = strength * change[row][:, layout.prefix :] / maps.standard.scale
                    self.strengths[i].append(float(step.norm() / norm.clamp_min(1e-9)))
            waiting = [row for row, done in zip(waiting, accepted, strict=True) if not done]
        for row in waiting:
            self.undone[rows[row]].append(tap)
        return changed if len(waiting) < len(rows) else None

    def perception(self, i: int) -> NoisePerception | None:
        """What was perceived of image `i`; None where its features are not finite."""
        perceived = self.seen[i].perceived
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
                rounds=self.seen[i].rounds,
                reason="the encoder's features are not finite: nothing was perceived or calibrated",
            )
        if self.touched[i]:
            return CalibrationReport(
                applied=True,
                reason=self._why(perception, i),
                taps=self.touched[i],
                rounds=self.seen[i].rounds,
                strength=float(np.mean(self.strengths[i])) if self.strengths[i] else 0.0,
                distance_before=float(np.sqrt(np.mean(np.square(self.before[i])))),
                distance_after=float(np.sqrt(np.mean(np.square(self.after[i])))),
            )
        return CalibrationReport(applied=False, reason=self._why_not(perception, i))

    def _why(self, perception: NoisePerception, i: int) -> str:
        what = (
            "unknown noise: the maps pooled over all kinds"
            if perception.kind == UNKNOWN
            else f"{perception.kind} of severity {perception.severity}"
        )
        rounds = self.seen[i].rounds
        again = f"; picture restored of {', then '.join(rounds)}" if rounds else ""
        undone = f"; undone at {', '.join(self.undone[i])}" if self.undone[i] else ""
        p_value = f"clean p-value {perception.clean_p_value:.4f}"
        return f"{what}, {p_value}{again}{undone}{self._limits()}"

    def _why_not(self, perception: NoisePerception, i: int) -> str:
        p_value = f"clean p-value {perception.clean_p_value:.4f}"
        if perception.clean_p_value > self.alpha:
            return f"looks clean ({p_value}, over {self.alpha}){self._limits()}"
        if not self.calibrate:
            return f"{perception.kind} perceived ({p_value}); calibration was not asked for"
        if self.undone[i] or self.seen[i].refused:
            return f"{perception.kind} perceived ({p_value}); nothing came nearer to clean: undone"
        return (
            f"{perception.kind} perceived ({p_value}); the bank has no map for it{self._limits()}"
        )

    def _limits(self) -> str:
        notes = []
        if not self.bank.perception_tap:
            notes.append(
                "the tower cannot be tapped: perceived from pixels alone, features not calibrated"
            )
        elif self.bank.perception_tap != "embed":
            notes.append(
                "the tower's blocks cannot be tapped: perceived, and calibrated, at "
                f"{self.bank.perception_tap} alone"
            )
        if self.bank.perceiver.p_values_are_modelled:
            notes.append("few references: the p-value is a modelled tail")
        return "".join(f" ({note})" for note in notes)
