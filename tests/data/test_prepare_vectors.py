"""`prepare --source vectors` leaves out the clips whose codec has no motion vectors."""

from __future__ import annotations

import json
from pathlib import Path

from click.testing import CliRunner, Result
from made_videos import encode

from motifocal.cli import cli
from motifocal.data.shards import Shards
from motifocal.data.sources import SceneClips


def prepare(clips: Path, base: Path, output: Path) -> Result:
    arguments = (clips, "-o", output, "--model", base, "--size", "16x24", "--frames", 3,
                 "--source", "vectors", "--workers", 0)  # fmt: skip
    return CliRunner().invoke(cli, ["prepare", *map(str, arguments)])


def test_prepare_lists_what_has_no_vectors_and_prepares_the_others(
    base: Path, tmp_path: Path
) -> None:
    clips, output = tmp_path / "clips", tmp_path / "shards"
    clips.mkdir()
    frames = SceneClips(1, "train", 32, 6, 0)[0].frames
    whole = encode(clips / "a.mkv", frames, name="ffv1")
    none = encode(clips / "b.webm", frames, name="libvpx-vp9")
    for name in "abc":
        (clips / f"{name}.txt").write_text(name)
    result = prepare(clips, base, output)
    assert isinstance(result.exception, ValueError)
    assert "should hold usable clips, got none" in str(result.exception)
    assert "b.webm: FFmpeg gives no motion vectors of its codec, vp9" in result.stderr
    encode(clips / "c.mp4", frames)
    result = prepare(clips, base, output)
    assert result.exit_code == 0, result.output
    rejected = map(json.loads, (output / "rejected.jsonl").read_text().splitlines())
    reasons = {clip["name"]: clip["reason"] for clip in rejected}
    assert list(reasons) == [whole.name, none.name]
    assert reasons[whole.name].startswith("its codec, ffv1, stores every frame whole")
    assert len(Shards(output)) == 1
