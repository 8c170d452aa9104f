"""Motion heatmaps from file to file, beside decoding and flow alone, and beside other ways.

The clips are synthetic scenes of 320 x 320 pixels and 16 frames, as H.264; `--videos` takes a
folder of others. From file to file is: decode, flow, heatmap, compressed .npz on disk, clips in
threads on all cores, as `motifocal heatmap` does it. The other ways to get the same files: flow of
full-size frames by Farnebäck, and by RAFT (large, 20 iterations) pair by pair, as training code
tends to. RAFT is timed on one clip, with random weights, which take as long as trained ones; where
torchvision cannot be imported it is left out (`--torchvision FOLDER`: one that is installed there).
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from importlib.util import find_spec
from pathlib import Path

import cv2
import numpy as np
from measure import RATIO_HEADER, machine, markdown, parser, ratio_rows, read, take_turns

from motifocal.media.arrays import Frames
from motifocal.media.video import list_videos, read_video, write_video
from motifocal.motion.flow import estimate_flow, usable_cores
from motifocal.motion.heatmap import DEFAULT_SETTINGS, Heatmap, HeatmapSettings, clip_heatmap
from motifocal.motion.heatmap_files import save_heatmap
from motifocal.motion.raft import RaftOptions
from motifocal.motion.settings import PIXEL_SETTINGS
from motifocal.motion.settings import VECTORS as VECTOR_SOURCE
from motifocal.motion.vectors import read_vector_motion
from motifocal.scenes.render import render
from motifocal.scenes.stage import SCENARIOS, make_stage

SIDE, FRAMES, ITERATIONS = 320, 16, 20
ALONE = "decoding and DIS alone"
OURS = "file to file, as it comes"
VECTORS = {  # of the rows on motion vectors
    "motion vectors": replace(DEFAULT_SETTINGS, source="vectors"),
    "motion vectors, by pixels": replace(PIXEL_SETTINGS, source="vectors"),
}
IN_MEMORY = "a map, as it comes"


def main(arguments: Sequence[str] | None = None) -> None:
    options = parser(__doc__, rounds=10)
    options.add_argument("--clips", type=int, default=16, help="to draw; default: %(default)s")
    options.add_argument("--videos", type=Path, help="a folder of videos, instead of drawing any")
    options.add_argument("--torchvision", type=Path, help="a folder that holds it, for RAFT")
    options.add_argument("--cpu", action="store_true", help="count CPU time, for busy machines")
    values = read(options, arguments)
    cv2.setNumThreads(1)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        if values.videos is None:
            clips, frames = (2, FRAMES // 4) if values.quick else (values.clips, FRAMES)
            draw(folder, clips, frames)
        videos = list_videos(values.videos or folder)
        clock = time.process_time if values.cpu else time.perf_counter
        times = take_turns(ways(videos, folder), values.rounds, clock=clock)
        rows = ratio_rows(times, list(times), ALONE)
        print(f"{usable_cores()} clips at a time; {machine(values.rounds)}",
              markdown(RATIO_HEADER, rows), sep="\n\n", flush=True)  # fmt: skip
        if importable(values.torchvision):
            one_clip(videos[0], folder, 1 if values.quick else ITERATIONS)


def draw(folder: Path, clips: int, frames: int) -> None:
    """Write synthetic clips, scenarios in turn."""
    names = sorted(SCENARIOS)
    for index in range(clips):
        stage = make_stage(names[index % len(names)], "eval", index)
        clip = render(stage, stage.actions[0], size=SIDE, frames=frames)
        write_video(folder / f"{index:03d}.mp4", clip.frames, clip.fps)


def ways(videos: Sequence[Path], folder: Path) -> dict[str, Callable[[], object]]:
    """What is measured over all clips."""
    full = replace(DEFAULT_SETTINGS, flow_size=0)
    each: dict[str, Callable[[Path], object]] = {
        ALONE: flow_alone,
        "decoding alone": read_video,
        "from file to heatmap, not written": partial(heatmap_of, DEFAULT_SETTINGS),
        "the same, by pixels": partial(heatmap_of, PIXEL_SETTINGS),
        **{f"the same, {name}": partial(heatmap_of, settings)
           for name, settings in VECTORS.items()},
        OURS: partial(file_to_file, folder, DEFAULT_SETTINGS),
        "file to file, by pixels": partial(file_to_file, folder, PIXEL_SETTINGS),
        **{f"file to file, {name}": partial(file_to_file, folder, settings)
           for name, settings in VECTORS.items()},
        "file to file, flow at full size": partial(file_to_file, folder, full),
        "file to file, camera removed": partial(
            file_to_file, folder, replace(DEFAULT_SETTINGS, camera=True)
        ),
        "file to file, Farnebäck at full size": partial(
            file_to_file, folder, replace(full, source="farneback")
        ),
    }  # fmt: skip
    return {name: partial(on_all_cores, work, videos) for name, work in each.items()}


def on_all_cores(work: Callable[[Path], object], videos: Sequence[Path]) -> None:
    with ThreadPoolExecutor(usable_cores()) as pool:
        for _ in pool.map(work, videos):
            pass


def flow_alone(video: Path) -> None:
    """DIS of full-size frames, the estimator's own thread alone."""
    estimate_flow(read_video(video).frames, workers=1)


def heatmap_of(settings: HeatmapSettings, video: Path) -> Heatmap:
    if settings.source == VECTOR_SOURCE:
        return read_vector_motion(video, grey=not settings.sees_colour).heatmap(settings)
    return clip_heatmap(read_video(video).frames, settings, workers=1)


def file_to_file(folder: Path, settings: HeatmapSettings, video: Path) -> None:
    save_heatmap(folder / f"{video.stem}.npz", heatmap_of(settings, video), settings)


def importable(folder: Path | None) -> bool:
    """Whether RAFT can be had, from this folder if one is given; tells where it cannot."""
    if folder is not None:
        # A wheel beside a torch without CUDA needs its operators declared first.
        sys.path.append(str(Path(__file__).parents[1] / "tests" / "support"))
        from torchvision_shim import make_importable

        make_importable(folder)
    if find_spec("torchvision") is not None:
        return True
    print("\nRAFT is left out: torchvision is not installed (--torchvision FOLDER)")
    return False


def one_clip(video: Path, folder: Path, iterations: int) -> None:
    """RAFT over the pairs of one clip, one at a time, beside ours of the same clip."""
    import torch
    from torchvision.models.optical_flow import raft_large

    torch.manual_seed(0)
    weights = folder / "raft.pth"
    torch.save(raft_large().state_dict(), weights)
    frames = read_video(video).frames
    raft = RaftOptions(iterations, weights=str(weights), device="cpu")
    both: dict[str, Callable[[], object]] = {
        IN_MEMORY: partial(clip_heatmap, frames),
        "RAFT's flow, large, a pair at a time": partial(pair_by_pair, frames, raft),
    }
    times = take_turns(both, 2)
    print(f"\nOne clip of {len(frames)} frames, without decoding; {iterations} iterations; "
          f"{machine(2)}", markdown(RATIO_HEADER, ratio_rows(times, list(both), IN_MEMORY)),
          sep="\n\n")  # fmt: skip


def pair_by_pair(frames: Frames, raft: RaftOptions) -> None:
    for first in range(len(frames) - 1):
        flow = estimate_flow(frames[first : first + 2], "raft-large", raft=raft)
        assert np.isfinite(flow).all()


if __name__ == "__main__":
    main()
