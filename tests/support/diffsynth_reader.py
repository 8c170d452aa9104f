"""DiffSynth-Studio's own LoadVideo on a clip, with PyAV in the place of imageio: run as a script.

    python diffsynth_reader.py OPERATORS < JOBS > ANSWERS

OPERATORS is its file core/data/operators.py. JOBS is a JSON list of {"clip": path, "load":
arguments of LoadVideo, "size": arguments of ImageCropAndResize}; ANSWERS one of {"frames": indices,
"size": [height, width]}. imageio runs the program FFmpeg and reads what it prints. FFmpeg's
libraries print the same into PyAV's `dumps_format`, so nothing is rounded here.
"""

from __future__ import annotations

import importlib.util
import json
import re
import sys
import types
from functools import cache
from typing import Any

import av
import numpy as np
from PIL import Image


class Reader:
    """What imageio.get_reader returns, as far as LoadVideo uses it; frame k is k in grey levels."""

    def __init__(self, clip: str) -> None:
        with av.open(clip) as container:
            self._lines = container.dumps_format()
            stream = container.streams.video[0]
            self._count = sum(packet.size > 0 for packet in container.demux(stream))
            self._size = stream.height, stream.width

    def get_meta_data(self) -> dict[str, float]:
        (time,) = re.findall(r"Duration: (\d+):(\d+):([\d.]+)", self._lines)
        hours, minutes, seconds = map(float, time)
        (fps,) = re.findall(r" ([0-9]+\.?[0-9]*) fps", self._lines)
        return {"duration": 3600 * hours + 60 * minutes + seconds, "fps": float(fps)}

    def count_frames(self) -> int:
        return self._count

    def get_data(self, index: int) -> np.ndarray:
        if not 0 <= index < self._count:
            raise IndexError(index)
        return np.full((*self._size, 3), index, np.uint8)

    def close(self) -> None:
        pass


@cache
def reader(clip: str) -> Reader:
    """A clip is opened once for all jobs."""
    return Reader(clip)


def operators(file: str) -> Any:
    """DiffSynth-Studio's module, with the packages that it imports and that are not needed."""
    imageio = types.ModuleType("imageio")
    imageio.get_reader = reader  # type: ignore[attr-defined]
    imageio.v3 = types.ModuleType("imageio.v3")  # type: ignore[attr-defined]
    sys.modules |= {"imageio": imageio, "imageio.v3": imageio.v3,
                    "torchvision": types.ModuleType("torchvision")}
    spec = importlib.util.spec_from_file_location("operators", file)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def answer(module: Any, job: dict[str, Any]) -> dict[str, Any]:
    """The frames and the size that DiffSynth-Studio takes."""
    frames = module.LoadVideo(**job["load"])(job["clip"])
    crop = module.ImageCropAndResize(**job["size"])
    first = Image.fromarray(reader(job["clip"]).get_data(0))
    return {"frames": [int(np.asarray(frame)[0, 0, 0]) for frame in frames],
            "size": list(crop.get_height_width(first))}


if __name__ == "__main__":
    av.logging.set_level(av.logging.INFO)  # else nothing is dumped
    loaded = operators(sys.argv[1])
    json.dump([answer(loaded, job) for job in json.load(sys.stdin)], sys.stdout)
