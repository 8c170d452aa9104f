"""`motifocal animate`: which files it writes, and what it says."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from command_line import CommandLine, Ended
from PIL import Image, ImageSequence
from tiny_model import SENTENCES

from motifocal.cli import cli
from motifocal.generate.domain import Domain, write_domain
from motifocal.media.video import read_image, read_video, write_image


def test_one_sentence_makes_one_video_at_the_path_asked_for(
    animate: CommandLine, duck: Path, tmp_path: Path
) -> None:
    video = tmp_path / "new" / "duck.mp4"
    ended = animate(duck, SENTENCES[0], "-o", video)
    assert ended.code == 0
    assert ended.out.split() == [str(video)]
    clip = read_video(video)
    assert clip.frames.shape == (4, 256, 256, 3)  # 32 pixels enlarged to at least 256
    assert clip.fps == 8
    assert sorted(p.name for p in video.parent.iterdir()) == ["duck.mp4"]


def test_several_sentences_and_seeds_make_videos_and_one_sheet(
    animate: CommandLine, duck: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    options = ["--number", 2, "--seed", 5, "--scale", 1, "-o", out]
    ended = animate(duck, "The RED balloon, rises!", SENTENCES[0], *options)
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
    animate: CommandLine, duck: Path, tmp_path: Path
) -> None:
    gif = tmp_path / "duck.gif"
    options = ["--fps", "10", "--frames", "3", "--size", "16x24", "--scale", "2", "--guidance", "1"]
    ended = animate(duck, SENTENCES[0], "-o", gif, *options)
    assert ended.code == 0
    clip = read_video(gif)
    assert clip.frames.shape == (3, 32, 48, 3)
    assert clip.fps == pytest.approx(10)


def test_each_phase_is_told_as_it_begins_and_how_long_it_took(
    animate: CommandLine, duck: Path, tmp_path: Path
) -> None:
    ended = animate(duck, SENTENCES[0], "-o", tmp_path / "duck.mp4", "--device", "cpu")
    lines = [re.sub(r"\d+(\.\d)? s$", "TIME", line) for line in ended.err.splitlines()]
    assert lines == [
        "loading the model ...", "loading the model: TIME",
        "animating 1 video: steps: 0 of 2", "animating 1 video: steps: 2 of 2, TIME",
    ]  # fmt: skip


def test_quiet_leaves_nothing_on_stderr(animate: CommandLine, duck: Path, tmp_path: Path) -> None:
    ended = animate(duck, SENTENCES[0], "-o", tmp_path / "duck.mp4", "--quiet")
    assert ended == Ended(0, f"{tmp_path / 'duck.mp4'}\n", "")


def test_an_existing_file_is_kept_unless_told_otherwise(
    animate: CommandLine, duck: Path, tmp_path: Path
) -> None:
    video = tmp_path / "duck.mp4"
    video.write_bytes(b"mine")
    ended = animate(duck, SENTENCES[0], "-o", video)
    assert ended.code == 2
    assert "--overwrite" in ended.err
    assert video.read_bytes() == b"mine"
    assert animate(duck, SENTENCES[0], "-o", video, "--overwrite").code == 0
    assert read_video(video).frames.shape[0] == 4


def test_one_existing_file_stops_all_before_anything_is_made(
    animate: CommandLine, duck: Path, tmp_path: Path
) -> None:
    taken = tmp_path / "out" / "my_duck_nothing_moves_0.mp4"
    taken.parent.mkdir()
    taken.write_bytes(b"mine")
    ended = animate(duck, SENTENCES[0], SENTENCES[2], "-o", taken.parent)
    assert ended.code == 2
    assert taken.name in ended.err
    assert [p.name for p in taken.parent.iterdir()] == [taken.name]


def test_a_kind_note_names_unknown_words_and_the_video_is_made(
    animate: CommandLine, duck: Path, tmp_path: Path
) -> None:
    ended = animate(duck, "the dragon rises", "-o", tmp_path / "duck.mp4")
    assert ended.code == 0
    (note,) = [line for line in ended.err.splitlines() if line.startswith("note: ")]
    assert note.endswith("it has never read: dragon")
    assert (tmp_path / "duck.mp4").exists()


def test_a_kind_note_tells_of_an_unlike_picture(
    animate: CommandLine, model: Path, duck: Path, tmp_path: Path
) -> None:
    before = (model / "familiar.json").read_text()
    write_domain(model, Domain(frozenset(" ".join(SENTENCES).split()), least_psnr=99.0))
    try:
        ended = animate(duck, SENTENCES[0], "-o", tmp_path / "duck.mp4")
    finally:
        (model / "familiar.json").write_text(before)
    assert ended.code == 0
    (note,) = [line for line in ended.err.splitlines() if line.startswith("note: ")]
    assert note == (
        "note: this image is not of the synthetic scenes that the model was trained on; the "
        "result may be nonsense"
    )


@pytest.mark.parametrize(
    ("height", "width", "lost"),
    [(80, 40, "50% of it, at its top and bottom,"), (40, 53, "25% of it, at its left and right,"),
     (40, 42, None), (40, 40, None)],
)  # fmt: skip
def test_a_picture_that_is_cropped_says_how_much_and_where(
    height: int, width: int, lost: str | None, animate: CommandLine, tmp_path: Path
) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)
    write_image(tmp_path / "shape.png", pixels)
    ended = animate(tmp_path / "shape.png", SENTENCES[0], "-o", tmp_path / "shape.mp4")
    assert ended.code == 0
    found = [line for line in ended.err.splitlines() if "cropped" in line]
    assert len(found) == (lost is not None)
    assert all(lost in line for line in found if lost is not None)


def test_a_gif_plays_at_the_rate_of_the_model(
    animate: CommandLine, duck: Path, tmp_path: Path
) -> None:
    gif = tmp_path / "duck.gif"
    assert animate(duck, SENTENCES[0], "-o", gif, "--fps", 8, "--frames", 8).code == 0
    with Image.open(gif) as image:
        delays = [frame.info["duration"] for frame in ImageSequence.Iterator(image)]
    # GIF counts hundredths of a second: an eighth of one is 12 and 13 in turn.
    assert sum(delays) == 1000
    assert set(delays) == {120, 130}


def test_a_model_that_keeps_nothing_gives_no_notes(
    animate: CommandLine, model: Path, duck: Path, tmp_path: Path
) -> None:
    kept = model / "familiar.json"
    before = kept.read_text()
    kept.unlink()
    try:
        ended = animate(duck, "a dragon", "-o", tmp_path / "duck.mp4")
    finally:
        kept.write_text(before)
    assert ended.code == 0
    assert "note" not in ended.err


def test_the_help_tells_the_defaults() -> None:
    shown = CliRunner().invoke(cli, ["animate", "--help"])
    assert shown.exit_code == 0
    text = " ".join(shown.output.split())
    for default in ("[default: the model's own]", "[default: this folder]",
                    "[default: the bundled model of the synthetic scenes]"):  # fmt: skip
        assert default in text
