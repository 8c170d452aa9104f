"""Write shards also as WebDataset tars: a group of files per clip, under one key.

    000017.json          caption, fps, motion_score, and the sha256 of what the clip was made from
    000017.latents.npy   (C, F', h, w) float16
    000017.heatmap.npy   (F', h, w) uint8, 255 is 1
    000017.tokens.npy    (T, E) float16, where the shard has image tokens

The key is the clip's number in the whole set. The same shard gives the same bytes.
"""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from motifocal.data.shard_file import ShardFile
from motifocal.data.shards import Shards
from motifocal.files.atomic import replacing, sha256_of

_SOURCE = "motifocal.shard"  # in the tar's own header: what it was made from


def write_tars(shards: Shards) -> Iterator[Path]:
    """Write the tar of each shard, unless it is there and of these clips; yields its path.

    Raises ValueError for stretches, which clips are yet to be drawn from.
    """
    if shards.draw is not None:
        raise ValueError("stretches cannot be written as WebDataset: what a clip is, is drawn anew "
                         "in every epoch; prepare with --strides once")
    first = 0
    for file in shards.files:
        path = file.path.with_suffix(".tar")
        digest = _digest(file)
        if _made_from(path) != digest:
            _write_tar(path, file, first, digest)
        first += len(file.captions)
        yield path


def _digest(file: ShardFile) -> str:
    """Hash the clips; files of an earlier version, without checksums, by their bytes."""
    if file.checksums is None:
        return sha256_of(file.path)
    return hashlib.sha256(b"".join(file.checksums)).hexdigest()


def _made_from(path: Path) -> str | None:
    """Return what a tar says that it was made from; None where there is none, or it is damaged."""
    try:
        with tarfile.open(path) as tar:
            return tar.pax_headers.get(_SOURCE)
    except (OSError, tarfile.TarError):
        return None


def _write_tar(path: Path, file: ShardFile, first: int, digest: str) -> None:
    with replacing(path) as temporary, tarfile.open(
        temporary, "w", format=tarfile.PAX_FORMAT, pax_headers={_SOURCE: digest}
    ) as tar:
        for row in range(len(file.captions)):
            for name, content in _members(file, row):
                entry = tarfile.TarInfo(f"{first + row:06d}.{name}")
                entry.size, entry.mode = len(content), 0o644
                tar.addfile(entry, io.BytesIO(content))


def _members(file: ShardFile, row: int) -> Iterator[tuple[str, bytes]]:
    clip = file.clip(row)
    tensors = clip.tensors()
    about: dict[str, Any] = {"caption": clip.caption, "fps": float(clip.fps)}
    if clip.motion_score is not None:
        about["motion_score"] = float(clip.motion_score)
    if file.sources is not None:
        about["source"] = file.sources[row].hex()
    yield "json", json.dumps(about, sort_keys=True).encode()
    for key, name in (("latents", "latents"), ("heatmap", "heatmap"), ("image_tokens", "tokens")):
        if key in tensors:
            buffer = io.BytesIO()
            np.save(buffer, tensors[key].numpy(), allow_pickle=False)
            yield f"{name}.npy", buffer.getvalue()
