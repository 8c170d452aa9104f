"""Masks of a small clip as PNGs and as .npz."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

F, H, W = 4, 24, 40
CLIP = (F, H, W)


def ids(frames: int = F, height: int = H, width: int = W) -> np.ndarray:
    """(F, H, W) uint8: object 1 on the left moves down, object 3 on the right rests."""
    mask = np.zeros((frames, height, width), np.uint8)
    for frame in range(frames):
        mask[frame, 2 * frame : 2 * frame + 8, 4:12] = 1
    mask[:, 12:20, 28:36] = 3
    return mask


def grey(frames: int = F, height: int = H, width: int = W) -> np.ndarray:
    """(F, H, W) uint8 that grows to the right."""
    return np.tile(np.linspace(0, 255, width).astype(np.uint8), (frames, height, 1))


def pngs(folder: Path, mask: np.ndarray, mode: str) -> Path:
    """Write (F, H, W) as PNGs of this mode; indexed ones get a palette of colours."""
    folder.mkdir(parents=True)
    for index, values in enumerate(mask):
        image = Image.fromarray(values)
        if mode == "P":
            image = image.convert("L")
            image.putpalette(np.random.default_rng(0).integers(0, 256, 768).tolist())
        elif mode == "1":
            image = image.point(lambda value: 255 * (value > 0)).convert("1")
        elif mode in ("RGB", "RGBA", "LA"):
            image = image.convert(mode)
        image.save(folder / f"{index + 8}.png")  # 10 comes after 9, not after 1
    return folder


def npz(path: Path, **arrays: np.ndarray) -> Path:
    """Write the arrays; gives the path."""
    np.savez(path, **arrays)
    return path
