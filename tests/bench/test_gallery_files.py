"""The files of a gallery: linked or copied, written again, and nobody else's touched."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from tiny_gallery import MakeResults
from written_gallery import BALLOON, DUCK, PAIRS, bytes_of, write


def test_the_same_results_give_the_same_bytes_linked_copied_or_written_again(
    make_compared: MakeResults, tmp_path: Path
) -> None:
    both = [make_compared("a"), make_compared("b")]
    write(both, tmp_path / "linked")
    write(both, tmp_path / "copied", link=False)
    once = bytes_of(tmp_path / "linked")
    assert once == bytes_of(tmp_path / "copied")
    write(both, tmp_path / "linked")
    assert bytes_of(tmp_path / "linked") == once


def test_links_take_no_room_and_copies_are_files_of_their_own(
    make_compared: MakeResults, tmp_path: Path
) -> None:
    results, name = make_compared("a"), f"videos/a/{DUCK.file(0)}"
    source = results.expected()[1].path
    write([results], tmp_path / "out")
    assert (tmp_path / "out" / name).samefile(source)
    write([results], tmp_path / "out", link=False)
    assert not (tmp_path / "out" / name).samefile(source)
    write([results], tmp_path / "out")
    assert (tmp_path / "out" / name).samefile(source)


def test_where_the_file_system_has_no_links_there_are_copies(
    make_compared: MakeResults, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    results = make_compared("a")

    def refused(source: Path, target: Path) -> None:
        raise PermissionError(source)

    monkeypatch.setattr(os, "link", refused)
    write([results], tmp_path / "out")
    placed = tmp_path / "out" / "videos" / "a" / DUCK.file(0)
    assert placed.read_bytes() == results.expected()[1].path.read_bytes()
    assert not placed.samefile(results.expected()[1].path)


def test_writing_again_brings_the_folder_up_to_date_and_leaves_what_is_not_its_own(
    make_compared: MakeResults, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    write([make_compared("a"), make_compared("b")], out)
    (out / "CNAME").write_text("example.org")
    (out / "videos" / "a" / "notes.txt").write_text("mine")
    write([make_compared("b", folder="again", pairs=PAIRS[:2])], out)
    assert (out / "CNAME").read_text() == "example.org"
    left = {path.relative_to(out).as_posix() for path in out.rglob("*.*") if path.is_file()}
    assert {name for name in left if name.startswith("videos/")} == {
        "videos/a/notes.txt", f"videos/b/{BALLOON.file(0)}", f"videos/b/{DUCK.file(0)}"}
    assert not (out / "pictures" / "fish1.png").exists()


def test_a_folder_that_is_no_gallery_is_left_alone(
    make_compared: MakeResults, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    out.mkdir()
    (out / "thesis.tex").write_text("years of work")
    with pytest.raises(ValueError, match="should be empty or a gallery"):
        write([make_compared("a")], out)
    assert bytes_of(out) == {"thesis.tex": b"years of work"}


def test_a_file_of_somebody_else_is_never_replaced(
    make_compared: MakeResults, tmp_path: Path
) -> None:
    out, first = tmp_path / "out", make_compared("a")
    write([first], out)
    (out / "videos" / "b").mkdir()
    (out / "videos" / "b" / DUCK.file(0)).write_text("mine")
    before = bytes_of(out)
    with pytest.raises(ValueError, match="not the gallery's own"):
        write([first, make_compared("b")], out)
    assert bytes_of(out) == before


@pytest.mark.parametrize("name", ["../kept.txt", "/etc/hostname", "a/../../kept.txt", "..", 7])
def test_a_list_of_files_that_leads_elsewhere_is_refused(
    make_compared: MakeResults, tmp_path: Path, name: object
) -> None:
    (tmp_path / "kept.txt").write_text("kept")
    write([make_compared("a")], tmp_path / "out")
    listed = {"kind": "motifocal gallery", "files": [name]}
    (tmp_path / "out" / "gallery.json").write_text(json.dumps(listed))
    with pytest.raises(ValueError, match="files of its own folder"):
        write([make_compared("b")], tmp_path / "out")
    assert (tmp_path / "kept.txt").exists()


def test_nothing_is_removed_behind_a_link_that_leads_out_of_the_folder(
    make_compared: MakeResults, tmp_path: Path
) -> None:
    out, elsewhere = tmp_path / "out", tmp_path / "elsewhere"
    write([make_compared("a"), make_compared("b")], out)
    (out / "videos" / "b").rename(elsewhere)
    (out / "videos" / "b").symlink_to(elsewhere)
    write([make_compared("a", folder="again")], out)
    assert len(list(elsewhere.iterdir())) == len(PAIRS)
