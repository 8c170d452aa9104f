"""`motifocal animate`: which files it writes, what it says, and one line for every mistake."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
from click.testing import CliRunner
from tiny_model import SENTENCES, tiny_folder

from motifocal.cli import cli, main
from motifocal.commands.animate import Wanted, load, plan, sample
from motifocal.familiar import Familiar, write_familiar
from motifocal.video import read_image, read_video, write_image

QUICK = ("--steps", "2")


class Ended(NamedTuple):
    code: int
    out: str
    err: str


Animate = Callable[..., Ended]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tiny_folder(tmp_path_factory.mktemp("models") / "tiny")
    words = " ".join(SENTENCES).split()
    write_familiar(folder, Familiar(frozenset(words), least_psnr=-99.0))
    return folder


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    pixels = np.random.default_rng(0).integers(0, 256, (40, 56, 3), dtype=np.uint8)
    write_image(tmp_path / "my_duck.png", pixels)
    return tmp_path / "my_duck.png"


@pytest.fixture
def animate(
    model: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Animate:
    """Runs the command line in this process; a traceback would fail the test."""

    def run(*arguments: object) -> Ended:
        words = ["motifocal", "animate", *map(str, arguments)]
        monkeypatch.setattr(sys, "argv", [*words, "--model", str(model), *QUICK])
        code = 0
        try:
            main()
        except SystemExit as end:
            code = int(end.code or 0)
        return Ended(code, *capsys.readouterr())

    return run


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


def test_the_time_of_each_phase_is_told(animate: Animate, picture: Path, tmp_path: Path) -> None:
    ended = animate(picture, SENTENCES[0], "-o", tmp_path / "duck.mp4")
    assert [line.split(":")[0] for line in ended.err.splitlines()] == ["load", "sample", "write"]


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
    write_familiar(model, Familiar(frozenset(" ".join(SENTENCES).split()), least_psnr=99.0))
    try:
        ended = animate(picture, SENTENCES[0], "-o", tmp_path / "duck.mp4")
    finally:
        (model / "familiar.json").write_text(before)
    assert ended.code == 0
    assert ended.err.startswith("note: this picture is unlike those the model has seen")


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


MISTAKES: dict[str, tuple[tuple[str, ...], int, str]] = {
    "no such picture": (("missing.png", "nothing moves"), 2, "'missing.png' does not exist"),
    "no picture": (("{text}", "nothing moves"), 1, "not a picture in a known format"),
    "a folder": (("{folder}", "nothing moves"), 2, "is a directory"),
    "no sentence": (("{picture}",), 2, "Missing argument 'SENTENCE...'"),
    "a blank sentence": (("{picture}", " "), 2, "should hold words"),
    "a sentence twice": (("{picture}", "it rises", "It rises."), 2, "should differ"),
    "a negative seed": (("{picture}", "it rises", "--seed", "-1"), 2, "--seed"),
    "a seed in words": (("{picture}", "it rises", "--seed", "one"), 2, "--seed"),
    "no steps": (("{picture}", "it rises", "--steps", "0", "--"), 2, "--steps"),
    "an odd size": (("{picture}", "it rises", "--size", "30x32"), 2, "multiples of 8, got 30x32"),
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
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])},
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
                    "[default: the bundled model of the drawn world]"):  # fmt: skip
        assert default in text


def test_without_steps_the_models_own_are_taken(model: Path) -> None:
    pipeline = load(model, "float32", "cpu")
    pixels = np.zeros((32, 32, 3), np.uint8)
    options = {"frames": None, "fps": None, "guidance": None, "guidance_rescale": 0.0}
    wanted = [Wanted(SENTENCES[0], 0, Path())]
    own = sample(pipeline, pixels, wanted, 1, {**options, "steps": None})
    three = sample(pipeline, pixels, wanted, 1, {**options, "steps": 3})
    assert np.array_equal(own[0], three[0])


def test_names_are_those_of_the_benchmark_and_fit_the_file_system() -> None:
    (short,), sheet = plan(Path("p/car 1.png"), ("A car's  LANE\n changes",), Path("o"), 0, 1)
    assert short == Wanted("A car's LANE changes", 0, Path("o/car 1_a_cars_lane_changes_0.mp4"))
    assert sheet is None
    (long,), _ = plan(Path("p.png"), ("\u00e9" * 400,), Path("o"), 0, 1)
    assert 100 < len(long.path.name.encode()) < 200


def test_the_number_made_at_once_does_not_change_the_videos(model: Path) -> None:
    pipeline = load(model, "float32", "cpu")
    pixels = np.random.default_rng(1).integers(0, 256, (32, 32, 3), dtype=np.uint8)
    wanted = [Wanted(sentence, seed, Path()) for sentence in SENTENCES[:2] for seed in (0, 1)]
    options = {"frames": None, "fps": None, "steps": 2, "guidance": 7.5, "guidance_rescale": 0.0}
    together = np.stack(sample(pipeline, pixels, wanted, 3, options)).astype(int)
    alone = np.stack(sample(pipeline, pixels, wanted, 1, options)).astype(int)
    assert np.abs(together - alone).max() <= 1
    assert np.abs(together[0] - together[2]).max() > 20  # another sentence, the same noise
