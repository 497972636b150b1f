"""Questions about phantoms, in several phrasings, with the answers their truth implies."""

from dataclasses import dataclass

import numpy as np

from imc_reference.phantoms import MODALITIES, Phantom


@dataclass(frozen=True)
class Pair:
    """One question with its short lower-case answer."""

    question: str
    answer: str
    topic: str
    closed: bool


PHRASINGS: dict[str, tuple[str, ...]] = {
    "modality": (
        "What modality is this?",
        "What imaging modality is shown?",
        "Which imaging technique was used here?",
        "What kind of image is this?",
        "How was this image acquired?",
        "What type of scan is shown?",
    ),
    "verification": (
        "Is this {article} {modality}?",
        "Is this image {article} {modality}?",
        "Was this image taken with {modality}?",
        "Is {modality} the modality of this image?",
    ),
    "region": (
        "Which part of the body is shown?",
        "What body region does this image show?",
        "Which organ or region is imaged?",
        "What part of the body is this?",
    ),
    "presence": (
        "Is there a lesion?",
        "Is a lesion present in this image?",
        "Can a lesion be seen?",
        "Does this image show a lesion?",
        "Are there any lesions?",
    ),
    "side": (
        "On which side of the image is the lesion?",
        "Which side of the image shows the lesion?",
        "Is the lesion on the left or right side of the image?",
        "Where is the lesion, on the left or right of the image?",
    ),
    "count": (
        "How many lesions are there?",
        "How many lesions can be seen?",
        "What is the number of lesions?",
        "Count the lesions in this image.",
    ),
    "size": (
        "Is the lesion small or large?",
        "How large is the lesion?",
        "What is the size of the lesion?",
        "Are the lesions small or large?",
    ),
}

SPOKEN_MODALITY = {
    "ct": ("a", "CT"),
    "x-ray": ("an", "X-ray"),
    "mri": ("an", "MRI"),
    "ultrasound": ("an", "ultrasound"),
    "dermoscopy": ("a", "dermoscopy"),
}


def phantom_pairs(
    phantom: Phantom, rng: np.random.Generator, topics: tuple[str, ...] = tuple(PHRASINGS)
) -> list[Pair]:
    """One pair for each topic that applies; a yes/no verification is balanced by a coin."""
    pairs = []
    for topic in topics:
        phrase = str(rng.choice(PHRASINGS[topic]))
        if topic == "modality":
            pairs.append(Pair(phrase, phantom.modality, topic, False))
        elif topic == "verification":
            asked: str = phantom.modality
            if rng.random() < 0.5:
                asked = str(rng.choice([m for m in MODALITIES if m != phantom.modality]))
            article, spoken = SPOKEN_MODALITY[asked]
            question = phrase.format(article=article, modality=spoken)
            answer = "yes" if asked == phantom.modality else "no"
            pairs.append(Pair(question, answer, topic, True))
        elif topic == "region":
            pairs.append(Pair(phrase, phantom.region, topic, False))
        elif topic == "presence":
            pairs.append(Pair(phrase, "yes" if phantom.count else "no", topic, True))
        elif topic == "count":
            pairs.append(Pair(phrase, str(phantom.count), topic, False))
        elif topic == "side" and phantom.side is not None:
            pairs.append(Pair(phrase, phantom.side, topic, False))
        elif topic == "size" and phantom.size is not None:
            pairs.append(Pair(phrase, phantom.size, topic, False))
    return pairs
