"""What every page has: navigation, styles, one place for refusals."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from nicegui import ui

from imc_app.studio.watched import sentence

PAGES = {
    "Ask": "/",
    "Step": "/step",
    "Image": "/image",
    "Noise lab": "/noise",
    "Bench": "/bench",
}

STYLE = """
<style>
:root { --soft: #555; --line: #8884; --bar: #0072b2; --out: #b2182b; --in: #00704a;
}
.body--dark { --soft: #aaa; --bar: #56b4e9; --out: #ff8a80; --in: #5fd3a2; }
.body--dark .imc-graph { --visited: #5fd3a2; --failed: #ff8a80; --running: #56b4e9;
  --next: #ffb74d; }
.body--light .imc-graph { --visited: #00704a; --failed: #b2182b; --running: #0072b2;
  --next: #9a5b00; }
.nicegui-content { padding: 0; }
.imc-main { width: 100%; max-width: 80rem; margin: 0 auto; padding: .75rem; }
.imc-columns { display: grid; gap: 1rem; width: 100%;
  grid-template-columns: repeat(auto-fit, minmax(min(100%, 22rem), 1fr)); }
.imc-columns > * { min-width: 0; }
.imc-nav { display: flex; flex-wrap: wrap; gap: .25rem 1rem; align-items: center;
  padding: .5rem .75rem; border-bottom: 1px solid var(--line); width: 100%; }
.imc-nav a { color: inherit; text-decoration: none; padding: .15rem .1rem; }
.imc-nav a[aria-current=page] { border-bottom: 3px solid var(--bar); font-weight: 600; }
.imc-skip { position: absolute; left: -99rem; } .imc-skip:focus { left: .5rem; }
.soft { color: var(--soft); } .imc-answer { font-size: 1.4rem; font-weight: 600; }
.imc-refusal { color: var(--out); font-weight: 500; } .imc-refusal:empty { display: none; }
h1 { font-size: 1.3rem; line-height: 1.6; font-weight: 600; margin: 0; }
h2 { font-size: 1.05rem; line-height: 1.5; font-weight: 600; margin: .75rem 0 .25rem; }
del { color: var(--out); } ins { color: var(--in); font-weight: 600; text-decoration: none; }
.imc-main p { margin: .2rem 0; overflow-wrap: anywhere; }
.imc-main table { border-collapse: collapse; }
.imc-main td, .imc-main th { text-align: left; padding: .15rem .7rem .15rem 0;
  border-bottom: 1px solid var(--line); vertical-align: top; font-weight: inherit; }
.imc-main th { font-weight: 600; } td.number, th.number { text-align: right; }
.imc-main summary { display: list-item; cursor: pointer; }
.body--dark .q-btn--outline, .body--dark .q-btn--flat { --q-primary: #8cc4f0; }
.body--dark .imc-main a { color: #8cc4f0; }
.bars { width: 45%; min-width: 5rem; } .wide { overflow-x: auto; max-width: 100%; }
.bar { display: inline-block; height: .7rem; background: var(--bar); }
.imc-main pre { white-space: pre-wrap; overflow-wrap: anywhere; margin: .2rem 0;
  font: 12.5px/1.45 ui-monospace, monospace; max-height: 24rem; overflow-y: auto; }
.imc-picture img { max-width: 100%; height: auto; image-rendering: pixelated; }
:focus-visible { outline: 2px solid var(--bar); outline-offset: 2px; }
@media (prefers-reduced-motion: reduce) { * { transition: none !important; } }
</style>
"""


@contextmanager
def shell(page: str, *, wide_title: str = "") -> Iterator[Refusal]:
    """The frame of a page; its content goes into the block.

    Args:
        page: its name in `PAGES`.
        wide_title: what the browser's tab says besides.
    """
    ui.page_title(f"{wide_title or page} - imc studio")
    ui.add_head_html(STYLE)
    ui.colors(primary="#0b63a5")
    ui.html('<a class="imc-skip" href="#main">Skip to content</a>', sanitize=False)
    links = "".join(
        f'<a href="{place}"{" aria-current=page" if name == page else ""}>{name}</a>'
        for name, place in PAGES.items()
    )
    ui.html(
        f'<strong>imc studio</strong>{links}<span class="soft">not for clinical use</span>',
        sanitize=False,
        tag="nav",
    ).classes("imc-nav").props('aria-label="Pages"')
    with ui.element("main").classes("imc-main").props("id=main tabindex=-1"):
        refusal = Refusal()
        yield refusal


class Refusal:
    """One line for what a page cannot do; screen readers say it when it appears."""

    def __init__(self) -> None:
        self._label = ui.label().classes("imc-refusal").props("role=alert")

    def show(self, error: BaseException | str) -> None:
        """Show a refusal, or with an empty text none."""
        self._label.set_text(error if isinstance(error, str) else sentence(error))

    @contextmanager
    def shown(self) -> Iterator[None]:
        """Errors within the block are shown, and end there: the page stays alive."""
        self.show("")
        try:
            yield
        except Exception as error:
            self.show(error)
