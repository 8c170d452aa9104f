"""Motifocal: make text count in image animation by weighting the loss with a motion heatmap.

The names in `__all__` can be imported from here. Each is loaded when it is first used, so
`import motifocal` itself loads nothing heavy.

Stability: these names, the commands and the formats of the files that they write change only with
a line in CHANGELOG.md, and what is replaced works for one more release with a DeprecationWarning.
Every other module and name may change in any release.
"""

from importlib import import_module
from typing import TYPE_CHECKING

from motifocal._moved import install_finder
from motifocal.extras import missing_extra

if TYPE_CHECKING:
    from motifocal.loss.focal import motion_focal_loss
    from motifocal.loss.latent_grid import FAMILIES, LatentGeometry
    from motifocal.loss.motion_loss import motion_loss, motion_weights
    from motifocal.media.video import read_video
    from motifocal.models.pipeline import TI2VPipeline
    from motifocal.motion.heatmap import clip_heatmap
    from motifocal.motion.settings import HeatmapSettings

__version__ = "0.1.0"

__all__ = [
    "FAMILIES",
    "HeatmapSettings",
    "LatentGeometry",
    "TI2VPipeline",
    "clip_heatmap",
    "motion_focal_loss",
    "motion_loss",
    "motion_weights",
    "read_video",
]

_MODULES = {
    "FAMILIES": "motifocal.loss.latent_grid",
    "HeatmapSettings": "motifocal.motion.settings",
    "LatentGeometry": "motifocal.loss.latent_grid",
    "TI2VPipeline": "motifocal.models.pipeline",
    "clip_heatmap": "motifocal.motion.heatmap",
    "motion_focal_loss": "motifocal.loss.focal",
    "motion_loss": "motifocal.loss.motion_loss",
    "motion_weights": "motifocal.loss.motion_loss",
    "read_video": "motifocal.media.video",
}


if not TYPE_CHECKING:  # a type checker that saw this would accept any name

    def __getattr__(name: str) -> object:
        """Load a public name from its module (PEP 562)."""
        if name not in _MODULES:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        try:
            value = globals()[name] = getattr(import_module(_MODULES[name]), name)
        except ModuleNotFoundError as error:
            line = missing_extra(error)
            if line is None:
                raise
            raise ModuleNotFoundError(line, name=error.name) from error
        return value


def __dir__() -> list[str]:
    """List the public names whether they are loaded yet or not."""
    return sorted({*globals(), *__all__})


install_finder()
