"""Motion heatmaps from file to file, beside decoding the same files alone.

The clips are the drawn world's at 320 x 320 pixels and 16 frames, as H.264; `--videos` takes a
folder of others. From file to file is: decode, flow, heatmap, compressed .npz on disk. Workers are
threads over the frame pairs of one clip; OpenCV's own threads stay as they are, as in normal use.
"""

from __future__ import annotations

import statistics
import tempfile
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from measure import RATIO_HEADER, machine, markdown, parser, ratio_rows, read, take_turns

from motifocal.heatmap import DEFAULT_SETTINGS, clip_heatmap, save_heatmap
from motifocal.scenes.render import render
from motifocal.scenes.stage import SCENARIOS, make_stage
from motifocal.video import list_videos, read_video, write_video

SIDE, FRAMES = 320, 16


def main(arguments: Sequence[str] | None = None) -> None:
    options = parser(__doc__, rounds=10)
    options.add_argument("--clips", type=int, default=15, help="to draw; default: %(default)s")
    options.add_argument("--videos", type=Path, help="a folder of videos, instead of drawing any")
    values = read(options, arguments)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        if values.videos is None:
            draw(
                folder, 1 if values.quick else values.clips, FRAMES // 4 if values.quick else FRAMES
            )
        videos = list_videos(values.videos or folder)
        decoding = "decoding alone"
        ways = {decoding: partial(decode, videos)}
        for workers in (1, 2):
            plural = "s" if workers > 1 else ""
            ways[f"file to file, {workers} worker{plural}"] = partial(
                file_to_file, videos, folder, workers
            )
        times = take_turns(ways, values.rounds)
    rows = [
        [*row, f"{len(videos) / statistics.median(times[row[0]]):.3g}"]
        for row in ratio_rows(times, list(ways), decoding)
    ]
    print(machine(values.rounds), markdown((*RATIO_HEADER, "clips/s"), rows), sep="\n\n")


def draw(folder: Path, clips: int, frames: int) -> None:
    """Write clips of the drawn world, scenarios in turn."""
    names = sorted(SCENARIOS)
    for index in range(clips):
        stage = make_stage(names[index % len(names)], "eval", index)
        clip = render(stage, stage.actions[0], size=SIDE, frames=frames)
        write_video(folder / f"{index:03d}.mp4", clip.frames, clip.fps)


def decode(videos: Sequence[Path]) -> None:
    for video in videos:
        read_video(video)


def file_to_file(videos: Sequence[Path], folder: Path, workers: int) -> None:
    for index, video in enumerate(videos):
        heatmap = clip_heatmap(read_video(video).frames, workers=workers)
        save_heatmap(folder / f"{index:03d}.npz", heatmap, DEFAULT_SETTINGS)


if __name__ == "__main__":
    main()
