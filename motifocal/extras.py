"""The optional parts of an installation, and how to get one that is missing."""

from __future__ import annotations


def install_extra(name: str) -> str:
    """What to type for an extra of pyproject.toml: Motifocal is installed from its folder."""
    return f"install the extra {name}: pip install '.[{name}]' in Motifocal's folder"
