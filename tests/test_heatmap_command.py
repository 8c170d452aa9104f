"""`motifocal heatmap`: maps and overlays of good clips, a list of the bad ones."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result

from motifocal.cli import cli
from motifocal.heatmap import load_heatmap
from motifocal.scenes.render import render
from motifocal.scenes.stage import make_stage
from motifocal.video import read_video, write_video


@pytest.fixture
def clips(tmp_path: Path) -> Path:
    """Two drawn clips of the same name in two folders, and a file that is no video."""
    for number, folder in enumerate(("a", "b")):
        stage = make_stage("car", "eval", number)
        clip = render(stage, stage.actions[0], size=64, frames=6)
        (tmp_path / "clips" / folder).mkdir(parents=True)
        write_video(tmp_path / "clips" / folder / "car.mp4", clip.frames, 8.0)
    return tmp_path / "clips"


def run(*arguments: object) -> Result:
    return CliRunner().invoke(cli, ["heatmap", *map(str, arguments)])


def test_every_clip_gets_a_map_an_overlay_and_a_row_of_the_filmstrip(
    clips: Path, tmp_path: Path
) -> None:
    result = run(clips, "-o", tmp_path / "maps", "--overlay")
    assert result.exit_code == 0, result.output
    maps = sorted((tmp_path / "maps").glob("*_heatmap.npz"))
    assert len(maps) == 2
    for path in maps:
        heatmap, settings = load_heatmap(path)
        assert heatmap.shape == (6, 64, 64)
        assert 0 < (heatmap > 0.5).mean() < 0.5
        assert settings is not None
        assert len(read_video(path.with_name(path.stem + "_overlay.mp4")).frames) == 6
    assert (tmp_path / "maps" / "filmstrip.png").exists()


def test_a_second_run_leaves_the_maps_alone(clips: Path, tmp_path: Path) -> None:
    run(clips, "-o", tmp_path / "maps")
    before = {p: p.stat().st_mtime_ns for p in (tmp_path / "maps").glob("*.npz")}
    assert run(clips, "-o", tmp_path / "maps").exit_code == 0
    assert before == {p: p.stat().st_mtime_ns for p in (tmp_path / "maps").glob("*.npz")}


def test_a_bad_clip_is_named_and_the_others_are_done(clips: Path, tmp_path: Path) -> None:
    (clips / "broken.mp4").write_bytes(b"no video")
    result = run(clips, "-o", tmp_path / "maps")
    assert result.exit_code == 1
    assert "broken.mp4" in result.output
    assert "1 of 3 clips could not be used" in result.output
    assert len(list((tmp_path / "maps").glob("*.npz"))) == 2


def test_settings_change_the_map(clips: Path, tmp_path: Path) -> None:
    clip = clips / "a" / "car.mp4"
    assert run(clip, "-o", tmp_path / "cold", "--unit", "pixels", "--floor", "40").exit_code == 0
    cold, settings = load_heatmap(tmp_path / "cold" / "car_heatmap.npz")
    assert settings is not None
    assert (settings.unit, settings.floor) == ("pixels", 40)
    assert np.all(cold < 0.5)


def test_a_folder_without_clips_is_an_error_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    result = run(tmp_path / "empty", "-o", tmp_path / "maps")
    assert result.exit_code != 0
    assert not (tmp_path / "maps").exists()
