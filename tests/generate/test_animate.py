"""`motifocal animate`: which files it writes, what it says, and one line for every mistake."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from command_line import CommandLine, Ended, command_line
from PIL import Image, ImageSequence
from tiny_diffusers import TINY, save_tiny
from tiny_model import SENTENCES, tiny_folder

from motifocal.cli import cli, main
from motifocal.cli.animate import open_sampler
from motifocal.cli.output.model_videos import animate_with
from motifocal.generate.domain import Domain, write_domain
from motifocal.generate.model import Format, Job, Sampling
from motifocal.generate.open import open_model
from motifocal.generate.plan import plan
from motifocal.media.video import read_image, read_video, write_image, write_video
from motifocal.models.text_limit import TextLimit

QUICK = ("--steps", "2")


Animate = CommandLine


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tiny_folder(tmp_path_factory.mktemp("models") / "tiny")
    words = " ".join(SENTENCES).split()
    write_domain(folder, Domain(frozenset(words), least_psnr=-99.0))
    return folder


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    pixels = np.random.default_rng(0).integers(0, 256, (48, 48, 3), dtype=np.uint8)
    write_image(tmp_path / "my_duck.png", pixels)
    return tmp_path / "my_duck.png"


@pytest.fixture
def animate(
    model: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Animate:
    """Runs the command line in this process; a traceback would fail the test."""
    run = command_line(monkeypatch, capsys, "animate")
    return lambda *arguments: run(*arguments, "--model", model, *QUICK)


def test_one_sentence_makes_one_video_at_the_path_asked_for(
    animate: Animate, picture: Path, tmp_path: Path
) -> None:
    video = tmp_path / "new" / "duck.mp4"
    ended = animate(picture, SENTENCES[0], "-o", video)
    assert ended.code == 0
    assert ended.out.split() == [str(video)]
    clip = read_video(video)
    assert clip.frames.shape == (4, 256, 256, 3)  # 32 pixels enlarged to at least 256
    assert clip.fps == 8
    assert sorted(p.name for p in video.parent.iterdir()) == ["duck.mp4"]


def test_several_sentences_and_seeds_make_videos_and_one_sheet(
    animate: Animate, picture: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    options = ["--number", 2, "--seed", 5, "--scale", 1, "-o", out]
    ended = animate(picture, "The RED balloon, rises!", SENTENCES[0], *options)
    assert ended.code == 0
    names = [
        "my_duck_the_red_balloon_rises_5.mp4",
        "my_duck_the_red_balloon_rises_6.mp4",
        "my_duck_the_blue_balloon_dips_down_5.mp4",
        "my_duck_the_blue_balloon_dips_down_6.mp4",
        "my_duck_sheet_5.png",
    ]
    assert ended.out.split() == [str(out / name) for name in names]
    assert sorted(p.name for p in out.iterdir()) == sorted(names)
    sheet = read_image(out / names[-1])
    assert sheet.shape[0] > 4 * 160  # four rows and their sentences
    first, second = (read_video(out / name).frames.astype(int) for name in names[:2])
    assert first.shape == (4, 32, 32, 3)
    assert np.abs(first - second).max() > 20


def test_rate_length_size_and_suffix_are_as_asked_for(
    animate: Animate, picture: Path, tmp_path: Path
) -> None:
    gif = tmp_path / "duck.gif"
    options = ["--fps", "10", "--frames", "3", "--size", "16x24", "--scale", "2", "--guidance", "1"]
    ended = animate(picture, SENTENCES[0], "-o", gif, *options)
    assert ended.code == 0
    clip = read_video(gif)
    assert clip.frames.shape == (3, 32, 48, 3)
    assert clip.fps == pytest.approx(10)


def test_each_phase_is_told_as_it_begins_and_how_long_it_took(
    animate: Animate, picture: Path, tmp_path: Path
) -> None:
    ended = animate(picture, SENTENCES[0], "-o", tmp_path / "duck.mp4", "--device", "cpu")
    lines = [re.sub(r"\d+(\.\d)? s$", "TIME", line) for line in ended.err.splitlines()]
    assert lines == [
        "loading the model ...", "loading the model: TIME",
        "animating 1 video: steps: 0 of 2", "animating 1 video: steps: 2 of 2, TIME",
    ]  # fmt: skip


def test_quiet_leaves_nothing_on_stderr(animate: Animate, picture: Path, tmp_path: Path) -> None:
    ended = animate(picture, SENTENCES[0], "-o", tmp_path / "duck.mp4", "--quiet")
    assert ended == Ended(0, f"{tmp_path / 'duck.mp4'}\n", "")


def test_an_existing_file_is_kept_unless_told_otherwise(
    animate: Animate, picture: Path, tmp_path: Path
) -> None:
    video = tmp_path / "duck.mp4"
    video.write_bytes(b"mine")
    ended = animate(picture, SENTENCES[0], "-o", video)
    assert ended.code == 2
    assert "--overwrite" in ended.err
    assert video.read_bytes() == b"mine"
    assert animate(picture, SENTENCES[0], "-o", video, "--overwrite").code == 0
    assert read_video(video).frames.shape[0] == 4


def test_one_existing_file_stops_all_before_anything_is_made(
    animate: Animate, picture: Path, tmp_path: Path
) -> None:
    taken = tmp_path / "out" / "my_duck_nothing_moves_0.mp4"
    taken.parent.mkdir()
    taken.write_bytes(b"mine")
    ended = animate(picture, SENTENCES[0], SENTENCES[2], "-o", taken.parent)
    assert ended.code == 2
    assert taken.name in ended.err
    assert [p.name for p in taken.parent.iterdir()] == [taken.name]


def test_a_kind_note_names_unknown_words_and_the_video_is_made(
    animate: Animate, picture: Path, tmp_path: Path
) -> None:
    ended = animate(picture, "the dragon rises", "-o", tmp_path / "duck.mp4")
    assert ended.code == 0
    (note,) = [line for line in ended.err.splitlines() if line.startswith("note: ")]
    assert note.endswith("it has never read: dragon")
    assert (tmp_path / "duck.mp4").exists()


def test_a_kind_note_tells_of_an_unlike_picture(
    animate: Animate, model: Path, picture: Path, tmp_path: Path
) -> None:
    before = (model / "familiar.json").read_text()
    write_domain(model, Domain(frozenset(" ".join(SENTENCES).split()), least_psnr=99.0))
    try:
        ended = animate(picture, SENTENCES[0], "-o", tmp_path / "duck.mp4")
    finally:
        (model / "familiar.json").write_text(before)
    assert ended.code == 0
    (note,) = [line for line in ended.err.splitlines() if line.startswith("note: ")]
    assert note == (
        "note: this picture is not of the synthetic scenes that the model was trained on; the "
        "result may be nonsense"
    )


@pytest.mark.parametrize(
    ("height", "width", "lost"),
    [(80, 40, "50% of it, at its top and bottom,"), (40, 53, "25% of it, at its left and right,"),
     (40, 42, None), (40, 40, None)],
)  # fmt: skip
def test_a_picture_that_is_cropped_says_how_much_and_where(
    height: int, width: int, lost: str | None, animate: Animate, tmp_path: Path
) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)
    write_image(tmp_path / "shape.png", pixels)
    ended = animate(tmp_path / "shape.png", SENTENCES[0], "-o", tmp_path / "shape.mp4")
    assert ended.code == 0
    found = [line for line in ended.err.splitlines() if "cropped" in line]
    assert len(found) == (lost is not None)
    assert all(lost in line for line in found if lost is not None)


def test_a_gif_plays_at_the_rate_of_the_model(
    animate: Animate, picture: Path, tmp_path: Path
) -> None:
    gif = tmp_path / "duck.gif"
    assert animate(picture, SENTENCES[0], "-o", gif, "--fps", 8, "--frames", 8).code == 0
    with Image.open(gif) as image:
        delays = [frame.info["duration"] for frame in ImageSequence.Iterator(image)]
    # GIF counts hundredths of a second: an eighth of one is 12 and 13 in turn.
    assert sum(delays) == 1000
    assert set(delays) == {120, 130}


def test_a_model_that_keeps_nothing_gives_no_notes(
    animate: Animate, model: Path, picture: Path, tmp_path: Path
) -> None:
    kept = model / "familiar.json"
    before = kept.read_text()
    kept.unlink()
    try:
        ended = animate(picture, "a dragon", "-o", tmp_path / "duck.mp4")
    finally:
        kept.write_text(before)
    assert ended.code == 0
    assert "note" not in ended.err


def test_sentences_that_only_differ_at_their_end_have_files_of_their_own(tmp_path: Path) -> None:
    start = "the small brown bird that sits quietly in the middle of the wide blue sky " * 3
    picture = Path("p" * 240 + ".png")
    jobs, sheet = plan(picture, (f"{start} left", f"{start} right"), tmp_path, 7, 2)
    names = [job.output.name for job in jobs]
    assert len(set(names)) == 4
    assert sheet is not None
    for name in (*names, sheet.name):
        (tmp_path / name).touch()  # no longer than the file system allows
    assert [name[-6:] for name in names] == ["_7.mp4", "_8.mp4"] * 2
    # Each by itself is called the same, and the other is not taken for it.
    alone, _ = plan(picture, (f"{start} right",), tmp_path, 7, 1)
    assert alone[0].output.name == names[2]


def test_short_sentences_keep_the_benchmarks_names(tmp_path: Path) -> None:
    jobs, _ = plan(Path("duck.png"), ("The duck, it swims!",), tmp_path, 3, 1)
    assert jobs[0].output == tmp_path / "duck_the_duck_it_swims_3.mp4"


MISTAKES: dict[str, tuple[tuple[str, ...], int, str]] = {
    "no such picture": (("missing.png", "nothing moves"), 2, "'missing.png' does not exist"),
    "no picture": (("{text}", "nothing moves"), 1, "not a picture in a known format"),
    "a folder": (("{folder}", "nothing moves"), 2, "is a directory"),
    "no sentence": (("{picture}",), 2, "Missing argument 'PROMPT...'"),
    "a blank sentence": (("{picture}", " "), 2, "should hold words"),
    "a sentence twice": (("{picture}", "it rises", "It rises."), 2, "should differ"),
    "a negative seed": (("{picture}", "it rises", "--seed", "-1"), 2, "--seed"),
    "a seed in words": (("{picture}", "it rises", "--seed", "one"), 2, "--seed"),
    "no steps": (("{picture}", "it rises", "--steps", "0", "--"), 2, "--steps"),
    "an odd size": (("{picture}", "it rises", "--size", "30x32"), 1, "multiples of 8, got 30x32"),
    "no size": (("{picture}", "it rises", "--size", "wide"), 2, "--size"),
    "another format": (("{picture}", "it rises", "-o", "x.avi"), 2, "a folder or end in"),
    "one file for two": (("{picture}", "a", "b", "-o", "x.mp4"), 2, "a folder for several"),
    "no model": (("{picture}", "it rises", "--model", "{empty}"), 1, "got no model_index.json"),
    "an option that is none": (("{picture}", "it rises", "--tempo", "3"), 2, "No such option"),
}  # fmt: skip


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_is_one_line_and_never_a_traceback(
    mistake: str, picture: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, model: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    arguments, code, message = MISTAKES[mistake]
    (tmp_path / "notes.txt").write_text("this is no picture")
    (tmp_path / "empty").mkdir()
    places = {"picture": picture, "text": tmp_path / "notes.txt", "folder": tmp_path,
              "empty": tmp_path / "empty"}  # fmt: skip
    monkeypatch.chdir(tmp_path)
    before = sorted(tmp_path.rglob("*"))
    words = [argument.format(**places) for argument in arguments]
    chosen = [] if "--model" in words else ["--model", str(model)]
    monkeypatch.setattr(sys, "argv", ["motifocal", "animate", *chosen, *words])
    with pytest.raises(SystemExit) as end:
        main()
    said = capsys.readouterr()
    assert end.value.code == code
    assert message in " ".join(said.err.split())
    assert said.err.splitlines()[-1].startswith(("Error: ", "motifocal: "))
    assert said.out == ""
    assert sorted(tmp_path.rglob("*")) == before


def test_a_real_process_ends_with_one_line_before_it_loads_anything_heavy(tmp_path: Path) -> None:
    (tmp_path / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\n" + b"0" * 50)
    program = (
        "import sys, atexit; from motifocal.cli import main;"
        "atexit.register(lambda: print('torch' in sys.modules)); main()"
    )
    ended = subprocess.run(
        [sys.executable, "-c", program, "animate", "broken.png", "it rises"],
        cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
    )  # fmt: skip
    assert ended.returncode == 1
    assert ended.stderr.startswith("motifocal: broken.png: ")
    assert ended.stderr.count("\n") == 1
    assert ended.stdout == "False\n"


def test_the_help_tells_the_defaults() -> None:
    shown = CliRunner().invoke(cli, ["animate", "--help"])
    assert shown.exit_code == 0
    text = " ".join(shown.output.split())
    for default in ("[default: what the model is made for]", "[default: this folder]",
                    "[default: the bundled model of the synthetic scenes]"):  # fmt: skip
        assert default in text


def sample(model: Path, jobs: Sequence[Job], batch: int = 1, **options: Any) -> np.ndarray:
    """The frames of all jobs, (N, F, H, W, 3)."""
    opened = open_model(str(model), Sampling(**options))
    batches = [jobs[start : start + batch] for start in range(0, len(jobs), batch)]
    made = [frames for group in batches for frames in opened.sample(group)]
    assert not any(isinstance(frames, str) for frames in made)
    return np.stack(made)  # type: ignore[arg-type]


def test_without_steps_the_models_own_are_taken(model: Path, picture: Path) -> None:
    jobs = [Job(picture, SENTENCES[0], 0, Path())]
    assert np.array_equal(sample(model, jobs), sample(model, jobs, steps=3))


def test_names_are_those_of_the_benchmark_and_fit_the_file_system() -> None:
    (short,), sheet = plan(Path("p/car 1.png"), ("A car's  LANE\n changes",), Path("o"), 0, 1)
    video = Path("o/car 1_a_cars_lane_changes_0.mp4")
    assert short == Job(Path("p/car 1.png"), "A car's LANE changes", 0, video)
    assert sheet is None
    (long,), _ = plan(Path("p.png"), ("\u00e9" * 400,), Path("o"), 0, 1)
    assert 100 < len(long.output.name.encode()) < 200


def test_the_number_made_at_once_does_not_change_the_videos(model: Path, picture: Path) -> None:
    jobs = [Job(picture, sentence, seed, Path()) for sentence in SENTENCES[:2] for seed in (0, 1)]
    together = sample(model, jobs, batch=3, steps=2).astype(int)
    alone = sample(model, jobs, steps=2).astype(int)
    assert np.abs(together - alone).max() <= 1
    assert np.abs(together[0] - together[2]).max() > 20  # another sentence, the same noise


def test_a_negative_prompt_leads_a_motifocal_model_elsewhere(model: Path, picture: Path) -> None:
    jobs = [Job(picture, SENTENCES[0], 0, Path())]
    plain = sample(model, jobs, steps=2)
    assert not np.array_equal(plain, sample(model, jobs, steps=2, negative_prompt=SENTENCES[1]))


def test_the_bundled_model_may_be_named(picture: Path) -> None:
    assert open_sampler("bundled", {"device": "cpu"}, 1).settings["model"] == "bundled"


def test_a_job_that_fails_spoils_no_other_of_its_batch(
    model: Path, picture: Path, tmp_path: Path
) -> None:
    opened = open_model(str(model), Sampling(steps=1))
    missing = Job(tmp_path / "none.png", "it rises", 0, Path())
    steps: list[int] = []
    jobs = [missing, Job(picture, "it rises", 0, Path())]
    reason, frames = opened.sample(jobs, lambda: steps.append(1))
    assert isinstance(reason, str)
    assert "none.png" in reason
    assert not isinstance(frames, str)
    assert frames.shape == (4, 32, 32, 3)
    assert len(steps) == 1
    assert next(opened.sample([missing])) == reason  # and no batch is sampled


@pytest.fixture(scope="module")
def pipeline(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_tiny("ltx", tmp_path_factory.mktemp("pipelines") / "ltx")


@pytest.fixture
def animate_alone(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Animate:
    """`motifocal animate` with no options of its own."""
    return command_line(monkeypatch, capsys, "animate")


SMALL = ("--size", "32x64", "--frames", "9", "--steps", "2")


def test_a_diffusers_pipeline_writes_the_same_kinds_of_files(
    animate_alone: Animate, pipeline: Path, picture: Path, tmp_path: Path
) -> None:
    out = tmp_path / "new" / "out"
    options = ["--model", pipeline, *SMALL, "--number", 2, "--seed", 5, "-o", out]
    ended = animate_alone(picture, SENTENCES[0], SENTENCES[1], *options)
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
    animate_alone: Animate, pipeline: Path, picture: Path, tmp_path: Path
) -> None:
    video = tmp_path / "video.mp4"
    options = ["--model", pipeline, *SMALL, "--seed", 7, "--scale", 1, "-o", video]
    assert animate_alone(picture, SENTENCES[0], *options).code == 0
    adapter = open_model(str(pipeline), Sampling(steps=2, frames=9, size=(32, 64)))
    adapter.animate([Job(picture, SENTENCES[0], 7, tmp_path / "other.mp4")])
    assert video.read_bytes() == (tmp_path / "other.mp4").read_bytes()


def test_a_diffusers_pipeline_writes_a_gif_at_the_scale_and_rate_asked_for(
    animate_alone: Animate, pipeline: Path, picture: Path, tmp_path: Path
) -> None:
    gif = tmp_path / "duck.gif"
    options = ["--model", pipeline, *SMALL, "--scale", 2, "--fps", 10, "-o", gif,
               "--negative-prompt", "blurred", "--guidance-rescale", "0.5"]  # fmt: skip
    assert animate_alone(picture, SENTENCES[0], *options).code == 0
    clip = read_video(gif)
    assert clip.frames.shape == (9, 64, 128, 3)
    assert clip.fps == pytest.approx(10)


PIPELINE_MISTAKES: dict[str, tuple[tuple[str, ...], str]] = {
    "a length": (("--model", "{pipeline}", "--frames", "8"), "nearest are 1 and 9, got 8"),
    "a size": (("--model", "{pipeline}", "--size", "40x64"), "nearest is 32x64, got 40x64"),
    "an offload": (("--model", "{pipeline}", "--offload", "model"), "none on the CPU, got model"),
    "its own offload": (("--model", "{model}", "--offload", "model"), "none on the CPU, got model"),
    "no folder": (("--model", "no-such-model"), "should be a model folder or a hub id"),
    "a template": (("--command", "infer --seed {{seed}}"), "command should name {image}"),
}


@pytest.mark.parametrize("mistake", PIPELINE_MISTAKES)
def test_what_a_model_cannot_do_is_one_line(
    mistake: str, animate_alone: Animate, pipeline: Path, model: Path, picture: Path, tmp_path: Path
) -> None:
    options, words = PIPELINE_MISTAKES[mistake]
    out = tmp_path / "out"
    given = [option.format(pipeline=pipeline, model=model) for option in options]
    ended = animate_alone(picture, "it rises", "-o", out, *given)
    assert ended.code == 1
    last = ended.err.splitlines()[-1]
    assert last.startswith("motifocal: ")
    assert words in last
    assert ended.out == ""
    assert not out.exists()


def test_a_hub_id_out_of_reach_is_one_line(
    animate_alone: Animate, picture: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import huggingface_hub

    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    ended = animate_alone(picture, "it rises", "--model", "nobody/none", "-o", tmp_path / "a.mp4")
    assert ended.code == 1
    assert ended.err.splitlines()[-1].startswith("motifocal: nobody/none is no folder here")


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
    animate_alone: Animate, template: str, picture: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    ended = animate_alone(picture, "it's \"here\"", "it fails", "--command", template, "-o", out,
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
    options: tuple[str, ...], words: str, animate_alone: Animate, template: str, picture: Path
) -> None:
    ended = animate_alone(picture, "it rises", "--command", template, *options)
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
    picture: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    jobs = [Job(picture, "it moves", seed, out / f"{seed}.mp4") for seed in range(5)]
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
    animate_alone: Animate, picture: Path, tmp_path: Path
) -> None:
    (height, width), frames = TINY["i2vgen-xl"]
    ended = animate_alone(picture, SENTENCES[0], "-o", tmp_path / "made.mp4", "--model",
                         save_tiny("i2vgen-xl", tmp_path / "i2vgen-xl"), "--size",
                         f"{height}x{width}", "--frames", frames, "--steps", 1, "--scale", 1,
                         "--device", "cpu")  # fmt: skip
    assert ended.code == 0, ended.err
    assert read_video(tmp_path / "made.mp4").frames.shape == (frames, height, width, 3)
