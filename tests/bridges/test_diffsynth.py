"""The frames and sizes of DiffSynth-Studio are those that its released LoadVideo takes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from fractions import Fraction
from functools import cache
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from click.testing import CliRunner, Result

from motifocal.bridges.export_table import read_table
from motifocal.cli import cli
from motifocal.cli.export import TABLES
from motifocal.data.clip_files import timeline_of
from motifocal.data.selection import Timeline
from motifocal.data.trainer_rules import Request, diffsynth_size, trained_on
from motifocal.media.video import read_frames, write_video

ROOT = Path(__file__).parents[2]
SCRIPT = ROOT / "scripts" / "install_diffsynth.sh"
READER = ROOT / "tests" / "support" / "diffsynth_reader.py"
#: Of the clips that are drawn, and the numbers of frames that are asked of them.
COUNTS = (1, 2, 5, 16, 17, 20, 33, 49, 81, 82, 97)
RATES = (8, 10, 16, 24, Fraction(24000, 1001), 25, Fraction(30000, 1001), 30)
WANTED = (1, 9, 17, 49, 80, 81)


@cache
def operators() -> Path | None:
    """The file of DiffSynth-Studio, installed by the script if need be; None where that failed."""
    done = subprocess.run(["sh", str(SCRIPT), sys.executable], capture_output=True, text=True)
    if done.returncode:
        sys.stderr.write(done.stderr)
        return None
    return Path(done.stdout.strip()) / "diffsynth" / "core" / "data" / "operators.py"


def their_answers(jobs: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """What LoadVideo and ImageCropAndResize do, in a process apart."""
    file = operators()
    if file is None:
        words = f"diffsynth could not be installed by {SCRIPT.name}"
        if os.environ.get("CI") == "true" or "MOTIFOCAL_SHARED" in os.environ:
            pytest.fail(words)
        pytest.skip(words)
    done = subprocess.run([sys.executable, str(READER), str(file)], input=json.dumps(jobs),
                          capture_output=True, text=True)  # fmt: skip
    assert done.returncode == 0, done.stderr
    answers: list[dict[str, Any]] = json.loads(done.stdout)
    return answers


def job(clip: Path, request: Request) -> dict[str, Any]:
    """The same request in DiffSynth-Studio's words."""
    frames, height, width = request.buckets[0]
    load = {"num_frames": frames, "time_division_factor": request.later}
    if request.fps is not None:
        load |= {"frame_rate": request.fps, "fix_frame_rate": True}
    size: dict[str, Any] = {"height": height, "width": width}
    if request.max_pixels is not None:
        size = {"max_pixels": request.max_pixels, "height_division_factor": request.division,
                "width_division_factor": request.division}  # fmt: skip
    return {"clip": str(clip), "load": load, "size": size}


@cache
def looked_at(clip: Path) -> tuple[Timeline, int, int]:
    """When its frames are shown, their height and width."""
    height, width = read_frames(clip, [0]).shape[1:3]
    return timeline_of(clip), height, width


def ours(clip: Path, request: Request) -> dict[str, Any]:
    timeline, height, width = looked_at(clip)
    samples = trained_on("diffsynth", timeline, height, width, request)
    frames = list(samples[0].indices) if samples else []
    return {"frames": frames, "size": list(diffsynth_size(height, width, request))}


def write_clip(path: Path, count: int, fps: Fraction | int, height: int = 16, width: int = 16
               ) -> Path:  # fmt: skip
    write_video(path, np.zeros((count, height, width, 3), np.uint8), fps)
    return path


def differences(clips: list[Path], requests: list[Request]) -> list[str]:
    """The cases in which DiffSynth-Studio takes other frames or another size than we say."""
    cases = [(clip, request) for clip in clips for request in requests]
    answers = their_answers([job(clip, request) for clip, request in cases])
    return [
        f"{clip.name}, {request}: they take {theirs}, we say {said}"
        for (clip, request), theirs in zip(cases, answers, strict=True)
        if (said := ours(clip, request)) != theirs
    ]


@pytest.mark.slow
def test_we_say_the_frames_that_diffsynth_takes(tmp_path: Path) -> None:
    clips = [write_clip(tmp_path / f"{count}-at-{float(fps):.3f}.mp4", count, fps)
             for count in COUNTS for fps in RATES]  # fmt: skip
    requests = [Request(((frames, 16, 16),), fps=fps, later=later)
                for frames in WANTED for fps in (None, 8.0, 16.0, 24.0, 23.976) for later in (4, 8)]
    assert len(clips) * len(requests) > 5000
    assert differences(clips, requests) == []


def test_a_clip_of_4k_1_frames_at_its_own_rate_keeps_them_all(tmp_path: Path) -> None:
    # 17, 49 and 81 frames at 8/s last 2.125, 6.125 and 10.125 s: FFmpeg prints 2.13, 6.13, 10.13.
    for count in (17, 49, 81):
        clip = write_clip(tmp_path / f"{count}.mp4", count, 8)
        request = Request(((81, 16, 16),), fps=8.0)
        assert ours(clip, request)["frames"] == list(range(count))


def test_a_number_of_frames_that_is_not_4k_1_is_taken_as_it_is(tmp_path: Path) -> None:
    clip = write_clip(tmp_path / "clip.mp4", 100, 8)
    assert ours(clip, Request(((80, 16, 16),)))["frames"] == list(range(80))
    assert ours(clip, Request(((102, 16, 16),)))["frames"] == list(range(97))


def test_sizes_follow_the_clip_below_a_number_of_pixels(tmp_path: Path) -> None:
    shapes = ((96, 128), (128, 96), (100, 250), (64, 64), (64, 302))
    clips = [write_clip(tmp_path / f"{height}x{width}.mp4", 5, 8, height, width)
             for height, width in shapes]  # fmt: skip
    requests = [Request(((5, 16, 16),), max_pixels=pixels, division=division)
                for pixels in (5000, 12_287, 12_288, 12_289, 10**6) for division in (16, 32)]
    assert differences(clips, requests) == []


def test_the_sound_of_a_clip_counts_in_its_length(tmp_path: Path) -> None:
    clip = tmp_path / "sound.mp4"
    with av.open(str(clip), "w") as container:
        video = container.add_stream("libx264", rate=8)
        video.width = video.height = 16
        sound = container.add_stream("aac", rate=48_000)
        for _ in range(9):
            frame = av.VideoFrame.from_ndarray(np.zeros((16, 16, 3), np.uint8), "rgb24")
            container.mux(video.encode(frame))
        container.mux(video.encode(None))
        for start in range(0, 96_000, 1024):  # 2 s of sound, 1.125 s of video
            block = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), "fltp", "mono")
            block.sample_rate, block.pts = 48_000, start
            container.mux(sound.encode(block))
        container.mux(sound.encode(None))
    request = Request(((13, 16, 16),), fps=8.0)
    assert differences([clip], [request]) == []
    # The last frame is seen until the sound ends.
    assert ours(clip, request)["frames"] == [*range(9), 8, 8, 8, 8]


def command(*words: object) -> Result:
    return CliRunner().invoke(cli, [str(word) for word in words])


def test_export_and_inspect_take_the_sizes_of_max_pixels(tmp_path: Path) -> None:
    clips, output = tmp_path / "clips", tmp_path / "out"
    clips.mkdir()
    for height, width in ((96, 128), (128, 64)):
        write_clip(clips / f"{height}x{width}.mp4", 9, 8, height, width)
    given = ("--frames", 5, "--trainer", "diffsynth", "--max-pixels", 64 * 96, "--workers", 1)
    export = ("export", clips, "-o", output, "--as", "latents", "--family", "wan", *given)
    for _ in range(2):  # and goes on with the same
        assert command(*export).exit_code == 0
    rows = read_table(output / TABLES["latents"]).values()
    sizes = {(row.height, row.width) for group in rows for row in group}
    assert sizes == {(64, 80), (96, 48)}

    report = tmp_path / "report"
    assert command("inspect", clips, "-o", report, "--fail-on", "never", *given).exit_code == 0
    settings = json.loads((report / "inspect.json").read_text())["settings"]
    assert settings["request"]["max_pixels"] == 64 * 96


def test_max_pixels_stands_for_size_and_for_diffsynth_alone(tmp_path: Path) -> None:
    clip = write_clip(tmp_path / "clip.mp4", 9, 8)
    export = ("export", clip, "-o", tmp_path / "out", "--as", "latents", "--family", "wan",
              "--frames", 5)  # fmt: skip
    both = command(*export, "--size", "16x16", "--max-pixels", 4096)
    assert "give either --size or --max-pixels" in command(*export).output
    assert "give either --size or --max-pixels" in both.output
    other = command(*export, "--trainer", "musubi", "--max-pixels", 4096)
    assert "--max-pixels: is not read by musubi-tuner" in " ".join(other.output.split())
    small = command(*export, "--trainer", "diffsynth", "--max-pixels", 100)
    assert "should be at least 256, got 100" in " ".join(small.output.split())
