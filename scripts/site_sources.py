"""A hook of MkDocs: give each source file that a page links to a page of its own in the site.

Pages in docs/ link to files of the project, some to a line: `../motifocal/loss/focal.py#L94`. In
the site these links lead to a listing of the file with numbered lines, so that it needs no other
host.
"""

from __future__ import annotations

import posixpath
import re
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files, InclusionLevel
from mkdocs.structure.pages import Page

ROOT = Path(__file__).parents[1]
LINK = re.compile(r"\]\(((?:\.\./)+[\w./-]+\.(?:py|sh|md|toml))(?:#L(\d+))?\)")
LANGUAGES = {".py": "python", ".sh": "sh", ".md": "md", ".toml": "toml"}


def on_files(files: Files, *, config: MkDocsConfig) -> Files:
    """Add a listing of every file outside of docs/ that a page links to."""
    linked = {
        path
        for page in files.documentation_pages()
        for match in LINK.finditer(page.content_string)
        if (path := path_of(page.src_uri, match[1])) is not None
    }
    for path in sorted(linked):
        listed = File.generated(config, listing_of(path), content=listing(path),
                                inclusion=InclusionLevel.NOT_IN_NAV)  # fmt: skip
        files.append(listed)
    return files


def on_page_markdown(markdown: str, *, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Turn the links to files outside of docs/ into links to their listings."""
    here = page.file.src_uri

    def to_listing(match: re.Match[str]) -> str:
        path = path_of(here, match[1])
        if path is None:
            return match[0]
        target = posixpath.relpath(listing_of(path), posixpath.dirname(here) or ".")
        line = f"#__codelineno-0-{match[2]}" if match[2] else ""
        return f"]({target}{line})"

    return LINK.sub(to_listing, markdown)


def on_page_content(html: str, *, page: Page, config: MkDocsConfig, files: Files) -> None:
    """Name the anchors of a listing's lines, which MkDocs does not see, for its check of links."""
    if page.file.src_uri.startswith("source/"):
        anchors = page.present_anchor_ids or set()
        page.present_anchor_ids = anchors | set(re.findall(r'id="(__codelineno-[\d-]+)"', html))


def path_of(page: str, target: str) -> str | None:
    """The path from the project's root that a link leads to; None where it stays in docs/."""
    path = posixpath.normpath(posixpath.join("docs", posixpath.dirname(page), target))
    return None if path.startswith("docs/") else path


def listing_of(path: str) -> str:
    """Where a file's listing lies below docs/."""
    return f"source/{path}.md"


def listing(path: str) -> str:
    """A page with the file as a numbered block of code, left out of the search."""
    text = (ROOT / path).read_text(encoding="utf-8").rstrip("\n")
    language = LANGUAGES[Path(path).suffix]
    fence = "`" * 6
    return (f"---\nsearch:\n  exclude: true\n---\n\n# {path}\n\n"
            f'{fence} {{.{language} linenums="1"}}\n{text}\n{fence}\n')  # fmt: skip
