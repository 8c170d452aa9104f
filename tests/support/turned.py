"""An mp4 becomes one that is stored turned, as telephones store theirs."""

from __future__ import annotations

from pathlib import Path

import numpy as np


def turned_on_its_side(path: Path, width: int = 96) -> None:
    """Write a quarter turn into the track header's matrix; `width` is that of the turned picture.
    """
    data = bytearray(path.read_bytes())
    matrix = data.index(b"tkhd") + 44  # of version 0: 40 bytes come before it
    quarter = np.array([0, 0x10000, 0, -0x10000, 0, 0, width << 16, 0, 0x40000000], ">i4")
    data[matrix : matrix + 36] = quarter.tobytes()
    path.write_bytes(data)
