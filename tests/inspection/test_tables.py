"""Tables of clips: what their columns hold, say and select; clips that cannot be used in them."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner, Result
from doctor_clips import moving, pan, save, still

from motifocal.cli.export import export
from motifocal.cli.heatmap import heatmap
from motifocal.cli.inspect import inspect
from motifocal.files.parquet import Column, write_rows
from motifocal.inspection.checks.speeds import Motion, measure_motion
from motifocal.inspection.decode_pass import Pair
from motifocal.inspection.table import COLUMNS, Between

FPS = 8


def run(command: Any, *arguments: object) -> Result:
    return CliRunner().invoke(command, [str(argument) for argument in arguments])


def measured(frames: np.ndarray) -> Motion:
    pairs = [Pair(frames[k : k + 2], (k, k + 1), 1 / FPS) for k in range(0, len(frames) - 1, 2)]
    motion = measure_motion(pairs, ())
    assert motion is not None
    return motion


def test_the_motion_of_a_camera_is_in_the_flow_and_not_in_what_moves_itself() -> None:
    """3 pixels right and 1 down a frame, of a shorter side of 80, 8 frames a second."""
    speed = 100 * np.hypot(3, 1) / 80 * FPS
    motion = measured(pan(1))
    assert motion.flow_mean == pytest.approx(speed, rel=0.1)
    assert motion.flow_p95 == pytest.approx(speed, rel=0.2)
    assert motion.own_mean < 0.1 * speed


def test_what_moves_itself_counts_by_its_area_and_its_speed() -> None:
    """A square of 24 x 24 pixels goes 3 a frame in a picture of 80 x 112."""
    motion = measured(moving(2))
    assert motion.own_mean == pytest.approx(24 * 24 / (80 * 112) * 100 * 3 / 80 * FPS, rel=0.5)
    assert motion.own_mean <= motion.flow_mean + 0.5
    at_rest = measured(still(3))
    assert (at_rest.flow_mean, at_rest.own_mean, at_rest.own_p95) == (0, 0, 0)


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("clips")
    for number in range(4):
        save(folder / f"{number}.mp4", moving(number, frames=6, speed=1.0 + 2 * number))
    (folder / "broken.mp4").write_bytes(b"no video")
    return folder


INSPECT = ("--frames", 5, "--size", "48x64", "--fail-on", "never", "-q")


@pytest.mark.slow
def test_the_table_of_inspect_says_what_each_column_holds_and_selects_by_percentiles(
    clips: Path, tmp_path: Path
) -> None:
    parquet = pytest.importorskip("pyarrow.parquet")
    result = run(inspect, clips, "-o", tmp_path, *INSPECT, "--table", "parquet",
                 "--between", "own_mean:40-100")  # fmt: skip
    assert result.exit_code == 0, result.output
    table = parquet.read_table(tmp_path / "clips.parquet")
    for column in COLUMNS:
        metadata = table.schema.field(column.name).metadata
        assert metadata[b"description"].decode() == column.definition
        assert metadata[b"unit"].decode() == column.unit
    rows = {row["name"]: row for row in table.to_pylist()}
    report = json.loads((tmp_path / "inspect.json").read_text())
    for clip in report["clips"]:
        row = rows[clip["name"]]
        assert row["moving_fraction"] == clip["moving_fraction"]
        assert row["faults"] == [fault["code"] for fault in clip["faults"]]
    assert rows["broken.mp4"]["level"] == "error"
    assert "cannot be opened" in rows["broken.mp4"]["reason"]
    speeds = [rows[f"{number}.mp4"]["own_mean"] for number in range(4)]
    assert speeds == sorted(speeds)
    assert [name for name in sorted(rows) if rows[name]["selected"]] == ["2.mp4", "3.mp4"]
    about = json.loads(table.schema.metadata[b"motifocal"])
    (threshold,) = about["between"]
    assert threshold["values"] == pytest.approx(np.percentile(speeds, [40, 100]))


@pytest.mark.slow
def test_json_lines_have_the_same_rows_and_need_no_second_look(
    clips: Path, tmp_path: Path
) -> None:
    pytest.importorskip("pyarrow")
    for kind in ("parquet", "jsonl"):
        assert run(inspect, clips, "-o", tmp_path, *INSPECT, "--table", kind).exit_code == 0
    lines = (tmp_path / "clips.jsonl").read_text().splitlines()
    from pyarrow import parquet

    assert [json.loads(line) for line in lines] == parquet.read_table(
        tmp_path / "clips.parquet").to_pylist()
    assert len((tmp_path / "findings.jsonl").read_text().splitlines()) == 5


def test_a_part_of_inspect_refuses_the_table_of_the_whole(clips: Path, tmp_path: Path) -> None:
    result = run(inspect, clips, "-o", tmp_path / "out", "--shard", "1/2", "--table", "jsonl")
    assert result.exit_code == 2
    assert "--table goes without --shard" in result.output
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("between", ["own_mean", "own_mean:50-20", "faults:1-2", "own_mean:5-101"])
def test_percentiles_that_are_none_are_refused(between: str, clips: Path) -> None:
    result = run(inspect, clips, "--table", "jsonl", "--between", between)
    assert result.exit_code == 2
    assert "--between" in result.output


def test_clips_with_errors_do_not_move_the_percentiles() -> None:
    rows = [{"level": "good", "fps": float(rate)} for rate in (10, 20, 30)]
    rows.append({"level": "error", "fps": 900.0})
    assert Between("fps", 0, 100).values(rows) == (10.0, 30.0)
    assert Between("fps", 0, 100).values(rows[3:]) is None


def test_kept_errors_are_rows_with_a_reason_and_no_exit_code(clips: Path, tmp_path: Path) -> None:
    options = ("--table", "jsonl", "-q")
    assert run(heatmap, clips, "-o", tmp_path / "h", *options).exit_code == 1
    assert run(heatmap, clips, "-o", tmp_path / "h", *options, "--errors", "keep").exit_code == 0
    rows = [json.loads(line) for line in (tmp_path / "h" / "clips.jsonl").read_text().splitlines()]
    reasons = {Path(row["clip"]).name: row["reason"] for row in rows}
    assert "cannot be opened" in reasons.pop("broken.mp4")
    assert set(reasons.values()) == {None}
    wanted = ("--as", "latents", "--family", "wan", "--size", "48x64", "--frames", 5)
    result = run(export, clips, "-o", tmp_path / "e", *wanted, *options, "--errors", "keep")
    assert result.exit_code == 0, result.output
    lines = (tmp_path / "e" / "weights.samples.jsonl").read_text().splitlines()
    last = json.loads(lines[-1])
    assert (last["clip"], last["file"]) == ("broken.mp4", None)
    assert "cannot be opened" in last["reason"]
    assert len(lines) == 5


def test_parts_of_export_write_tables_that_the_whole_does_not_take_for_its_own(
    clips: Path, tmp_path: Path
) -> None:
    options = ("--as", "latents", "--family", "wan", "--size", "48x64", "--frames", 5, "-q",
               "--table", "jsonl", "--errors", "keep")  # fmt: skip
    for part in ("1/2", "2/2", "1/1"):
        result = run(export, clips, "-o", tmp_path / "e", *options, "--shard", part)
        assert result.exit_code == 0, result.output
    parts = [path.read_text().splitlines() for path in (tmp_path / "e").glob("*.samples-*-of-2.*")]
    whole = (tmp_path / "e" / "weights.samples.jsonl").read_text().splitlines()
    assert len(parts) == 2
    assert sorted(line for part in parts for line in part) == sorted(whole)


def test_a_table_appears_whole_or_not_at_all(tmp_path: Path) -> None:
    columns = (Column("a", "int64", "", "A number."),)
    path = tmp_path / "t.jsonl"
    write_rows(path, columns, [{"a": 1, "b": 2}, {}], {})
    assert path.read_text() == '{"a": 1}\n{"a": null}\n'
    with pytest.raises(ValueError, match="JSON compliant"):
        write_rows(path, columns, [{"a": float("nan")}], {})
    assert path.read_text() == '{"a": 1}\n{"a": null}\n'
    assert list(tmp_path.iterdir()) == [path]


def table_rows(path: Path) -> list[dict[str, Any]]:
    if path.suffix == ".jsonl":
        return [json.loads(line) for line in path.read_text().splitlines()]
    parquet = pytest.importorskip("pyarrow.parquet")
    rows: list[dict[str, Any]] = parquet.read_table(path).to_pylist()
    return rows


@pytest.mark.parametrize("kind", ["parquet", "jsonl"])
def test_a_name_that_is_not_utf8_is_a_fault_and_a_row_with_a_reason(
    kind: str, tmp_path: Path
) -> None:
    save(tmp_path / "clips/a.mp4", moving(1, frames=6))
    save(tmp_path / "clips" / os.fsdecode(b"b\xe9.mp4"), moving(2, frames=6))
    looked = run(inspect, tmp_path / "clips", "-o", tmp_path / "i", "--frames", 5,
                 "--size", "48x64", "--table", kind)  # fmt: skip
    assert looked.exit_code == 1
    rows = {row["name"]: row for row in table_rows(tmp_path / f"i/clips.{kind}")}
    assert "name-not-utf8" in rows["b\\udce9.mp4"]["faults"]
    assert "name-not-utf8" not in rows["a.mp4"]["faults"]
    exported = run(export, tmp_path / "clips", "-o", tmp_path / "w", "--as", "latents", "--family",
                   "wan", "--frames", 5, "--size", "48x64", "--table", kind)  # fmt: skip
    assert exported.exit_code == 1
    reasons = {row["clip"]: row["reason"]
               for row in table_rows(tmp_path / f"w/weights.samples.{kind}")}  # fmt: skip
    assert reasons == {"a.mp4": None, "b\\udce9.mp4": "its name is not UTF-8, rename it"}
