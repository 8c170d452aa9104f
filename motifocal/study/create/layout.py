"""Describe a study before its videos are encoded and written."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from motifocal._moved import renamed_names
from motifocal.generate.model import Format
from motifocal.study.create.gold_videos import Damaged
from motifocal.study.create.matching import Group, Reconcile
from motifocal.study.protocol import Protocol


@dataclass(frozen=True)
class RealItem:
    """An item to be judged: group `group` in comparison `baseline` (from 1, as in `Layout.models`),
    and which model is on the left in each of its votes."""

    baseline: int
    group: int
    left: tuple[str, ...]


@dataclass(frozen=True)
class Layout:
    """A whole study before its videos are encoded.

    models: names, the one that is compared with all others first. groups and their formats; items
    in the order in which they will be judged; gold items; `crf` of the encoding; and what is stored
    beside it as `material`.
    """

    protocol: Protocol
    models: tuple[str, ...]
    groups: tuple[Group, ...]
    formats: tuple[Format, ...]
    items: tuple[RealItem, ...]
    gold: tuple[Damaged, ...]
    reconcile: Reconcile
    crf: int
    material: Mapping[str, Any]

    @property
    def votes(self) -> int:
        """Real votes that are wanted."""
        return sum(len(item.left) for item in self.items)


__getattr__ = renamed_names(__name__, "Real=RealItem")
