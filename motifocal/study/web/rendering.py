"""Render pages from templates; the researcher's Markdown is rendered without scripts."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from functools import cache
from http import HTTPStatus
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markdown_it import MarkdownIt
from markupsafe import Markup
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response

from motifocal.files.toml_text import parse_toml

TEMPLATES = Path(__file__).with_name("templates")
ASSET_FOLDER = Path(__file__).with_name("assets")
#: The player that keeps videos in step is the gallery's.
IN_STEP = Path(__file__).parents[2] / "bench" / "gallery" / "page" / "in_step.js"
JAVASCRIPT = "text/javascript; charset=utf-8"
#: Name in an address -> content type and file.
ASSETS: Mapping[str, tuple[str, Path]] = {
    "in_step.js": (JAVASCRIPT, IN_STEP),
    **{name: (JAVASCRIPT, ASSET_FOLDER / name)
       for name in ("pair.js", "media.js", "compare.js", "served.js", "end.js", "dashboard.js")},
    "style.css": ("text/css; charset=utf-8", ASSET_FOLDER / "style.css"),
    "icon.svg": ("image/svg+xml", ASSET_FOLDER / "icon.svg"),
}
DEEPEST = 8
#: Paths that scripts ask: they get JSON also where something fails.
SPOKEN_TO_BY_SCRIPTS = ("/task", "/vote")

FAILURES = parse_toml((TEMPLATES / "failures.toml").read_text(encoding="utf-8"))


@cache
def templates() -> Environment:
    """Return the templates, which escape their values and fail where one is missing."""
    environment = Environment(loader=FileSystemLoader(TEMPLATES), autoescape=True,
                              undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    environment.filters["markdown"] = from_markdown
    return environment


def from_markdown(text: str) -> Markup:
    """Render Markdown as HTML. HTML in it is shown as typed, scripts in links are no links."""
    renderer = MarkdownIt("commonmark", {"html": False}).enable("table")
    return Markup(renderer.render(text))


@cache
def version() -> str:
    """Return a hash of all assets, so that browsers may keep them for good."""
    digest = hashlib.sha256()
    for _, path in ASSETS.values():
        digest.update(path.read_bytes())
    return digest.hexdigest()[:12]


def render(request: Request, name: str, status: int = HTTPStatus.OK, **values: Any) -> HTMLResponse:
    """Render the page `name`; `root` is the way from this address to the top."""
    root = "../" * min(request.url.path.count("/") - 1, DEEPEST)
    page = templates().get_template(name)
    return HTMLResponse(page.render(root=root, version=version(), **values), status)


def failure(request: Request, status: int, words: str = "", reason: str = "") -> Response:
    """Return a page about what went wrong, or JSON for a script."""
    default = HTTPStatus(status).phrase
    page = FAILURES.get(str(int(status)), {"title": default, "words": ""})
    message = words if words and words != default else page["words"]
    if request.url.path in SPOKEN_TO_BY_SCRIPTS:
        return JSONResponse({"error": reason or str(int(status)), "words": message}, status)
    return render(request, "failure.html", status, title=page["title"], words=message,
                  number=int(status))
