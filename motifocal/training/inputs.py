"""What a run is trained on becomes digests beside it, so that it goes on with nothing else."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from pathlib import Path

from motifocal.data.manifest import MANIFEST
from motifocal.data.shards import Shards
from motifocal.files.atomic import sha256_of, write_text
from motifocal.files.json_text import read_json_object
from motifocal.training.checkpoint import latest_step


def claim_inputs(run: Path, shards: Shards, model: Path) -> None:
    """Keep what the run was begun with; refuse to go on with other clips or other text features.

    `model` is the folder with text_encoder/ and tokenizer/. Raises ValueError, naming what differs,
    where the run has a checkpoint already. A run of an earlier version kept the digests of the
    shards' manifest and of the text encoder's weights alone; only these are compared then.
    """
    tower, tokenizer = model / "text_encoder", model / "tokenizer"
    now = {
        "shards": sha256_of(shards.folder / MANIFEST),
        "clips": shards.digest(),
        "text_encoder": _digest_of_bytes(tower.glob("*.safetensors")),
        "text_encoder_config": sha256_of(tower / "config.json"),
        "tokenizer": _digest_of_bytes(p for p in tokenizer.rglob("*") if p.is_file()),
    }
    path = inputs_path(run)
    if path.exists() and latest_step(run / "checkpoints"):
        before = read_json_object(path)
        changed = [key.replace("_", " ") for key in now if before.get(key, now[key]) != now[key]]
        if changed:
            raise ValueError(f"{run} was begun with other {' and '.join(changed)}")
    run.mkdir(parents=True, exist_ok=True)
    write_text(path, json.dumps({**now, "clip": shards.clip_size}, indent=1) + "\n")


def inputs_path(run: Path) -> Path:
    """Where a run keeps the digests."""
    return run / "inputs.json"


def _digest_of_bytes(paths: Iterable[Path]) -> str:
    """sha256 of the files' bytes, one after the other in the order of their names."""
    digest = hashlib.sha256()
    for path in sorted(paths):
        digest.update(path.read_bytes())
    return digest.hexdigest()
