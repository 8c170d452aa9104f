"""Give the package's metadata the README with links that lead somewhere from everywhere.

Everything else about the package stands in pyproject.toml.
"""

import re
from pathlib import Path

from setuptools import setup

PAGES = "https://github.com/motifocal/motifocal/blob/main/"
PICTURES = "https://raw.githubusercontent.com/motifocal/motifocal/main/"


def absolute_links(text: str) -> str:
    """Return Markdown whose links into the project lead to its pages, its pictures to the files."""

    def absolute(link: re.Match[str]) -> str:
        base = PICTURES if link[1] else PAGES
        return f"{link[1]}[{link[2]}]({base}{link[3]})"

    return re.sub(r"(!?)\[([^\]]*)\]\((?![a-z]+:|#)([^)\s]+)\)", absolute, text)


setup(
    long_description=absolute_links(Path(__file__).with_name("README.md").read_text("utf-8")),
    long_description_content_type="text/markdown",
)
