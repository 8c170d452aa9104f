"""`motifocal export` run again: what is missing is made, and nothing else is touched."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from command_line import CommandLine
from export_options import latents, masks, rows_in
from file_stamps import stamps
from square_clips import FRAMES, SIDE, write_square_clip

from motifocal import cli
from motifocal.bridges import export_samples
from motifocal.data import clip_files
from motifocal.motion.heatmap import clip_heatmap
from motifocal.motion.heatmap_files import load_heatmap


@pytest.mark.parametrize("kind", [latents, masks])
def test_running_again_does_what_is_missing(
    kind: Callable[[], list[object]], export: CommandLine, folder: Path, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    output = tmp_path / "out"
    suffix = ".safetensors" if kind is latents else ".mp4"
    first = export(folder, "-o", output, *kind())
    before = stamps(output, suffix)
    assert len(before) == 2
    measured = counted(monkeypatch)
    again = export(folder, "-o", output, *kind())
    assert (again.out, measured) == (first.out, [])
    assert stamps(output, suffix) == before
    gone = next(iter(before))
    (output / gone).unlink()
    write_square_clip(folder / "c.mp4")
    assert export(folder, "-o", output, *kind()).code == 0
    after = stamps(output, suffix)
    kept = {name: stamp for name, stamp in before.items() if name != gone}
    assert kept.items() <= after.items()
    assert gone in after
    # c has the bytes of a, so with weights known by content there is nothing left to measure.
    assert len(measured) == (1 if kind is latents else 2)


def counted(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Grows with every clip whose motion is measured."""
    measured: list[int] = []

    def measure(*arguments: Any, **options: Any) -> Any:
        measured.append(1)
        return clip_heatmap(*arguments, **options)

    monkeypatch.setattr(clip_files, "clip_heatmap", measure)
    return measured


def test_a_clip_that_has_changed_is_measured_anew(
    export: CommandLine, folder: Path, tmp_path: Path
) -> None:
    export(folder, "-o", tmp_path / "m", *masks())
    before = stamps(tmp_path / "m", ".mp4")
    write_square_clip(folder / "a.mp4", np.full((FRAMES, SIDE, SIDE, 3), 60, np.uint8))
    assert export(folder, "-o", tmp_path / "m", *masks()).code == 0
    after = stamps(tmp_path / "m", ".mp4")
    assert after["masks/a.mp4"] != before["masks/a.mp4"]
    assert after["masks/deep/b.mp4"] == before["masks/deep/b.mp4"]
    mask, _ = load_heatmap(tmp_path / "m" / "masks" / "a.mp4")
    assert mask.max() < 0.51


@pytest.mark.parametrize("kind", [latents, masks])
def test_captions_that_were_added_or_changed_are_taken_without_measuring_anew(
    kind: Callable[[], list[object]], export: CommandLine, folder: Path, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    output = tmp_path / "out"
    clips = ("--with-clips",) if kind is masks else ()
    assert export(folder, "-o", output, *kind(), *clips).code == 0
    (folder / "a.txt").write_text("another caption")
    (folder / "deep" / "b.txt").write_text("a new one")
    measured = counted(monkeypatch)
    assert export(folder, "-o", output, *kind(), *clips).code == 0
    captions = ["another caption", "a new one"]
    table = output / ("masks.jsonl" if kind is masks else "weights.jsonl")
    assert [row["caption"] for row in rows_in(table)] == captions
    if kind is masks:
        beside = rows_in(output / "clips" / "metadata.jsonl")
        assert [row["text"] for row in beside] == captions
    assert measured == []


def test_nothing_is_lost_when_it_is_stopped(
    export: CommandLine, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    done: list[str] = []

    def stopping(job: Any, *rest: Any) -> Any:
        if done:
            raise KeyboardInterrupt
        done.append(job.clip.name)
        return real(job, *rest)

    real = export_samples.export_clip
    monkeypatch.setattr(export_samples, "export_clip", stopping)
    stopped = export(folder, "-o", tmp_path / "m", *masks(), "--workers", 1)
    assert (stopped.code, stopped.err.splitlines()[-1]) == (130, "stopped")
    assert [row["clip"] for row in rows_in(tmp_path / "m" / "masks.jsonl")] == done == ["a.mp4"]
    assert not list((tmp_path / "m").rglob("*.tmp"))
    before = stamps(tmp_path / "m", ".mp4")
    monkeypatch.undo()
    monkeypatch.setattr(
        sys, "argv", ["motifocal", "export", *map(str, [folder, "-o", tmp_path / "m", *masks()])]
    )
    cli.main()
    assert before.items() <= stamps(tmp_path / "m", ".mp4").items()
    assert len(rows_in(tmp_path / "m" / "masks.jsonl")) == 2


def test_half_files_of_a_kill_are_removed_beside_masks_and_clips(
    export: CommandLine, folder: Path, tmp_path: Path
) -> None:
    out = tmp_path / "m"
    assert export(folder, "-o", out, *masks(), "--with-clips").code == 0
    half = f".{'0' * 16}.tmp"
    for place in ("masks", "masks/deep", "clips", "clips/deep"):
        (out / place / half).write_bytes(b"half")
    assert export(folder, "-o", out, *masks(), "--with-clips").code == 0
    assert not list(out.rglob("*.tmp"))


def test_other_settings_are_refused_by_name(
    export: CommandLine, folder: Path, tmp_path: Path
) -> None:
    assert export(folder, "-o", tmp_path / "w", *latents()).code == 0
    ended = export(folder, "-o", tmp_path / "w", *latents(), "--floor", 0.3)
    assert ended.code == 1
    assert "says heatmap floor 0.15 (not 0.3); use the same settings" in ended.err


@pytest.mark.parametrize("kind", [latents, masks])
def test_a_folder_made_before_a_setting_was_there_is_gone_on_with(
    kind: Callable[[], list[object]], export: CommandLine, folder: Path, tmp_path: Path
) -> None:
    out, options = tmp_path / "w", (*kind(), "--evidence", "pixels")  # there was nothing else then
    assert export(folder, "-o", out, *options).code == 0
    before = stamps(out, ".safetensors", ".mp4")
    settings = json.loads((out / "export.json").read_text())
    assert settings.pop("heatmap evidence") == "pixels"
    (out / "export.json").write_text(json.dumps(settings))
    again = export(folder, "-o", out, *options)
    assert again.code == 0, again.err
    assert before
    assert stamps(out, ".safetensors", ".mp4") == before
    refused = export(folder, "-o", out, *kind())
    assert "heatmap evidence 'pixels' (not 'regions')" in refused.err


@pytest.mark.parametrize("kind", [latents, masks])
def test_clips_of_a_second_folder_do_not_take_the_place_of_the_first_s(
    kind: Callable[[], list[object]], export: CommandLine, folder: Path, tmp_path: Path
) -> None:
    out, other = tmp_path / "w", tmp_path / "other"
    write_square_clip(other / "a.mp4")
    assert export(folder, "-o", out, *kind()).code == 0
    table = out / ("masks.jsonl" if kind is masks else "weights.jsonl")
    before = table.read_text()
    refused = export(other, "-o", out, *kind())
    assert refused.code == 1
    assert f"says clips '{folder}' (not '{other}')" in refused.err
    assert table.read_text() == before


def test_weights_of_a_time_when_clips_were_not_noted_are_gone_on_with(
    export: CommandLine, folder: Path, tmp_path: Path
) -> None:
    out = tmp_path / "w"
    assert export(folder, "-o", out, *latents()).code == 0
    settings = json.loads((out / "export.json").read_text())
    del settings["clips"]
    (out / "export.json").write_text(json.dumps(settings))
    again = export(folder, "-o", out, *latents())
    assert again.code == 0, again.err
    assert json.loads((out / "export.json").read_text())["clips"] == str(folder)  # from now on


def test_a_clip_that_breaks_later_leaves_the_table(
    export: CommandLine, folder: Path, tmp_path: Path
) -> None:
    assert export(folder, "-o", tmp_path / "m", *masks()).code == 0
    (folder / "a.mp4").write_bytes(b"no video any more")
    assert export(folder, "-o", tmp_path / "m", *masks()).code == 1
    assert [row["clip"] for row in rows_in(tmp_path / "m" / "masks.jsonl")] == ["deep/b.mp4"]
    assert not (tmp_path / "m" / "masks" / "a.mp4").exists()


@pytest.mark.parametrize("kind", [latents, masks])
def test_a_clip_that_is_gone_leaves_what_a_trainer_reads(
    kind: Callable[[], list[object]], export: CommandLine, folder: Path, tmp_path: Path
) -> None:
    out, clips = tmp_path / "m", ("--with-clips",) if kind is masks else ()
    assert export(folder, "-o", out, *kind(), *clips).code == 0
    before = stamps(out, ".mp4")
    (folder / "a.mp4").unlink()
    part = export(folder, "-o", out, *kind(), *clips, "--shard", "1/2")
    assert (part.code, stamps(out, ".mp4")) == (0, before)  # a part does not know of the others
    ended = export(folder, "-o", out, *kind(), *clips)
    assert ended.code == 0, ended.err
    assert "1 no longer in CLIPS, taken out: a.mp4" in ended.err.splitlines()
    table = out / ("masks.jsonl" if kind is masks else "weights.jsonl")
    assert [row["clip"] for row in rows_in(table)] == ["deep/b.mp4"]
    kept = {name: stamp for name, stamp in before.items() if name.endswith("deep/b.mp4")}
    assert stamps(out, ".mp4") == kept
    assert "no longer" not in export(folder, "-o", out, *kind(), *clips).err


@pytest.mark.parametrize("elsewhere", ["../kept.mp4", "masks/../../kept.mp4", "/kept.mp4"])
def test_a_table_that_names_files_elsewhere_deletes_nothing(
    elsewhere: str, export: CommandLine, folder: Path, tmp_path: Path
) -> None:
    kept = tmp_path / "kept.mp4"
    kept.write_bytes(b"mine")
    elsewhere = str(kept) if elsewhere.startswith("/") else elsewhere
    export(folder, "-o", tmp_path / "m", *masks())
    table = tmp_path / "m" / "masks.jsonl"
    rows = [{**row, "file": elsewhere, "sha256": "0" * 64} for row in rows_in(table)]
    table.write_text("".join(json.dumps(row) + "\n" for row in rows))
    ended = export(folder, "-o", tmp_path / "m", *masks())
    assert (ended.code, kept.read_bytes()) == (1, b"mine")
    assert "should name a file below" in ended.err
