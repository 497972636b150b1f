"""Hook of `mkdocs build`: the built pages load nothing from another host.

Refused are scripts, styles, fonts, pictures and frames of another host, and mermaid blocks, for
which the theme would load its renderer from one. Links that a reader may follow are allowed.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

from mkdocs.exceptions import PluginError

LOADING = {
    "script": ("src",),
    "img": ("src", "srcset"),
    "iframe": ("src",),
    "source": ("src", "srcset"),
    "video": ("src", "poster"),
    "audio": ("src",),
    "embed": ("src",),
    "object": ("data",),
    "link": ("href",),
}
"""By element, the attributes that a browser fetches without being asked."""
LINKED = frozenset(("canonical", "next", "prev", "alternate", "edit"))
"""`rel` of a `<link>` that is fetched by nobody."""
REMOTE = re.compile(r"^\s*(?:https?:)?//", re.IGNORECASE)
IN_CSS = re.compile(r"""(?:url\(|@import)\s*["']?\s*((?:https?:)?//[^"')\s]+)""", re.IGNORECASE)


class Loads(HTMLParser):
    """Collects what a page loads from other hosts."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """One element: its fetching attributes, its inline style, its mermaid class."""
        values = {name: value or "" for name, value in attrs}
        if tag != "link" or values.get("rel") not in LINKED:
            for name in LOADING.get(tag, ()):
                if REMOTE.match(values.get(name, "")):
                    self.found.append(f"<{tag} {name}={values[name]}>")
        if "mermaid" in values.get("class", "").split():
            self.found.append(f"<{tag} class=mermaid>")
        self.found += IN_CSS.findall(values.get("style", ""))


def remote_loads(site: Path) -> Iterator[tuple[Path, str]]:
    """(file, what it loads from another host) of every page and style sheet of a built site."""
    for path in sorted(site.rglob("*")):
        if path.suffix == ".html":
            text = path.read_text("utf-8")
            page = Loads()
            page.feed(text)
            yield from ((path, load) for load in [*page.found, *_inline_styles(text)])
        elif path.suffix == ".css":
            yield from ((path, load) for load in IN_CSS.findall(path.read_text("utf-8")))


def _inline_styles(text: str) -> list[str]:
    styles = re.findall(r"<style[^>]*>(.*?)</style>", text, re.DOTALL | re.IGNORECASE)
    return [load for style in styles for load in IN_CSS.findall(style)]


def on_post_build(config: Any, **_: object) -> None:
    """Called by mkdocs when the site is written. Raises PluginError naming the first finding."""
    site = Path(config["site_dir"])
    for path, load in remote_loads(site):
        raise PluginError(f"{path.relative_to(site)} loads from another host: {load}")
