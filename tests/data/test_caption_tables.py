"""Which file of a folder tells its captions, and which clips musubi-tuner's configuration names."""

from __future__ import annotations

from pathlib import Path

from caption_forms import write_jsonl

from motifocal.data.caption_formats import listed
from motifocal.data.captions import read_captions
from motifocal.inspection.entries import gather


def test_a_jsonl_that_names_no_captions_leaves_those_in_text_files(tmp_path: Path) -> None:
    (tmp_path / "one.mp4").write_bytes(b"")
    (tmp_path / "one.txt").write_text("it moves")
    write_jsonl(tmp_path / "log.jsonl", {"step": 1, "loss": 0.5}, {"step": 2, "loss": 0.4})
    assert [video.caption for video in read_captions(tmp_path).videos] == ["it moves"]
    # A table stays one, whatever its first line is.
    (tmp_path / "clips.jsonl").write_text('{"video_path": \n{"video_path": "one.mp4", '
                                          '"caption": "of the table"}\n')  # fmt: skip
    (damaged, row) = listed(tmp_path).rows
    assert damaged.damage
    assert row.caption == "of the table"


def test_a_configuration_of_musubi_tuner_takes_what_that_reads(tmp_path: Path) -> None:
    """Clips of the folder itself, not of folders in it and no GIFs, with captions of its ending."""
    folder = tmp_path / "clips"
    (folder / "deep").mkdir(parents=True)
    for name in ("a.mp4", "b.MOV", "c.gif", "._a.mp4", "deep/d.mp4"):
        (folder / name).write_bytes(b"")
        (folder / name).with_suffix(".txt").write_text("of another trainer")
        (folder / name).with_suffix(".caption").write_text(f"this is {name}\n")
    config = tmp_path / "dataset.toml"
    config.write_text(f"[general]\ncaption_extension = '.caption'\n[[datasets]]\n"
                      f"video_directory = '{folder}'\n")  # fmt: skip
    found = {video.name: video.caption for video in read_captions(config).videos}
    assert found == {"a.mp4": "this is a.mp4", "b.MOV": "this is b.MOV"}
    faults = {entry.name: [code for code, _ in entry.faults] for entry in gather(config).entries}
    assert faults == {"a.mp4": [], "b.MOV": [], "c.gif": ["not-listed"],
                      "deep/d.mp4": ["not-listed"]}  # fmt: skip
    (folder / "metadata.jsonl").write_text('{"file_name": "a.mp4", "text": "of the table"}\n')
    assert {video.name: video.caption for video in read_captions(config).videos} == found
