"""Find the mask of each clip in a folder given on the command line, and make its heatmap."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import click

if TYPE_CHECKING:
    from motifocal.motion.heatmap import Heatmap

Ids = tuple[int, ...] | Literal["all"] | None


def object_ids(value: Any) -> Ids:
    """Parse `1,3` as (1, 3), and `all` as it is."""
    words = str(value).split(",")
    if words == ["all"]:
        return "all"
    if not all(word.strip().isdecimal() and int(word) for word in words):
        raise click.BadParameter(f"should be 'all' or ids from 1 up like 1,3, got {value!r}")
    return tuple(sorted({int(word) for word in words}))


@dataclass(frozen=True)
class GivenMasks:
    """Where masks lie, which objects in them count, and what each clip is called there."""

    folder: Path
    objects: Ids
    names: Mapping[Path, str]

    def find_all(self) -> dict[Path, Path]:
        """Find the masks of those clips that have exactly one."""
        from motifocal.media.video import VideoError
        from motifocal.motion.masks import find_mask

        masks = {}
        for clip, name in self.names.items():
            try:
                masks[clip] = find_mask(self.folder, name)
            except VideoError:  # told with the clip's row, where its heatmap is asked for
                continue
        return masks

    def heatmap(
        self, clip: Path, shape: tuple[int, int, int], size: tuple[int, int] | None,
        fps: float | None,
    ) -> Heatmap:  # fmt: skip
        """Return the map of a clip of this shape; VideoError where its mask does not fit."""
        from motifocal.motion.masks import find_mask, mask_heatmap

        path = find_mask(self.folder, self.names[clip])
        return mask_heatmap(path, shape, size=size, objects=self.objects, fps=fps)

    def to_json(self) -> dict[str, Any]:
        """Return what decides the maps, as it is kept beside them."""
        objects = list(self.objects) if isinstance(self.objects, tuple) else self.objects
        return {"masks": str(self.folder.absolute()), "objects": objects}


def given_masks(
    folder: Path | None, objects: Ids, names: Mapping[Path, str], about_flow: Mapping[str, Any]
) -> GivenMasks | None:
    """Return the masks, if a folder is given. UsageError for options that then have no effect."""
    if folder is None:
        if objects is not None:
            raise click.UsageError("--objects is about --masks, and there are none")
        return None
    source_of = click.get_current_context().get_parameter_source
    typed = click.core.ParameterSource.COMMANDLINE
    if idle := [name for name in about_flow if source_of(name) is typed]:
        option = idle[0].replace("_", "-")
        raise click.UsageError(f"--{option} is about flow, and --masks takes the place of flow")
    return GivenMasks(folder, objects, names)
