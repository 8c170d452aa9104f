"""Videos, images and heatmaps among the kinds of files that the project reads."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import damage
import numpy as np
from readable_kind import Kind


def frames(count: int = 6, side: int = 48) -> np.ndarray:
    from tiny_bench import moving, textured

    return moving(textured(3, side, side), "the ball rises", 0, count)


def video_kind(name: str, codec: str = "") -> Kind:
    def make(folder: Path) -> None:
        from motifocal.media.video import write_video

        if codec:
            encode(folder / name, codec)
        else:
            write_video(folder / name, frames(), 8)

    def read(folder: Path) -> None:
        from motifocal.media.video import read_video

        read_video(folder / name)

    return Kind(make, read)


def encode(path: Path, codec: str) -> None:
    import av

    with av.open(str(path), "w") as container:
        stream: Any = container.add_stream(codec, rate=8)
        stream.width = stream.height = 48
        stream.pix_fmt = "yuv420p"
        for picture in frames():
            for packet in stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")):
                container.mux(packet)
        for packet in stream.encode():
            container.mux(packet)


def image_kind(name: str) -> Kind:
    def make(folder: Path) -> None:
        from motifocal.media.picture import write_image

        write_image(folder / name, frames()[0])

    def read(folder: Path) -> None:
        from motifocal.media.picture import read_image

        read_image(folder / name)

    return Kind(make, read, repair=damage.png_checksums if name.endswith("png") else None)


def make_heatmap(folder: Path) -> None:
    from motifocal.motion.heatmap import HeatmapSettings
    from motifocal.motion.heatmap_files import save_heatmap

    heat = np.random.default_rng(0).random((6, 16, 16), np.float32)
    save_heatmap(folder / "clip.npz", heat, HeatmapSettings())


def read_heatmap(folder: Path) -> None:
    from motifocal.motion.heatmap_files import load_heatmap

    load_heatmap(folder / "clip.npz")
