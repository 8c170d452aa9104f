"""The documentation site builds without a warning, is whole, and loads nothing from elsewhere."""

from __future__ import annotations

import importlib.util
import os
import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest
from browser import chromium, opened, served

ROOT = Path(__file__).parents[2]
# What a page loads without being asked, by element.
LOADED = {"script": "src", "link": "href", "img": "src", "iframe": "src", "source": "src",
          "video": "src", "audio": "src", "object": "data", "embed": "src"}  # fmt: skip


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The site, as `make docs` builds it: a warning is an error."""
    if importlib.util.find_spec("mkdocs") is None:
        reason = "the extra `docs` is not installed"
        (pytest.fail if os.environ.get("CI") == "true" else pytest.skip)(reason)
    folder = tmp_path_factory.mktemp("site")
    done = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(folder)],
        cwd=ROOT, capture_output=True, text=True, env=os.environ | {"NO_MKDOCS_2_WARNING": "1"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return folder


class Parsed(HTMLParser):
    """The ids of a page, the addresses that it loads, and those that it links to."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.ids: set[str] = set()
        self.loaded: list[str] = []
        self.links: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = {name: value or "" for name, value in attrs}
        self.ids |= {values[name] for name in ("id", "name") if name in values}
        if tag in LOADED and LOADED[tag] in values and values.get("rel") != "canonical":
            self.loaded.append(values[LOADED[tag]])
        if tag == "a" and "href" in values:
            self.links.append(values["href"])


def elsewhere(addresses: list[str]) -> list[str]:
    """The addresses that name a host."""
    return [address for address in addresses if urlsplit(address).netloc]


def addresses_in(stylesheet: str) -> list[str]:
    """What a style sheet loads."""
    pattern = r"""url\(\s*["']?([^"')]+)|@import\s+["']([^"']+)"""
    return [a or b for a, b in re.findall(pattern, stylesheet)]


@pytest.mark.slow
def test_the_site_loads_nothing_from_other_hosts(site: Path) -> None:
    pages = {path: Parsed(path.read_text(encoding="utf-8")) for path in site.rglob("*.html")}
    sheets = [path.read_text(encoding="utf-8") for path in site.rglob("*.css")]
    assert len(pages) > 20
    assert {str(path): elsewhere(page.loaded) for path, page in pages.items()
            if elsewhere(page.loaded)} == {}  # fmt: skip
    assert sheets
    assert [address for sheet in sheets for address in elsewhere(addresses_in(sheet))] == []


@pytest.mark.slow
def test_every_link_inside_the_site_leads_to_a_page_and_a_place_on_it(site: Path) -> None:
    pages = {path: Parsed(path.read_text(encoding="utf-8"))
             for path in site.rglob("*.html") if path.name != "404.html"}  # fmt: skip
    broken = []
    for path, page in pages.items():
        for address in (*page.links, *page.loaded):
            parts = urlsplit(address)
            if parts.scheme or parts.netloc:
                continue
            target = (path.parent / unquote(parts.path)).resolve() if parts.path else path
            anchors = pages[target].ids if target in pages else None
            missing = parts.fragment and anchors is not None and unquote(
                parts.fragment) not in anchors  # fmt: skip
            if not target.exists() or missing:
                broken.append(f"{path.relative_to(site)}: {address}")
    assert broken == []


@pytest.mark.slow
@pytest.mark.parametrize("size", [(1280, 800), (390, 844)], ids=["desktop", "phone"])
def test_the_landing_page_fits_the_screen_and_leads_on(site: Path, size: tuple[int, int]) -> None:
    viewport = {"width": size[0], "height": size[1]}
    with (chromium() as browser, served(site) as address,
          opened(browser, f"{address}/index.html", viewport=viewport) as page):  # fmt: skip
        assert page.evaluate("document.documentElement.scrollWidth") <= size[0]
        page.click("article a[href='install.html']")
        page.wait_for_selector("article h1#install")


def test_what_a_page_loads_from_elsewhere_is_found() -> None:
    page = Parsed('<link href="https://fonts.example.org/a.css"><img src="images/a.png">'
                  '<script src="//cdn.example.org/x.js"></script><a href="https://a.org">a</a>')
    assert elsewhere(page.loaded) == ["https://fonts.example.org/a.css", "//cdn.example.org/x.js"]
    sheet = '@import "https://a.org/x.css"; b { background: url(//c.org/d.png), url(e.png) }'
    assert elsewhere(addresses_in(sheet)) == ["https://a.org/x.css", "//c.org/d.png"]
