"""Store digests of a run's inputs beside it, so that it only resumes with the same ones."""

from __future__ import annotations

import json
from pathlib import Path

from motifocal.data.manifest import MANIFEST
from motifocal.data.shards import Shards
from motifocal.files.atomic import sha256_of, write_text
from motifocal.files.settings import lock_settings
from motifocal.training.checkpoint import latest_step
from motifocal.training.folders import inputs_path, text_digests


def lock_inputs(run: Path, shards: Shards, model: Path) -> None:
    """Keep what the run was begun with; refuse to go on with other clips or other text features.

    `model` is the folder with text_encoder/ and tokenizer/. Raises ValueError, naming what differs,
    where the run has a checkpoint already. A run of an earlier version kept the digests of the
    shards' manifest and of the text encoder's weights alone; only these are compared then.
    """
    now = {
        "shards": sha256_of(shards.folder / MANIFEST),
        "clips": shards.digest(),
        **text_digests(model),
        "clip": list(shards.clip_size),
    }
    if latest_step(run / "checkpoints"):
        lock_settings(inputs_path(run), now, upgrade=lambda stored: {**now, **stored})
    run.mkdir(parents=True, exist_ok=True)
    write_text(inputs_path(run), json.dumps(now, indent=1) + "\n")
