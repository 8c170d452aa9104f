"""Finished videos are taken in as results: copied or encoded, and what is wrong is named."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from tiny_bench import FPS, take, textured

from motifocal.bench.check import check
from motifocal.bench.ingest import FITS, find_videos, ingest, stretch, with_videos
from motifocal.bench.pairs import read_benchmark, subset_of
from motifocal.bench.results import Results, manifest_lines, open_results
from motifocal.cli import cli
from motifocal.media.video import read_video, write_video


def test_finished_videos_are_copied_byte_for_byte_and_others_encoded(
    bench: Path, finished: Path, tmp_path: Path
) -> None:
    results = take(bench, finished, tmp_path / "out")
    assert results.missing() == []
    assert results.seeds == (3,)
    for video in results.expected():
        source = next(finished.rglob(f"{video.path.stem}.*"))
        if source.suffix == ".mp4":
            assert source.read_bytes() == video.path.read_bytes()
        clip, original = read_video(video.path), read_video(source)
        assert (clip.fps, clip.frames.shape) == (original.fps, original.frames.shape)
        # 4:2:0 halves the colours' resolution; what is left is the brightness.
        difference = clip.frames.mean(axis=-1) - original.frames.mean(axis=-1)
        assert np.abs(difference).mean() < 6
    assert check(results) == []
    lines = list(manifest_lines(results.folder))
    assert {line["status"] for line in lines} == {"ingested"}
    assert len(lines) == 5


def test_taking_in_again_adds_what_was_missing(bench: Path, finished: Path, tmp_path: Path) -> None:
    late = finished / "ball_1_b_the_ball_rises_3.mp4"
    late = late if late.exists() else finished / "more" / late.name
    shutil.move(late, tmp_path / late.name)
    results = take(bench, finished, tmp_path / "out")
    assert [video.path.name for video in results.missing()] == [late.name]
    shutil.move(tmp_path / late.name, late)
    assert take(bench, finished, tmp_path / "out").missing() == []
    assert len(list(manifest_lines(results.folder))) == 5


def test_other_files_never_pass_for_those_that_were_taken_in(
    bench: Path, finished: Path, tmp_path: Path
) -> None:
    take(bench, finished, tmp_path / "out")
    before = {path: path.read_bytes() for path in (tmp_path / "out").rglob("*") if path.is_file()}
    later = finished / "kite_its_still_3.mp4"
    write_video(later, read_video(later).frames[::-1], FPS)
    with pytest.raises(ValueError, match=r"kite_its_still_3\.mp4; choose another folder"):
        take(bench, finished, tmp_path / "out")
    after = {path: path.read_bytes() for path in (tmp_path / "out").rglob("*") if path.is_file()}
    assert after == before
    later.unlink()  # what is no longer there is compared with nothing
    assert take(bench, finished, tmp_path / "out").missing() == []


def test_only_pairs_with_a_video_are_taken_when_asked_for(
    bench: Path, finished: Path, tmp_path: Path
) -> None:
    (finished / "kite_its_still_3.mp4").unlink()
    results = take(bench, finished, tmp_path / "out", partial=True)
    assert results.missing() == []
    held = open_results(tmp_path / "out").benchmark
    assert held.mark == "SUBSET: 4 of 5 pairs of bench (those with a video)"


def test_two_files_for_one_video_are_refused(bench: Path, finished: Path) -> None:
    shutil.copy(finished / "kite_its_still_3.mp4", finished / "more" / "KITE_its_still_3.mp4")
    pairs = read_benchmark(bench, own_pairs=True).pairs
    with pytest.raises(ValueError, match=r"kite_its_still_3\.mp4 should be one file"):
        find_videos(finished, pairs)


def test_a_damaged_video_is_named_and_all_others_are_taken_in(
    bench: Path, finished: Path, tmp_path: Path
) -> None:
    damaged = finished / "kite_its_still_3.mp4"
    whole = damaged.read_bytes()
    damaged.write_bytes(whole[:400])
    arguments = ["bench", "ingest", str(finished), "--bench", str(bench), "--own-pairs",
                 "--name", "theirs", "-o", str(tmp_path / "out")]  # fmt: skip
    ended = CliRunner().invoke(cli, arguments)
    assert ended.exit_code == 1
    assert f"left out: {damaged}: " in ended.stderr
    expected = read_benchmark(bench, own_pairs=True).pairs
    assert f"{len(expected) - 1} of {len(expected)} videos of theirs" in ended.stderr
    taken = {path.name for path in (tmp_path / "out/videos").iterdir()}
    assert taken == {pair.file(3) for pair in expected} - {damaged.name}
    damaged.write_bytes(whole)
    assert CliRunner().invoke(cli, arguments).exit_code == 0
    assert (tmp_path / "out/videos" / damaged.name).read_bytes() == whole


def test_the_image_is_kept_as_the_model_brought_it_to_size(tmp_path: Path) -> None:
    picture = np.zeros((40, 80, 3), np.uint8)
    picture[:, :20] = 255  # a white edge that a square crop loses
    assert FITS["crop"](picture, 20, 20).max() == 0
    stretched = stretch(picture, 20, 20)
    assert (stretched[:, :5] == 255).all()
    assert (stretched[:, 5:] == 0).all()


def test_the_command_takes_in_a_folder_and_refuses_strangers(
    bench: Path, finished: Path, tmp_path: Path
) -> None:
    write_video(finished / "who_knows_0.mp4", np.stack([textured(1)] * 3), FPS)
    arguments = ["bench", "ingest", str(finished), "--bench", str(bench), "--own-pairs",
                 "--name", "Theirs", "-o", str(tmp_path / "out")]  # fmt: skip
    refused = CliRunner().invoke(cli, arguments)
    assert isinstance(refused.exception, ValueError)
    assert "who_knows_0.mp4; --skip-unknown" in str(refused.exception)
    assert not (tmp_path / "out").exists()
    done = CliRunner().invoke(cli, [*arguments, "--skip-unknown"])
    assert done.exit_code == 0, done.output
    assert done.stdout.strip() == str(tmp_path / "out")
    assert open_results(tmp_path / "out").model == "Theirs"


def test_the_command_names_partial_before_it_takes_in_a_folder_with_gaps(
    bench: Path, finished: Path, tmp_path: Path
) -> None:
    (finished / "kite_its_still_3.mp4").unlink()
    arguments = ["bench", "ingest", str(finished), "--bench", str(bench), "--own-pairs",
                 "--name", "Theirs", "-o", str(tmp_path / "out")]  # fmt: skip
    done = CliRunner().invoke(cli, arguments)
    assert done.exit_code == 0
    notes = done.stderr.splitlines()
    assert notes[1].startswith("note: 1 of 5 videos are missing, the first: kite_its_still_3.mp4.")
    assert "use --partial with a new folder" in notes[1]
    assert notes[-1] == "4 of 5 videos of Theirs"
    refused = CliRunner().invoke(cli, [*arguments, "--partial"])
    assert str(refused.exception) == (
        f"{tmp_path / 'out'} was begun with 5 pairs, these are 4: 1 no longer there "
        "(kite_its_still); choose the same pairs or another folder"
    )
    part = CliRunner().invoke(cli, [*arguments[:-1], str(tmp_path / "part"), "--partial"])
    assert "missing" not in part.stderr


@pytest.mark.slow
def test_four_published_models_are_taken_in_and_all_is_well(shared: Path, tmp_path: Path) -> None:
    benchmark = subset_of(read_benchmark(shared / "ti2v-clips"), "with-image")
    counts = {}
    for name in ("cinemo", "cond_leak", "dynamicrafter", "motif"):
        folder = shared / "ti2v-clips/videos" / name
        found = find_videos(folder, benchmark.pairs)
        part = with_videos(benchmark, found)
        results = Results(tmp_path / folder.name, folder.name, {}, part, found.seeds(), None)
        counts[folder.name] = sum(1 for _ in ingest(results, found))
        assert check(results) == [], folder.name
    assert counts == dict.fromkeys(counts, 26)
