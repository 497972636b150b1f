"""The Noise lab: noise of a chosen severity on image and question, answers with and without IMC."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING, Any

from nicegui import ui

from imc_app.corruption import corrupt_image, corrupt_question, parse_noise
from imc_app.page import picture_address, question_html
from imc_app.refusals import InputRefused, one_line
from imc_app.session import Request, answer_request
from imc_app.studio.pictures import PictureChoice
from imc_app.studio.shell import Refusal, shell
from imc_app.studio.studio import Studio
from imc_app.studio.watched import Computation

if TYPE_CHECKING:
    from imc_app.session import Outcome
    from vision.reading.medical_image import MedicalImage

NO_NOISE = "none"


@dataclass(frozen=True)
class Experiment:
    """What is tried: an image, a question, and the noise put on each."""

    image: MedicalImage
    question: str
    noises: tuple[str, ...]
    """As `imc ask --noise` takes them: `low_dose:3`."""
    seed: int = 0

    @property
    def key(self) -> str:
        """In the address of its page."""
        parts = (self.image.sha256, self.question, *self.noises, str(self.seed))
        return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:16]

    def noisy(self) -> Request:
        """The image and question with the noise on them. Raises InputRefused, UnknownNoise."""
        from vision.reading.medical_image import MedicalImage

        requests = tuple(parse_noise(one) for one in self.noises)
        image = self.image
        if any(one.modality == "image" for one in requests):
            rgb = corrupt_image(image.rgb, image.sha256, requests, self.seed)
            image = MedicalImage.from_rgb(rgb, image.source_format)
        question = corrupt_question(self.question, requests, self.seed)
        return Request(image, question, requests)


@dataclass(frozen=True)
class Findings:
    """What came of an experiment."""

    noisy: Request
    restored: MedicalImage | None
    outcomes: Mapping[str, Outcome]
    """By name of the row: clean, noisy without IMC, noisy with IMC."""


def try_noise(experiment: Experiment, context: Any) -> Findings:
    """Answer the clean request by the bare model, and the noisy one without and with IMC."""
    noisy = experiment.noisy()
    clean = Request(experiment.image, experiment.question)
    bare, full = context.with_policy(method="none"), context.with_policy(method="imc")
    outcomes = {
        "clean, without IMC": answer_request(bare, clean),
        "noisy, without IMC": answer_request(bare, noisy),
        "noisy, with IMC": answer_request(full, noisy),
    }
    calibrator = context.calibrator
    restored = None if calibrator is None else calibrator(noisy.image).restored
    return Findings(noisy, restored, outcomes)


def add_noise_page(studio: Studio) -> None:
    """Register the page under `/noise` and, of an experiment, `/noise/KEY`."""
    experiments: dict[str, Experiment] = {}

    @ui.page("/noise")
    async def new() -> None:
        with shell("Noise lab") as refusal:
            ui.html("Try a noise", tag="h1")
            _form(refusal, experiments, None)

    @ui.page("/noise/{key}")
    async def tried(key: str) -> None:
        with shell("Noise lab") as refusal:
            ui.html("Try a noise", tag="h1")
            experiment = experiments.get(key)
            with ui.element("div").classes("imc-columns"):
                with ui.element("section").props('aria-label="Experiment"'):
                    _form(refusal, experiments, experiment)
                with ui.element("section").props('aria-label="Findings"'), refusal.shown():
                    if experiment is None:
                        raise InputRefused("this experiment is no longer known: begin another one")
                    _View(studio, _begun(studio, experiment), experiment)


def _form(
    refusal: Refusal, experiments: dict[str, Experiment], known: Experiment | None
) -> None:
    from imc_noise import NOISES

    picture = PictureChoice(refusal, kept=None if known is None else known.image)
    question = (
        ui.textarea("Question", value="" if known is None else known.question)
        .classes("w-full")
        .props("autogrow outlined")
    )
    given = {} if known is None else dict(one.split(":") for one in known.noises)
    chosen: dict[str, tuple[Any, Any]] = {}
    for modality, label in (("image", "Noise on the image"), ("text", "Noise on the question")):
        names = [name for name, noise in NOISES.items() if noise.modality == modality]
        kind = next((one for one in given if one in names), NO_NOISE)
        with ui.row().classes("w-full items-center no-wrap"):
            select = ui.select([NO_NOISE, *names], value=kind, label=label).classes("grow")
            severity = ui.number(
                "Severity", value=float(given.get(kind, 3)), min=1, max=5, step=1
            ).classes("w-24")
        chosen[modality] = (select, severity)

    def begin() -> None:
        from imc_agents.safeguards.question_checks import check_question

        with refusal.shown():
            if picture.image is None:
                raise InputRefused("choose an image first: drop a file, or use the example")
            noises = tuple(
                f"{select.value}:{severity.value or 0:g}"
                for select, severity in chosen.values()
                if select.value != NO_NOISE
            )
            for one in noises:
                parse_noise(one)
            asked = check_question(question.value)
            made = Experiment(picture.image, asked, noises)
            experiments[made.key] = made
            while len(experiments) > 16:
                experiments.pop(next(iter(experiments)))
            ui.navigate.to(f"/noise/{made.key}")

    ui.button("Try", on_click=begin).props("no-caps")


def _begun(studio: Studio, experiment: Experiment) -> Computation:
    return studio.computation(
        f"noise {experiment.key}", "answering", lambda: try_noise(experiment, studio.open())
    )


class _View:
    """The findings, when they are there."""

    def __init__(
        self, studio: Studio, computation: Computation, experiment: Experiment
    ) -> None:
        self.studio = studio
        self.computation = computation
        self.experiment = experiment
        self.status = ui.html("", sanitize=False).props("role=status")
        self.result = ui.html("", sanitize=False).classes("w-full")
        self.link = ui.html("", sanitize=False)
        ui.context.client.on_delete(computation.watch(self.show))
        self.show()

    def show(self) -> None:
        """Show what is known now."""
        self.status.set_content(self.computation.status_html)
        if self.computation.result is not None:
            findings = self.computation.result
            self.result.set_content(findings_html(self.experiment, findings))
            name = self.studio.put_picture(findings.noisy.image)
            self.link.set_content(f'<a href="/image/{name}">Open the noisy image in Image</a>')


def findings_html(experiment: Experiment, findings: Findings) -> str:
    """The three pictures and the three answers."""
    pictures = [("clean", experiment.image), ("noisy", findings.noisy.image)]
    if findings.restored is not None:
        pictures.append(("restored", findings.restored))
    figures = "".join(
        f'<figure style="margin:0"><img src="{picture_address(image)}" width="180" alt="{name}">'
        f'<figcaption class="soft">{name}</figcaption></figure>'
        for name, image in pictures
    )
    rows = "".join(_row(name, outcome) for name, outcome in findings.outcomes.items())
    full = findings.outcomes["noisy, with IMC"]
    return (
        f'<div style="display:flex;flex-wrap:wrap;gap:.75rem" class="imc-picture">{figures}</div>'
        f"<p>Noisy question: {escape(one_line(findings.noisy.question))}</p>"
        '<div class="wide"><table><tr><th scope="col">request</th><th scope="col">answer</th>'
        f'<th scope="col" class="number">confidence</th></tr>{rows}</table></div>'
        f"<h2>What IMC did</h2><p>{escape(one_line(full.correction))}</p>"
        f"{question_html(full.document['question'])}"
    )


def _row(name: str, outcome: Outcome) -> str:
    document = outcome.document
    answer = document["answer"] or f"no answer ({outcome.failure})"
    return (
        f'<tr><th scope="row">{escape(name)}</th><td>{escape(one_line(answer))}</td>'
        f'<td class="number">{document["confidence"]:.2f}</td></tr>'
    )
