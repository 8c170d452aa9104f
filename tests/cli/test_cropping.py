"""What a size crops away of clips that lie across it is said once, before they are prepared."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from motifocal.cli import cli
from motifocal.cli.output.cropping import cropped_share, note_turned
from motifocal.data.captions import CaptionedVideo, read_captions
from motifocal.media.video import write_video


def clips_of(folder: Path, *shapes: tuple[int, int]) -> tuple[CaptionedVideo, ...]:
    """Captioned clips of three frames, (height, width) each."""
    folder.mkdir()
    for index, (height, width) in enumerate(shapes):
        noise = np.random.default_rng(index).integers(0, 256, (3, height, width, 3), np.uint8)
        write_video(folder / f"{index}.mp4", noise, 8)
        (folder / f"{index}.txt").write_text("it moves")
    return read_captions(folder).videos


def test_the_share_that_is_lost_is_that_of_the_area_outside_the_largest_crop() -> None:
    assert cropped_share((48, 83), (48, 83)) == 0
    assert cropped_share((100, 200), (50, 50)) == 0.5
    assert cropped_share((480, 832), (832, 480)) == pytest.approx(1 - (480 / 832) ** 2)


@pytest.mark.parametrize(("size", "shapes", "note"), [
    ((64, 32), [(32, 64)], "--size is height x width: 64x32 crops 75% of clips of 32x64; "
                           "--size 32x64 has their orientation"),
    ((32, 64), [(32, 64), (64, 32), (64, 32)], "crops 75% of clips of 64x32; --size 64x32"),
    ((32, 64), [(32, 64), (64, 32)], None),  # half of the clips
    ((64, 32), [(32, 32)], None),  # of no orientation
    ((32, 32), [(32, 96)], None),
    ((32, 96), [(32, 32)], None),
    ((36, 32), [(32, 36)], None),  # little is lost
])  # fmt: skip
def test_a_size_across_most_clips_is_told(
    size: tuple[int, int], shapes: list[tuple[int, int]], note: str | None, tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    note_turned(clips_of(tmp_path / "clips", *shapes), size)
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == (note is not None)
    assert all(note in line for line in lines if note is not None)


def test_clips_that_cannot_be_read_are_no_reason_to_stop(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    clips = clips_of(tmp_path / "clips", (32, 64), (32, 64))
    clips[0].path.write_bytes(b"no video")
    note_turned(clips, (64, 32))
    note_turned((), (64, 32))
    assert capsys.readouterr().err.count("note: ") == 1


def test_prepare_says_once_that_its_size_lies_across_the_clips(base: Path, tmp_path: Path) -> None:
    clips_of(tmp_path / "clips", (16, 48), (16, 48))
    words = ["prepare", tmp_path / "clips", "--model", base, "--frames", 3, "--windows", 2,
             "--workers", 0, "--device", "cpu", "--size"]  # fmt: skip
    across, along = (CliRunner().invoke(cli, [*map(str, words), size, "-o", str(tmp_path / size)])
                     for size in ("48x16", "16x48"))
    assert across.exit_code == along.exit_code == 0, across.output + along.output
    assert across.stderr.count("48x16 crops 89% of clips of 16x48; --size 16x48 has") == 1
    assert "crops" not in along.stderr
