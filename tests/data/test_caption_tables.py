"""Which file of a folder tells its captions, and which clips musubi-tuner's configuration names."""

from __future__ import annotations

from pathlib import Path

from caption_forms import write_jsonl

from motifocal.data.caption_formats import listed
from motifocal.data.captions import read_captions


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
