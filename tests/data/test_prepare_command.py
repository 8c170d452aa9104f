"""`motifocal prepare` writes shards, lists what it left out and names a wrong option."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
import tiny
import torch
from click.testing import CliRunner, Result

from motifocal.cli import cli
from motifocal.data.shards import Shards
from motifocal.data.sources import SceneClips
from motifocal.media.video import read_image, write_video
from motifocal.motion.heatmap import UNITS, HeatmapSettings


def run(*arguments: object) -> Result:
    return CliRunner().invoke(cli, ["prepare", *map(str, arguments)])


def scene_arguments(base: Path, output: Path) -> list[object]:
    return ["scenes", "-o", output, "--model", base, "--size", 16, "--frames", 3, "--clips", 5,
            "--clips-per-shard", 2, "--workers", 0]  # fmt: skip


def test_the_command_prepares_the_drawn_world_and_shows_its_maps(
    base: Path, tmp_path: Path
) -> None:
    result = run(*scene_arguments(base, tmp_path / "shards"))
    assert result.exit_code == 0, result.output
    assert result.stdout.split() == [str(tmp_path / "shards"), str(tmp_path / "shards/look.png")]
    assert "5 clips; moving fraction of a clip: mean" in result.stderr
    assert len(Shards(tmp_path / "shards")) == 5
    height, width, _ = read_image(tmp_path / "shards/look.png").shape
    assert height > 300
    assert width >= 480
    other = run(*scene_arguments(base, tmp_path / "shards"), "--seed", 3)
    assert isinstance(other.exception, ValueError)
    assert "says seed 0 (not 3)" in str(other.exception)


def test_the_command_prepares_a_folder_and_lists_what_it_left_out(
    base: Path, tmp_path: Path
) -> None:
    clips = tmp_path / "clips"
    clips.mkdir()
    for index, length in enumerate((8, 6, 2)):
        drawn = SceneClips(3, "train", 32, max(length, 2), 0)[index]
        write_video(clips / f"{index}.mp4", drawn.frames, 8)
        (clips / f"{index}.txt").write_text(drawn.caption)
    (clips / "3.mp4").write_bytes(b"no video")
    (clips / "3.txt").write_text("nothing")
    arguments = [clips, "-o", tmp_path / "shards", "--model", base, "--size", "16x24",
                 "--frames", 3, "--windows", 2, "--workers", 0]  # fmt: skip
    result = run(*arguments)
    assert result.exit_code == 0, result.output
    assert "left out, 2 clips" in result.stderr
    assert "2.mp4: holds 2 of 3 frames" in result.stderr
    rejected = (tmp_path / "shards/rejected.jsonl").read_text().splitlines()
    assert [json.loads(line)["name"] for line in rejected] == ["2.mp4", "3.mp4"]
    shards = Shards(tmp_path / "shards")
    assert (len(shards), shards.clip_size) == (4, (3, 16, 24))
    rates = {round(rate, 3) for rate in shards.batch([0, 1, 2, 3]).fps.tolist()}
    assert rates <= {8.0, 4.0, 2.667}
    before = Shards(tmp_path / "shards").batch([0, 1])
    stale = (clips / "0.mp4").stat()
    drawn = SceneClips(9, "train", 32, 8, 7)[4]
    write_video(tmp_path / "other.mp4", drawn.frames, 8)
    os.replace(tmp_path / "other.mp4", clips / "0.mp4")  # as many frames, the same name, ...
    os.utime(clips / "0.mp4", ns=(stale.st_atime_ns, stale.st_mtime_ns))  # ... the same date
    result = run(*arguments)
    assert result.exit_code == 0, result.output
    assert "shard-00000.safetensors: 2 of its 4 clips have changed: made anew" in result.stderr
    after = Shards(tmp_path / "shards").batch([0, 1])
    assert not torch.equal(after.latents[0], before.latents[0])
    assert torch.equal(after.latents[1], before.latents[1])
    (clips / "1.txt").write_text("another caption")
    assert isinstance(run(*arguments).exception, ValueError)


@pytest.mark.parametrize(
    ("option", "value", "named"),
    [("--size", "64by64", "--size"), ("--size", "16x24", "--size"), ("--size", "17", "multiples"),
     ("--unit", "metres", "--unit"),
     ("--model", "/nowhere", "--model"), ("--clips", "0", "--clips")],
)  # fmt: skip
def test_a_wrong_option_is_named(
    option: str, value: str, named: str, base: Path, tmp_path: Path
) -> None:
    result = run(*scene_arguments(base, tmp_path / "shards"), option, value)
    assert result.exit_code == 2
    assert named in result.stderr


def test_the_options_of_the_heatmap_are_those_of_the_library() -> None:
    (unit,) = (p for p in cli.get_command(None, "prepare").params if p.name == "unit")
    assert sorted(unit.type.choices) == sorted(UNITS)
    defaults = HeatmapSettings()
    for name in ("unit", "threshold", "floor"):
        assert f"[default: {getattr(defaults, name)}]" in " ".join(
            run("--help").stdout.split()
        )


@pytest.mark.parametrize("stride", [None, 0, "8", 8.0, True])
def test_a_manifest_without_a_stride_is_refused(tmp_path: Path, stride: object) -> None:
    tiny.tiny_shards(tmp_path, clips=2)
    path = tmp_path / "prepared.json"
    manifest = json.loads(path.read_text())
    manifest["geometry"]["stride"] = stride
    path.write_text(json.dumps(manifest))
    with pytest.raises(ValueError, match=r"prepared\.json should hold the geometry's stride"):
        Shards(tmp_path)
