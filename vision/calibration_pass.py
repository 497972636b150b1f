"""One encoder pass over a batch: features corrected at every tap, and the report of each image."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from vision.bank.prototype_bank import PrototypeBank
from vision.calibrate.cascade import STEP_SIZES
from vision.encoder.token_layout import infer_layout
from vision.report import PIXELS, UNKNOWN, CalibrationReport, NoisePerception
from vision.rounds import ImageState


class CalibrationPass:
    """Applies a bank's calibration maps to a batch's features, and reports what was changed."""

    def __init__(
        self,
        bank: PrototypeBank,
        alpha: float,
        states: Sequence[ImageState],
        aspect: tuple[int, int] | None,
        *,
        calibrate: bool,
        features: bool,
    ) -> None:
        """Prepare one pass.

        Args:
            bank: holds the maps.
            alpha: significance level, for the reports.
            states: of the batch's images, after restoration.
            aspect: (rows, columns) of tiles or patches, as `infer_layout` takes it.
            calibrate: False: nothing is changed, only reported.
            features: False: features are not changed; pictures may have been.
        """
        self.bank = bank
        self.alpha = alpha
        self.states = states
        self.aspect = aspect
        self.calibrate = calibrate
        self.features = features
        self.weights = torch.stack([state.weights for state in states])
        self.finite = torch.tensor([state.posterior is not None for state in states])
        self.changed: list[list[str]] = [[] for _ in states]
        """Per image: taps at which a change was kept."""
        self.rejected: list[list[str]] = [[] for _ in states]
        """Per image: taps at which no step size brought the features nearer to clean."""
        self.before: list[list[float]] = [[] for _ in states]
        self.after: list[list[float]] = [[] for _ in states]
        self.strengths: list[list[float]] = [[] for _ in states]
        for i, state in enumerate(states):
            if state.rounds and state.before is not None and state.after is not None:
                self.changed[i].append(PIXELS)
                self.before[i].append(state.before)
                self.after[i].append(state.after)

    def visit(self, tap: str, features: Tensor) -> Tensor | None:
        """The encoder's hook: features to use instead of `features` at `tap`; None: unchanged."""
        if tap not in self.bank.maps:
            return None
        hidden = features.detach().float().cpu()
        self.finite &= torch.isfinite(hidden).flatten(1).all(dim=1)
        if not (self.calibrate and self.features):
            return None
        to_correct = self.finite & self.bank.maps[tap].has_map_for(self.weights)
        rows = to_correct.nonzero().flatten().tolist()
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
        for step_size in STEP_SIZES:
            if not waiting:
                break
            trial = chosen[waiting] + step_size * change[waiting]
            after = maps.distance(trial, layout)
            accepted = maps.distance.accepts(before[waiting], after).tolist()
            for place, row in enumerate(waiting):
                if accepted[place]:
                    i = rows[row]
                    changed[i] = trial[place].to(changed)
                    self.changed[i].append(tap)
                    self.before[i].append(float(before[row]))
                    self.after[i].append(float(after[place]))
                    norm = maps.scaler.patches(chosen[row : row + 1], layout).norm()
                    step = step_size * change[row][:, layout.prefix :] / maps.scaler.scale
                    self.strengths[i].append(float(step.norm() / norm.clamp_min(1e-9)))
            waiting = [row for row, done in zip(waiting, accepted, strict=True) if not done]
        for row in waiting:
            self.rejected[rows[row]].append(tap)
        return changed if len(waiting) < len(rows) else None

    def perception(self, i: int) -> NoisePerception | None:
        """The noise found in image `i`; None where its features are not finite."""
        posterior = self.states[i].posterior
        if posterior is None or not bool(self.finite[i]):
            return None
        return self.bank.noise_classifier.report(posterior, alpha=self.alpha)

    def report(self, i: int) -> CalibrationReport:
        """What was done to image `i`, and why."""
        perception = self.perception(i)
        if perception is None:
            return CalibrationReport(
                applied=bool(self.changed[i]),
                taps=self.changed[i],
                rounds=self.states[i].rounds,
                reason="the encoder's features of this image are not finite: noise was not "
                "classified and features were not corrected",
            )
        if self.changed[i]:
            return CalibrationReport(
                applied=True,
                reason=self._why_changed(perception, i),
                taps=self.changed[i],
                rounds=self.states[i].rounds,
                strength=float(np.mean(self.strengths[i])) if self.strengths[i] else 0.0,
                distance_before=float(np.sqrt(np.mean(np.square(self.before[i])))),
                distance_after=float(np.sqrt(np.mean(np.square(self.after[i])))),
            )
        return CalibrationReport(applied=False, reason=self._why_unchanged(perception, i))

    def _why_changed(self, perception: NoisePerception, i: int) -> str:
        taps = [tap for tap in self.changed[i] if tap != PIXELS]
        done = ["average correction"] if perception.kind == UNKNOWN else []
        if self.states[i].rounds:
            done.append(f"picture corrected for {', then '.join(self.states[i].rounds)}")
        if taps:
            done.append(f"features corrected at {', '.join(taps)}")
        if self.rejected[i]:
            done.append(f"no correction at {', '.join(self.rejected[i])}, where it did not help")
        return f"{describe_noise(perception)}: {'; '.join(done)}{self._limits()}"

    def _why_unchanged(self, perception: NoisePerception, i: int) -> str:
        if perception.clean_p_value > self.alpha:
            p_value = f"{describe_p_value(perception)}, above {self.alpha:g}"
            return f"no noise detected ({p_value}): image left as it was{self._limits()}"
        if not self.calibrate:
            why = ", correction was not requested"
        elif self.rejected[i] or self.states[i].rejected:
            why = ", but the correction did not help"
        else:
            why = ", but the prototype bank has no correction for it"
        return f"{describe_noise(perception)}{why}: image left as it was{self._limits()}"

    def _limits(self) -> str:
        """What restricts the result, each in brackets: no readable taps, few references."""
        notes = []
        if not self.bank.perception_tap:
            notes.append(
                "the vision encoder's layers cannot be read: noise detected from pixels alone, "
                "features not corrected"
            )
        elif self.bank.perception_tap != "embed":
            notes.append(
                "the vision encoder's blocks cannot be read: noise detected and features "
                f"corrected at {self.bank.perception_tap} alone"
            )
        if self.bank.noise_classifier.p_values_are_approximate:
            notes.append("fewer than 200 clean scores: p-value from a normal approximation")
        return "".join(f" ({note})" for note in notes)


def describe_noise(perception: NoisePerception) -> str:
    """What was found and how sure, for a person."""
    if perception.kind == UNKNOWN:
        return f"unknown kind of noise detected ({describe_p_value(perception)})"
    noise = f"{perception.kind}, severity {perception.severity}"
    return f"noise detected ({noise}; {describe_p_value(perception)})"


def describe_p_value(perception: NoisePerception) -> str:
    """The p-value of "no noise", for a person."""
    return f'p-value for "no noise": {perception.clean_p_value:.2g}'
