"""`motifocal export`: bad clips are listed, captions and tables read, and its help is true."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path
from typing import Any

import click
import pytest
import torch
from command_line import CommandLine, command_line
from export_options import latents, masks, rows_in
from made_videos import with_clock_jump
from square_clips import square_clip, write_square_clip

from motifocal.bridges.export_table import read_table
from motifocal.cli import export as command
from motifocal.cli.options import frames as frame_options
from motifocal.data.selection import RULES
from motifocal.data.trainer_rules import TRAINERS
from motifocal.loss.latent_grid import FAMILIES
from motifocal.media.video import write_video


def test_bad_clips_are_listed_and_the_others_done(
    export: CommandLine, folder: Path, tmp_path: Path
) -> None:
    (folder / "broken.mp4").write_bytes(b"no video at all")
    write_square_clip(folder / "short.mp4", square_clip(7))
    ended = export(folder, "-o", tmp_path / "w", *latents())
    assert ended.code == 1
    assert "left out, 2 of 4 clips:" in ended.err
    assert "broken.mp4: cannot be opened" in ended.err
    assert "short.mp4: too short, it has 7 frames at 16 frames/s" in ended.err
    assert ended.err.splitlines()[-1] == "Error: 2 of 4 clips could not be exported"
    assert len(rows_in(tmp_path / "w" / "weights.jsonl")) == 2


@pytest.mark.parametrize("command", ["export", "heatmap"])
def test_closed_folders_and_links_that_lead_nowhere_are_listed(
    command: str, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    closed, scandir = folder / "closed", os.scandir
    closed.mkdir()
    (folder / "nowhere.mp4").symlink_to(tmp_path / "gone.mp4")

    def refusing(path: Any = ".") -> Any:  # root may enter any folder
        if os.fspath(path) == str(closed):
            raise PermissionError(13, "Permission denied", str(closed))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refusing)
    run = command_line(monkeypatch, capsys, command)
    ended = run(folder, "-o", tmp_path / "w", *(latents() if command == "export" else ()))
    assert ended.code == 1
    assert "left out, 2 of 4 clips:" in ended.err
    assert "closed: a folder that cannot be looked into (Permission denied)" in ended.err
    assert "nowhere.mp4: a link that leads nowhere" in ended.err
    written = {path.suffix for path in (tmp_path / "w").rglob("*")}
    assert written & {".safetensors", ".npz"}


def test_a_clip_whose_clock_jumps_is_listed_and_the_others_done(
    export: CommandLine, folder: Path, tmp_path: Path
) -> None:
    with_clock_jump(folder / "jump.mkv", square_clip(24))
    ended = export(folder, "-o", tmp_path / "w", *latents(), "--fps", "16")
    assert ended.code == 1
    assert "left out, 1 of 3 clips:" in ended.err
    assert "jump.mkv: its times jump: frame 11 would be repeated for 1,690," in ended.err


def test_a_table_with_a_missing_video_lists_it(
    export: CommandLine, folder: Path, tmp_path: Path
) -> None:
    table = folder / "metadata.jsonl"
    names = ["a.mp4", "gone.mp4", "../outside.mp4"]
    table.write_text("".join(json.dumps({"file_name": n, "text": "x"}) + "\n" for n in names))
    ended = export(table, "-o", tmp_path / "w", *latents())
    assert ended.code == 1
    assert "gone.mp4: no such file" in ended.err
    assert "../outside.mp4: should be a relative path inside the folder" in ended.err
    assert [row["clip"] for row in rows_in(tmp_path / "w" / "weights.jsonl")] == ["a.mp4"]


def test_two_clips_of_one_name_are_refused(
    export: CommandLine, folder: Path, tmp_path: Path
) -> None:
    write_video(folder / "A.gif", square_clip(), 16)
    ended = export(folder, "-o", tmp_path / "m", *masks())
    assert ended.code == 1
    assert "would have masks of one name" in ended.err


def test_the_choices_are_those_of_the_library() -> None:
    assert set(frame_options.FAMILIES) == set(FAMILIES)
    assert set(frame_options.TRAINERS) == set(TRAINERS)
    assert set(frame_options.EXTRACTIONS) <= set(RULES)


def test_help_shows_examples_that_the_command_takes() -> None:
    context = click.Context(command.export)
    for example in (command.export.epilog or "").replace("\\\n", " ").split("motifocal export")[1:]:
        words = example.split()
        parsed = command.export.make_context("export", ["/", *words[1:]])
        assert parsed.params["frames"]
    assert "--as" in command.export.get_help(context)


def test_the_pages_python_runs_as_it_stands(
    export: CommandLine, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every block of docs/bridges.md up to the trainers' sections, one after the other."""
    page = (Path(__file__).parents[2] / "docs" / "bridges.md").read_text(encoding="utf-8")
    blocks = re.findall(r"^```python\n(.*?)^```", page.split("\n## musubi")[0], re.S | re.M)
    assert len(blocks) == 4
    # The page's clip is long and large; this one is what a test can afford.
    for theirs, ours in {'"head", 81': '"head", 25', "480, 832": "128, 128"}.items():
        assert sum(theirs in block for block in blocks) == 1
        blocks = [block.replace(theirs, ours) for block in blocks]
    assert export(folder, "-o", tmp_path / "weights", *latents(), "--fps", 16).code == 0
    monkeypatch.chdir(tmp_path)
    prediction = torch.zeros(1, 48, 7, 8, 8, requires_grad=True)
    names: dict[str, Any] = {
        "frames": square_clip(), "clip": folder / "a.mp4", "prediction": prediction,
        "target": torch.ones(1, 48, 7, 8, 8), "sigma": torch.tensor([0.5]),
    }  # fmt: skip
    for block in blocks:
        exec(block, names)
    assert prediction.grad is not None
    assert names["weights"].shape == (1, 1, 7, 16, 16)
    assert float(names["loss"].diffusion.detach()) == pytest.approx(5.0)


def test_captions_may_hold_any_line_end(
    export: CommandLine, folder: Path, tmp_path: Path
) -> None:
    table = folder / "metadata.jsonl"
    text = "one\u2028two\x85three"
    table.write_text(json.dumps({"file_name": "a.mp4", "text": text}) + "\n")
    for _ in range(2):
        assert export(folder, "-o", tmp_path / "w", *latents()).code == 0
    (line,) = (tmp_path / "w" / "weights.jsonl").read_text().removesuffix("\n").split("\n")
    assert json.loads(line)["caption"] == text


def test_a_damaged_table_is_named_with_its_line(tmp_path: Path) -> None:
    (tmp_path / "masks.jsonl").write_text('{"clip": \n')
    with pytest.raises(ValueError, match=r"masks\.jsonl, line 1 should be JSON"):
        read_table(tmp_path / "masks.jsonl")
