"""A million clips: what the driver costs, a second run, and each stage for a clip.

Rows: a table of clips is drawn, with an empty file for each, and `inspect` takes them as a part of
a run (--shard), with workers that answer at once: what is left is bookkeeping, and the time that
the work takes, measured on a few clips, is only added up. Printed are CPU seconds and memory of
the process, tenth by tenth, so that growth would show. Then the run is taken for finished, with
short files for its report, and the command is started again, which sees that nothing has changed.

Stages: clips of 5 s at 1280 x 720 are drawn and encoded as H.264; each stage does them in one
thread. CPU seconds, so that other processes matter little. Hours of more clips are these times a
number: nothing was run on so many. What autoencoders compute on a GPU is counted, not run; GPU
hours are at a speed that is assumed.

Throughput: `inspect` does copies of one such clip with one worker and with two, first as processes,
then on a Ray that is started here. Seconds on the clock, so two cores have to be free.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from measure import markdown, processor

from motifocal.bridges.export_samples import ExportConfig, ExportJob, export_clip
from motifocal.cli.inspect import ReportInputs
from motifocal.data.captions import CaptionedVideo
from motifocal.data.trainer_rules import Request
from motifocal.data.workers.cluster import Cluster
from motifocal.data.workers.items import Done, Workers
from motifocal.data.workers.processes import Processes
from motifocal.inspection.entries import gather
from motifocal.inspection.examine import Job, examine
from motifocal.inspection.finding import Finding, InspectSettings
from motifocal.inspection.finished import Finished, write_finished
from motifocal.inspection.run import inspect_entries
from motifocal.media.video import read_video, resize_crop, write_video
from motifocal.motion.flow import usable_cores
from motifocal.motion.heatmap import DEFAULT_SETTINGS, clip_heatmap
from motifocal.motion.heatmap_files import save_heatmap

REQUEST = Request(((77, 480, 832),), fps=16.0)
SETTINGS = InspectSettings("plain", REQUEST, DEFAULT_SETTINGS)
TENTHS, IN_A_FOLDER = 10, 1000
FPS, SECONDS = 30, 5
ASSUMED = 100e12  # operations that a GPU does a second in these convolutions, in bfloat16


def main(arguments: Sequence[str] | None = None) -> None:
    options = argparse.ArgumentParser(description=__doc__,
                                      formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--rows", type=int, default=1_000_000, help="default: %(default)s")
    options.add_argument("--clips", type=int, default=4, help="of 720p; default: %(default)s")
    options.add_argument("--throughput", type=int, default=14, metavar="CLIPS",
                         help="of 720p, by one worker and by two; default: %(default)s")
    options.add_argument("--quick", action="store_true", help="a smoke run: figures mean nothing")
    values = options.parse_args(arguments)
    if values.quick:
        values.rows, values.clips, values.throughput = 1000, 1, 0
    os.environ.setdefault("OMP_NUM_THREADS", "1")  # of workers too
    cv2.setNumThreads(1)
    print(f"{processor()}, Python {sys.version.split()[0]}", flush=True)
    with tempfile.TemporaryDirectory() as name:
        if values.clips:
            stages(Path(name), values.clips)
            encoding()
        if values.rows:
            rows(Path(name), values.rows)
        if values.throughput:
            throughput(Path(name), values.throughput)


# The driver


def rows(folder: Path, count: int) -> None:
    """Print what the driver of a run over so many rows costs."""
    clips = folder / "clips"
    draw_table(clips, count)
    context = multiprocessing.get_context("spawn")
    with context.Pool(1, maxtasksperchild=1) as pool:  # a process for each: memory is its peak
        lines = pool.apply(first_run, (clips, folder / "report", count))
        print(f"{count} rows, bookkeeping of a part's driver:", markdown(
            ("clips", "CPU a clip", "memory"), lines), sep="\n\n", flush=True)
        took, seconds, peak = pool.apply(second_run, (clips, folder / "report"))
        print(f"\n`motifocal inspect` of a finished run over {count} rows, started again: "
              f"{took:.1f} s, {seconds:.1f} s CPU, {peak:.0f} MB at most", flush=True)


def draw_table(folder: Path, count: int) -> None:
    folder.mkdir()
    with (folder / "metadata.jsonl").open("w") as table:
        for number in range(count):
            name = f"{number // IN_A_FOLDER:05d}/{number:08d}.mp4"
            if number % IN_A_FOLDER == 0:
                (folder / name).parent.mkdir()
            os.close(os.open(folder / name, os.O_CREAT | os.O_WRONLY))
            caption = f"clip {number} of a table, with a caption as long as most of them are"
            table.write(json.dumps({"file_name": name, "text": caption}) + "\n")


class Instant:
    """Workers that answer at once, with a finding like that of a clip."""

    def run(
        self, work: Any, jobs: Iterable[Any], seconds: Callable[[Any], float] | None = None
    ) -> Iterator[Done[Any, Any]]:
        for number, job in enumerate(jobs):
            yield Done(job, Finding(
                width=1280, height=720, fps=30.0, frames=150, seconds=5.0, watched=150, motion=3.2,
                moving_fraction=0.12, content=f"{number:064x}", samples=("0-149",), look="0" * 128))


def first_run(clips: Path, output: Path, count: int) -> list[list[str]]:
    began = time.process_time()
    folder = gather(clips)
    lines = [["listed", f"{(time.process_time() - began) / count * 1e6:.0f} µs",
              f"{memory():.0f} MB"]]
    tenth = -(-count // TENTHS)
    inspected = inspect_entries(folder.entries, SETTINGS, output, workers=Instant(), seconds=60)
    began = time.process_time()
    for done, _ in enumerate(inspected, start=1):
        if done % tenth == 0 or done == count:
            now = time.process_time()
            lines.append([str(done), f"{(now - began) / tenth * 1e6:.0f} µs", f"{memory():.0f} MB"])
            began = now
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3
    return [*lines, ["at most", "", f"{peak:.0f} MB"]]


def second_run(clips: Path, output: Path) -> tuple[float, float, float]:
    """Start the command over a finished run; return its seconds, CPU seconds and peak in MB."""
    inputs = ReportInputs(clips, SETTINGS, None, None, (), False)
    for path in inputs.written(output):
        path.write_text("the report\n")
    said = Finished("as before\n", ())
    write_finished(output, inputs.state(output), said, inputs.written(output))
    began = time.perf_counter()
    again = subprocess.run([sys.executable, "-m", "motifocal", "inspect", clips, "-o", output,
                            *("--frames", "77", "--fps", "16", "--size", "480x832", "-q")],
                           stdout=subprocess.PIPE, text=True, check=True)
    took = time.perf_counter() - began
    if again.stdout != said.text:
        raise RuntimeError(f"the finished run should be found so, it said {again.stdout!r}")
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return took, used.ru_utime + used.ru_stime, used.ru_maxrss / 1e3


def memory() -> float:
    """Return the memory of this process, MB."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


# The stages


def stages(folder: Path, count: int) -> None:
    """Print what each stage costs a clip, and what more of them would."""
    clips = [draw_clip(folder / f"{number}.mp4", number) for number in range(count)]
    config = ExportConfig(folder / "weights", "latents", "wan", "plain", REQUEST, DEFAULT_SETTINGS,
                          "loss", 1.0, False)
    (folder / "weights").mkdir()
    (folder / "thumbs").mkdir()
    ways: dict[str, Callable[[Path], Any]] = {
        "decode alone": read_video,
        "`inspect`": lambda clip: examine(Job(clip, folder / "thumbs" / f"{clip.stem}.webp"),
                                          SETTINGS),
        "`heatmap --size 480x832`": partial(heatmap_of, folder=folder),
        "`export --as latents`, 77 frames at 480x832": lambda clip: export_clip(
            ExportJob(CaptionedVideo(clip, "", clip.name)), config, 1),
    }
    read = sum(clip.stat().st_size for clip in clips) / count
    lines = []
    for name, way in ways.items():
        before, began = size_of(folder), time.process_time()
        for clip in clips:
            way(clip)
        seconds = (time.process_time() - began) / count
        written = (size_of(folder) - before) / count
        lines.append([name, f"{seconds:.2f} s", f"{3600 / seconds:.0f}", f"{read / 1e3:.0f} kB",
                      f"{written / 1e3:.1f} kB", f"{seconds * 1e6 / 3600:,.0f}",
                      f"{seconds * 1e8 / 3600:,.0f}"])
    head = ("stage", "CPU a clip", "clips an hour a core", "read", "written",
            "core hours, 1 M clips", "100 M clips")
    print(f"{count} clips of {SECONDS} s, 1280 x 720, {FPS} frames/s:", markdown(head, lines),
          "", sep="\n\n", flush=True)


def encoding() -> None:
    """Print what an autoencoder computes for a clip, and GPU hours at the assumed speed."""
    import torch  # here, as the memory of the driver is measured without it
    from diffusers import AutoencoderKL, AutoencoderKLWan
    from torch.utils.flop_counter import FlopCounterMode

    kl = {"block_out_channels": (128, 256, 512, 512), "layers_per_block": 2,
          "down_block_types": ("DownEncoderBlock2D",) * 4,
          "up_block_types": ("UpDecoderBlock2D",) * 4}
    lines = []
    with torch.device("meta"), torch.no_grad():
        for name, encoder, shape in (
            ("Stable Diffusion, 16 frames at 320x512", AutoencoderKL(**kl), (16, 3, 320, 512)),
            ("Wan 2.1, 77 frames at 480x832", AutoencoderKLWan(), (1, 3, 77, 480, 832)),
        ):
            with FlopCounterMode(display=False) as counter:
                encoder.encode(torch.zeros(shape))
            count = counter.get_total_flops()
            lines.append([name, f"{count / 1e12:.1f}", f"{count / ASSUMED * 1e6 / 3600:,.0f}",
                          f"{count / ASSUMED * 1e8 / 3600:,.0f}"])
    head = ("autoencoder", "TFLOP a clip", "GPU hours, 1 M clips", "100 M clips")
    print(f"Encoding, counted; GPU hours if a GPU does {ASSUMED / 1e12:.0f} TFLOP/s, which is "
          "assumed:", markdown(head, lines), "", sep="\n\n", flush=True)


# Workers


def throughput(folder: Path, count: int) -> None:
    """Print how many clips `inspect` does with one worker and with two, and the ratio."""
    drawn = draw_clip(folder / "drawn.mp4", 0)
    (folder / "copies").mkdir()
    jobs = [Job(folder / "copies" / f"{number}.mp4", folder / "copies" / f"{number}.webp")
            for number in range(count)]
    for job in jobs:
        shutil.copyfile(drawn, job.path)
    ways: dict[str, Callable[[int], Workers]] = {
        "processes": Processes, "Ray": lambda workers: Cluster(workers=workers)}
    lines = []
    for name, way in ways.items():
        one, two = (clips_a_second(way(workers), jobs, workers) for workers in (1, 2))
        lines.append([name, f"{one * 3600:.0f}", f"{two * 3600:.0f}", f"{two / one:.2f}"])
    head = ("workers", "clips an hour, 1 worker", "2 workers", "ratio")
    print(f"\n`inspect` of {count} clips, {usable_cores()} cores:", markdown(head, lines),
          sep="\n\n", flush=True)


def clips_a_second(workers: Workers, jobs: Sequence[Job], count: int) -> float:
    """Have clips examined; the first two of each worker do not count, so that its start does not.
    """
    times = []
    for done in workers.run(partial(examine, settings=SETTINGS), jobs):
        if done.result is None or done.result.problem:
            raise RuntimeError(f"every clip should be examined, got {done}")
        times.append(time.perf_counter())
    return (len(times) - 2 * count) / (times[-1] - times[2 * count - 1])


def draw_clip(path: Path, seed: int) -> Path:
    """Draw a patch that crosses a resting picture, with some noise."""
    rng = np.random.default_rng(seed)
    ground = sum(cv2.resize(rng.normal(size=(cells, cells, 3)).astype(np.float32), (1280, 720),
                            interpolation=cv2.INTER_CUBIC) for cells in (4, 16, 64))
    ground = cv2.normalize(ground, None, 20, 235, cv2.NORM_MINMAX).astype(np.uint8)
    patch = np.ascontiguousarray(ground[::-1][:200, :200])
    frames = np.repeat(ground[None], FPS * SECONDS, axis=0)
    for number, frame in enumerate(frames):
        frame[260:460, 100 + 6 * number : 300 + 6 * number] = patch
        frame += rng.integers(0, 6, frame.shape, dtype=np.uint8)
    write_video(path, frames, FPS)
    return path


def heatmap_of(clip: Path, folder: Path) -> None:
    video = read_video(clip)
    frames = resize_crop(video.frames, 480, 832)
    maps = clip_heatmap(frames, DEFAULT_SETTINGS, workers=1)
    save_heatmap(folder / f"{clip.stem}.npz", maps, DEFAULT_SETTINGS, fps=video.fps)


def size_of(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


if __name__ == "__main__":
    main()
