"""A view for VBench that is made again, moved or forged: only its own files are touched."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from tiny_gallery import MakeResults
from viewed_results import HARD_PAIRS

from motifocal.bench.vbench import STATEMENT, export_vbench, validate_view


def snapshot(folder: Path) -> dict[str, object]:
    return {str(path.relative_to(folder)): os.readlink(path) if path.is_symlink()
            else path.read_bytes() for path in folder.rglob("*") if not path.is_dir()}


def test_running_again_makes_the_same_view_and_keeps_what_is_not_its_own(
    make_results: MakeResults, tmp_path: Path
) -> None:
    results, view = make_results(seeds=(0, 1)), tmp_path / "view"
    export_vbench(results, view)
    (view / "scores").mkdir()
    (view / "scores" / "a.json").write_text("{}")
    (view / "notes.txt").write_text("mine")
    before = snapshot(view)
    export_vbench(results, view)
    assert snapshot(view) == before
    # What is gone from the results goes from the view, what is back comes back.
    first = results.expected()[0].path
    kept = first.rename(tmp_path / "kept.mp4")
    export_vbench(results, view, allow_missing=True)
    assert set(before) - set(snapshot(view)) == {f"videos/{HARD_PAIRS[0].stem}-0.mp4"}
    kept.rename(first)
    export_vbench(results, view)
    assert snapshot(view) == before


def test_an_export_that_was_stopped_can_be_finished(
    make_results: MakeResults, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    results, view = make_results(), tmp_path / "view"
    done: list[Path] = []

    def stopping(source: Path, target: Path, link: str) -> None:
        if len(done) == 3:
            raise KeyboardInterrupt
        done.append(target)
        target.symlink_to(source)

    with monkeypatch.context() as patch:
        patch.setattr("motifocal.bench.vbench._place_file", stopping)
        with pytest.raises(KeyboardInterrupt):
            export_vbench(results, view)
    with pytest.raises(ValueError, match="is missing or a link to nothing"):
        validate_view(view)
    export_vbench(results, view)
    assert len(validate_view(view)) == len(HARD_PAIRS)


def test_files_of_others_are_neither_overwritten_nor_passed_on(
    make_results: MakeResults, tmp_path: Path
) -> None:
    results, view = make_results(), tmp_path / "view"
    (view / "videos").mkdir(parents=True)
    (view / "videos" / f"{HARD_PAIRS[0].stem}-0.mp4").write_text("mine")
    with pytest.raises(ValueError, match=r"swims_left-0\.mp4, which is not of this"):
        export_vbench(results, view)
    assert (view / "videos" / f"{HARD_PAIRS[0].stem}-0.mp4").read_text() == "mine"
    (view / "videos" / f"{HARD_PAIRS[0].stem}-0.mp4").rename(view / "videos" / "stranger.mp4")
    with pytest.raises(ValueError, match=r"videos/stranger\.mp4 is not of this view.*no image"):
        export_vbench(results, view)
    with pytest.raises(ValueError, match="another folder than the results'"):
        export_vbench(results, results.folder)


def test_a_view_is_of_one_model(make_results: MakeResults, tmp_path: Path) -> None:
    export_vbench(make_results(), tmp_path / "view")
    with pytest.raises(ValueError, match="says model 'Mine' \\(not 'Other'\\)"):
        export_vbench(make_results(folder="more", model="Other"), tmp_path / "view")


@pytest.mark.parametrize(
    "name",
    ["../precious.txt", "videos/../../precious.txt", "/precious.txt", "videos/..", "videos/"],
)
def test_a_forged_statement_removes_nothing_elsewhere(
    make_results: MakeResults, tmp_path: Path, name: str
) -> None:
    (tmp_path / "precious.txt").write_text("keep")
    results = make_results()
    export_vbench(results, tmp_path / "view")
    statement = tmp_path / "view" / STATEMENT
    held = json.loads(statement.read_text())
    statement.write_text(json.dumps({**held, "files": [name]}))
    with pytest.raises(ValueError, match="should list files of the view"):
        export_vbench(results, tmp_path / "view")
    assert (tmp_path / "precious.txt").read_text() == "keep"
    statement.write_text("{")
    with pytest.raises(ValueError, match="as motifocal bench vbench writes it"):
        export_vbench(results, tmp_path / "view")


@pytest.mark.parametrize("link", ["symlink", "copy"])
def test_videos_are_linked_or_copied(make_results: MakeResults, tmp_path: Path, link: str) -> None:
    results, view = make_results(), tmp_path / "view"
    export_vbench(results, view)
    export_vbench(results, view, link=link)
    video, source = view / "videos" / f"{HARD_PAIRS[2].stem}-0.mp4", results.expected()[2].path
    assert video.read_bytes() == source.read_bytes()
    assert video.is_symlink() == (link == "symlink")
    assert os.path.samefile(video, source) == (link != "copy")
    assert [name for name in os.listdir(view / "videos") if name[0] == "."] == []


def test_results_and_view_can_be_moved_together(make_results: MakeResults, tmp_path: Path) -> None:
    (tmp_path / "all").mkdir()
    export_vbench(make_results(folder="all/results"), tmp_path / "all" / "view")
    (tmp_path / "all").rename(tmp_path / "moved")
    assert len(validate_view(tmp_path / "moved" / "view")) == len(HARD_PAIRS)
