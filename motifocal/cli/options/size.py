"""Parse sizes like 64 or 320x512 (height x width) on the command line."""

from __future__ import annotations

import re
from typing import Any

import click


class Size(click.ParamType):
    """`64` or `320x512` (height x width) as (height, width)."""

    name = "size"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[int, int]:
        match = re.fullmatch(r"(\d+)(?:x(\d+))?", str(value))
        if match is None:
            self.fail(f"should be like 64 or 320x512 (height x width), got {value!r}", param, ctx)
        return int(match[1]), int(match[2] or match[1])
