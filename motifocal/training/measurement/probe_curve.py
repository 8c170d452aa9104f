"""Compute the points of a run's learning curve: probe the averaged weights every few steps."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from diffusers.models.autoencoders.autoencoder_kl import AutoencoderKL
from transformers import CLIPVisionModelWithProjection

from motifocal.files.atomic import replacing_folder
from motifocal.models.schedule import NoiseSchedule, ddim_scheduler
from motifocal.models.unet_config import UNetConfig
from motifocal.scenes.evaluation.evaluate import EvalPair
from motifocal.scenes.evaluation.probe_table import (
    PROBE_TABLE,
    ProbeRow,
    add_to_table,
    read_probe_table,
)
from motifocal.training.checkpoint import kept_weights
from motifocal.training.loop import Run, averaged_unet
from motifocal.training.measurement.probe import (
    ProbeScore,
    ProbeSet,
    check_probed,
    encode_probe_set,
    probe,
)


@dataclass(frozen=True)
class Prober:
    """What probes a run every `every` steps, on the pairs of `probe_set`."""

    probe_set: ProbeSet
    every: int

    @classmethod
    def prepare(cls, pairs: Sequence[EvalPair], vae: AutoencoderKL, every: int,
                progress: Callable[[], None] | None = None, config: UNetConfig | None = None,
                image_encoder: CLIPVisionModelWithProjection | None = None,
                schedule: NoiseSchedule | None = None) -> Prober:
        """Encode what the pairs are judged against, once for the whole run.

        ValueError, before anything is encoded, for a `schedule` that cannot be probed.
        """
        if schedule is not None:
            check_probed(schedule)
        return cls(encode_probe_set(pairs, vae, progress, config, image_encoder), every)

    def due(self, run: Run) -> bool:
        """Whether the step that the run stands at is a point of the curve; the last step is."""
        return bool(run.step) and (run.step % self.every == 0 or run.step == run.settings.steps)

    def missed(self, run: Run) -> bool:
        """Return whether a kill between a checkpoint and its probe lost the point of this step."""
        steps = {row.step for row in read_probe_table(run.folder / PROBE_TABLE)}
        return self.due(run) and run.step not in steps

    def take(self, run: Run) -> dict[str, float]:
        """Probe the averaged weights, add the rows to the run's table, return the means."""
        unet = averaged_unet(run).to(run.accelerator.device)
        scores = probe(unet, run.schedule, run.text, self.probe_set)
        add_to_table(run.folder / PROBE_TABLE, table_rows(run.step, self.probe_set, scores))
        return {
            "follows": float(np.mean([score.follows for score in scores])),
            "static": float(np.mean([score.static for score in scores])),
            "margin": float(np.mean([score.margin for score in scores])),
        }


def table_rows(step: int, probe_set: ProbeSet, scores: Sequence[ProbeScore]) -> list[ProbeRow]:
    """Return the scores of a probe set's pairs, at a step, as rows of a table."""
    return [
        ProbeRow(step, pair.image_id, pair.action, pair.scenario, pair.kind, pair.held_out,
                 len(probe_set.images[pair.image_id].candidates), score.follows, score.static,
                 score.margin)
        for pair, score in zip(probe_set.pairs, scores, strict=True)
    ]


def keep_weights(run: Run) -> Path:
    """Write the averaged weights of the current step for good; returns the folder.

    It holds `unet/` and `scheduler/` in the diffusers layout, which `scenes probe`, `figure6` and
    `bundle` read.
    """
    folder = kept_weights(run.folder, run.step)
    s = run.settings
    scheduler = ddim_scheduler(s.prediction_type, s.zero_terminal_snr, s.use_scale)
    with replacing_folder(folder) as temporary:
        averaged_unet(run).save_pretrained(temporary / "unet", safe_serialization=True)
        scheduler.save_pretrained(temporary / "scheduler")
    return folder
