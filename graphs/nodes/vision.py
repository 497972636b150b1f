"""The vision node: reads, classifies noise, encodes once, corrects; state holds no pixels."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from langgraph.runtime import Runtime

from graphs.channels import STATE_VERSION
from graphs.context import IMCContext, Resolve, given
from graphs.nodes.agents import Update
from graphs.routing import fingerprint
from graphs.state import IMCState
from graphs.tracing import Stopwatch, prefixed, timed
from imc_agents.self_assessment import named
from vision.errors import BankRefused, EncoderRefused, ImageRefused
from vision.reading.medical_image import MedicalImage
from vision.report import CalibrationReport

if TYPE_CHECKING:
    from vision.pdc import CalibratedImage


def encoded(
    context: IMCContext, image: MedicalImage, *, calibrated: bool, watch: Stopwatch
) -> CalibratedImage:
    """The image's features from the store, or from one pass of the encoder.

    Raises TypeError where the context has no image side.
    """
    held = context.features.get(image.sha256, calibrated=calibrated)
    if held is not None:
        watch.notes.append("features were stored")
        return held
    if context.calibrator is None:
        raise TypeError("this context has no calibrator: the imc graph needs the image side")
    result = context.calibrator(image, calibrate=calibrated)
    context.features.put(image.sha256, result, calibrated=calibrated)
    if result.restored is not None:
        context.features.restored.put(image.sha256, context.images.put(result.restored))
    return result


class VisionNode:
    """Writes perception and calibration report; puts the features into the context's store."""

    def __init__(self, resolve: Resolve = given, prefix: str = "") -> None:
        self.resolve = resolve
        self.prefix = prefix

    def __call__(self, state: IMCState, runtime: Runtime[Any]) -> Update:
        """Reads image; writes its name, size, perception and calibration.

        Raises ImageRefused, BankRefused or EncoderRefused: what cannot be done is refused at once.
        """
        context = self.resolve(runtime.context)
        with timed("vision", opens=True) as watch:
            if "image" not in state:
                raise ImageRefused("the state holds no image: give `image` with the question")
            image = context.images.read(state["image"])
            update: Update = {
                "state_version": STATE_VERSION,
                "image_read": fingerprint(state["image"]),
                "image_name": image.sha256,
                "width": image.width,
                "height": image.height,
                "restored": None,
                "plain_image": False,
                "answer": None,
            }
            try:
                result = encoded(context, image, calibrated=context.policy.calibrates, watch=watch)
            except (ImageRefused, BankRefused, EncoderRefused):
                raise
            except context.faults as fault:
                watch.fail(f"image not encoded: {named(fault)}")
                reason = f"the vision encoder failed ({named(fault)}): image not examined"
                update |= {
                    "perception": None,
                    "calibration": CalibrationReport(applied=False, reason=reason),
                }
            else:
                update |= {"perception": result.perception, "calibration": result.report}
                if context.policy.calibrates:
                    update["restored"] = context.features.restored.get(image.sha256)
            if not context.policy.calibrates:
                watch.notes.append(f"method {context.policy.method} does not correct images")
        return prefixed({**update, "trace": [watch.step]}, self.prefix)
