"""`motifocal animate` with a diffusers pipeline, any program, or a model of one's own."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from command_line import CommandLine
from tiny_diffusers import TINY, save_tiny
from tiny_model import SENTENCES

from motifocal.cli.output.model_videos import animate_with
from motifocal.generate.model import Format, Job, Sampling
from motifocal.generate.open import open_model
from motifocal.media.video import read_image, read_video, write_video
from motifocal.models.text_limit import TextLimit

SMALL = ("--size", "32x64", "--frames", "9", "--steps", "2")


def test_a_diffusers_pipeline_writes_the_same_kinds_of_files(
    animate_alone: CommandLine, pipeline: Path, duck: Path, tmp_path: Path
) -> None:
    out = tmp_path / "new" / "out"
    options = ["--model", pipeline, *SMALL, "--number", 2, "--seed", 5, "-o", out]
    ended = animate_alone(duck, SENTENCES[0], SENTENCES[1], *options)
    assert ended.code == 0
    names = [
        f"my_duck_{name}_{seed}.mp4"
        for name in ("the_blue_balloon_dips_down", "the_red_balloon_rises")
        for seed in (5, 6)
    ]
    assert ended.out.split() == [str(out / name) for name in [*names, "my_duck_sheet_5.png"]]
    assert sorted(path.name for path in out.iterdir()) == sorted([*names, "my_duck_sheet_5.png"])
    assert read_image(out / "my_duck_sheet_5.png").shape[0] > 4 * 160
    clip = read_video(out / names[0])
    assert clip.frames.shape == (9, 256, 512, 3)  # 32 pixels enlarged to at least 256
    assert clip.fps == 25
    words = [line.split(",")[0] for line in ended.err.splitlines()]
    assert "animating videos: 0 of 4" in words
    assert words[-1] == "animating videos: 4 of 4"


def test_a_seed_is_that_of_the_benchmark_s_adapter(
    animate_alone: CommandLine, pipeline: Path, duck: Path, tmp_path: Path
) -> None:
    video = tmp_path / "video.mp4"
    options = ["--model", pipeline, *SMALL, "--seed", 7, "--scale", 1, "-o", video]
    assert animate_alone(duck, SENTENCES[0], *options).code == 0
    adapter = open_model(str(pipeline), Sampling(steps=2, frames=9, size=(32, 64)))
    adapter.animate([Job(duck, SENTENCES[0], 7, tmp_path / "other.mp4")])
    assert video.read_bytes() == (tmp_path / "other.mp4").read_bytes()


def test_a_diffusers_pipeline_writes_a_gif_at_the_scale_and_rate_asked_for(
    animate_alone: CommandLine, pipeline: Path, duck: Path, tmp_path: Path
) -> None:
    gif = tmp_path / "duck.gif"
    options = ["--model", pipeline, *SMALL, "--scale", 2, "--fps", 10, "-o", gif,
               "--negative-prompt", "blurred", "--guidance-rescale", "0.5"]  # fmt: skip
    assert animate_alone(duck, SENTENCES[0], *options).code == 0
    clip = read_video(gif)
    assert clip.frames.shape == (9, 64, 128, 3)
    assert clip.fps == pytest.approx(10)


PROGRAM = """
import sys
import numpy as np
from motifocal.video import read_image, write_video
image, prompt, output, seed = sys.argv[1:]
if prompt == "it fails":
    sys.exit("there is no such motion")
frames = np.stack([read_image(image)] * 4)
frames[:, :8] = int(seed) * 40
write_video(output, frames, 8)
"""


@pytest.fixture
def template(tmp_path: Path) -> str:
    (tmp_path / "program.py").write_text(PROGRAM)
    words = [sys.executable, str(tmp_path / "program.py")]
    return shlex.join(words) + " {image} {prompt} {output} {seed}"


def test_any_program_may_animate(
    animate_alone: CommandLine, template: str, duck: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    ended = animate_alone(duck, "it's \"here\"", "it fails", "--command", template, "-o", out,
                         "--seed", 3, "--scale", 1)  # fmt: skip
    assert ended.code == 1
    assert "my_duck_it_fails_3.mp4" in ended.err.splitlines()[-1]
    assert "there is no such motion" in ended.err.splitlines()[-1]
    assert sorted(path.name for path in out.iterdir()) == [
        "my_duck_its_here_3.mp4", "my_duck_sheet_3.png"
    ]  # fmt: skip
    clip = read_video(out / "my_duck_its_here_3.mp4")
    assert clip.frames.shape == (4, 48, 48, 3)
    assert abs(int(clip.frames[0, 2, 20, 0]) - 120) < 20


@pytest.mark.parametrize(("options", "words"), [
    (("--steps", "3"), "--command ignores the sampling options --steps"),
    (("--dtype", "float32", "--negative-prompt", "x"),
     "the sampling options --negative-prompt, --precision"),
    (("--model", "bundled"), "give either --model or --command"),
])  # fmt: skip
def test_options_that_a_program_would_not_see_are_refused(
    options: tuple[str, ...], words: str, animate_alone: CommandLine, template: str, duck: Path
) -> None:
    ended = animate_alone(duck, "it rises", "--command", template, *options)
    assert ended.code == 2
    assert words in " ".join(ended.err.split())


class SomeModel:
    """Draws its seed as a grey level; refuses seed 1, and writes no video for seed 2."""

    name = "some"
    settings: Mapping[str, Any] = {}
    format: Format | None = None
    text_limit: TextLimit | None = None

    def __init__(self) -> None:
        self.calls: list[int] = []

    def animate(self, jobs: Sequence[Job]) -> list[str | None]:
        self.calls.append(len(jobs))
        for job in jobs:
            if job.seed == 2:
                job.output.write_bytes(b"no video")
            elif job.seed != 1:
                frames = np.full((2, 16, 16, 3), job.seed * 20, np.uint8)
                write_video(job.output, frames, 8)
        return ["it is the one" if job.seed == 1 else None for job in jobs]


def test_any_model_can_be_plugged_in_and_what_fails_spoils_nothing_else(
    duck: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    jobs = [Job(duck, "it moves", seed, out / f"{seed}.mp4") for seed in range(5)]
    some = SomeModel()
    with pytest.raises(ValueError, match=r"2\.mp4: .*cannot be"):
        animate_with(some, jobs, out / "sheet.png", 1, batch=2)
    assert some.calls == [2, 2, 1]
    said = capsys.readouterr()
    assert said.out.split() == [str(out / name)
                                for name in ("0.mp4", "3.mp4", "4.mp4", "sheet.png")]  # fmt: skip
    assert f"failed: {out / '1.mp4'}: it is the one" in said.err
    assert sorted(path.name for path in out.iterdir()) == [
        "0.mp4", "3.mp4", "4.mp4", "sheet.png"
    ]  # fmt: skip


# diffusers' schedulers hand tensors to numpy 2 in the manner of numpy 1.
@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")
def test_i2vgen_xl_animates_a_picture(
    animate_alone: CommandLine, duck: Path, tmp_path: Path
) -> None:
    (height, width), frames = TINY["i2vgen-xl"]
    ended = animate_alone(duck, SENTENCES[0], "-o", tmp_path / "made.mp4", "--model",
                         save_tiny("i2vgen-xl", tmp_path / "i2vgen-xl"), "--size",
                         f"{height}x{width}", "--frames", frames, "--steps", 1, "--scale", 1,
                         "--device", "cpu")  # fmt: skip
    assert ended.code == 0, ended.err
    assert read_video(tmp_path / "made.mp4").frames.shape == (frames, height, width, 3)
