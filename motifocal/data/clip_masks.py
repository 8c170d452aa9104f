"""Find and check the mask of every video of a folder, which then takes the place of its heatmap.

Letters: F frames, H W pixels.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from motifocal.data.captions import CaptionedVideo, Rejected
from motifocal.files.atomic import sha256_of
from motifocal.media.picture import one_line
from motifocal.media.video import VideoError, read_video
from motifocal.motion.heatmap import Heatmap
from motifocal.motion.masks import Objects, find_mask, mask_heatmap


@dataclass(frozen=True)
class ClipMask:
    """The mask of a video of `size` (H, W): where it lies, its sha256, which objects count."""

    path: Path
    sha256: str
    objects: Objects
    size: tuple[int, int]

    def heatmap(
        self, frames: int, size: tuple[int, int], indices: Sequence[int] | None = None
    ) -> Heatmap:
        """Return the map (F, H, W) at `size` of all frames, or some, of a video with `frames`."""
        return mask_heatmap(self.path, (frames, *self.size), size=size, indices=indices,
                            objects=self.objects)


def find_masks(
    videos: Sequence[CaptionedVideo], lengths: Sequence[int], folder: Path,
    names: Mapping[Path, str], objects: Objects, size: tuple[int, int], workers: int,
) -> Iterator[ClipMask | Rejected]:
    """Yield each video's mask, read to its end, or why it cannot be used, in the order given.

    `names` says what each video is called in `folder`, `lengths` how many frames it has: a mask
    has to have as many, since which of them are taken is drawn later.
    """

    def check(video: CaptionedVideo, length: int) -> ClipMask | Rejected:
        try:
            path = find_mask(folder, names[video.path])
            files = sorted(p for p in path.iterdir() if p.is_file()) if path.is_dir() else [path]
            height, width = read_video(video.path, num_frames=1).frames.shape[1:3]
            mask = ClipMask(path, sha256_of(*files), objects, (height, width))
            mask.heatmap(length, size)
        except (VideoError, OSError) as error:
            return Rejected(video.name, one_line(error))
        return mask

    with ThreadPoolExecutor(max(1, workers)) as pool:
        yield from pool.map(check, videos, lengths)
