"""The example of README.md and docs/: what `imc ask --example` prints, and its picture.

    python scripts/docs_example.py            print it
    python scripts/docs_example.py --write    put it into README.md and docs/img, draw the picture

Every word and number under the picture comes from the run that draws it.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import re
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

REPOSITORY = Path(__file__).resolve().parent.parent
README = REPOSITORY / "README.md"
TEXT = REPOSITORY / "docs" / "img" / "example.txt"
PICTURE = REPOSITORY / "docs" / "img" / "example.png"
BLOCK = re.compile(r"```text\n\$ imc ask .*?```", re.DOTALL)
"""The example in the README."""


def printed(*options: str) -> str:
    """What `imc ask --example --no-times` prints."""
    from imc_app.cli import run

    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        code = run(["ask", "--example", "--no-times", *options])
    if code:
        raise RuntimeError(f"imc ask --example ended with {code}")
    return "\n".join(line.rstrip() for line in out.getvalue().splitlines()) + "\n"


def with_example(readme: str, text: str) -> str:
    """`readme` with its example replaced."""
    return BLOCK.sub(lambda _: f"```text\n{text}```", readme, count=1)


def draw(out: Path) -> None:
    """Run the example with the embedded model and draw its three pictures side by side."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    from imc_app.example import ct_example
    from imc_app.session import open_calibrator, read_request
    from vision.reading.medical_image import read_image

    example = ct_example()
    document = json.loads(printed("--json"))
    calibrator = open_calibrator(None)
    request = read_request(
        example.image, example.question, example.noise, frame=None, seed=document["seed"]
    )
    corrected = calibrator(request.image).restored
    if corrected is None:
        raise RuntimeError("the example's picture was not corrected")
    noise, asked = document["image"]["noise"], document["question"]
    given = ", ".join(example.noise).replace("_", " ").replace(":", ", severity ")
    found = f"{noise['kind']}, severity {noise['severity']}".replace("_", " ")
    tiles: list[tuple[str, NDArray[np.uint8]]] = [
        ("a CT slice\nas stored", read_image(str(example.image)).rgb),
        (f"as given to imc\n{given} (simulated)", request.image.rgb),
        (f"as corrected by PDC\nfound: {found}", corrected.rgb),
    ]
    figure, axes = plt.subplots(1, len(tiles), figsize=(9.0, 4.1), dpi=85)
    for axis, (title, rgb) in zip(axes, tiles, strict=True):
        axis.imshow(rgb, interpolation="bicubic")
        axis.set_title(title, fontsize=10, pad=4)
        axis.axis("off")
    figure.tight_layout(rect=(0, 0.13, 1, 0.99))
    lines = (
        f"asked:  {asked['original']}",
        f"used:   {asked['used']}   →   {document['answer']}",
    )
    figure.text(0.01, 0.03, "\n".join(lines), family="DejaVu Sans Mono", fontsize=10)
    out.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(out, metadata={"Software": None})
    plt.close(figure)


def main() -> None:
    """Print the example, or write it."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--write", action="store_true", help="change the files and the picture")
    text = printed()
    if not parser.parse_args().write:
        print(text, end="")
        return
    README.write_text(with_example(README.read_text("utf-8"), text), "utf-8")
    TEXT.write_text(text, "utf-8")
    draw(PICTURE)


if __name__ == "__main__":
    main()
