"""The demonstration makes what it prints, from pictures and a model at hand alone."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType

import pytest
from click.testing import CliRunner
from script_module import module_at
from tiny_model import tiny_folder

from motifocal.media.video import read_image, read_video
from motifocal.scenes.stage import make_stage


@pytest.fixture(scope="module")
def script() -> ModuleType:
    return module_at(Path(__file__).parents[2] / "scripts" / "demo.py")


def test_every_sentence_of_a_picture_is_animated_and_one_picture_shows_all(
    script: ModuleType, tmp_path: Path
) -> None:
    model, out = tiny_folder(tmp_path / "model"), tmp_path / "demo"
    arguments = ["balloons", "sun", "--model", str(model), "-o", str(out), "--steps", "1"]
    ended = CliRunner().invoke(script.demo, arguments)
    assert ended.exit_code == 0, ended.output
    paths = [Path(line) for line in ended.stdout.split()]
    *videos, grid, sheet = paths
    assert (grid.name, sheet.name) == ("all.gif", "all.png")
    stages = [make_stage(name, "eval", 1) for name in ("balloons", "sun")]
    assert len(videos) == sum(len(stage.actions) for stage in stages)
    assert videos[0].name.startswith("balloons1_the_")
    assert {read_video(path).frames.shape for path in videos} == {(4, 128, 128, 3)}
    assert len(read_video(grid).frames) == 4
    assert read_image(sheet).shape[0] > len(videos) * 112
    pictures = {"balloons1.png", "sun1.png"}
    assert {path.name for path in out.iterdir()} == {path.name for path in paths} | pictures
