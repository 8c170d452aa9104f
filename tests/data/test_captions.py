"""Captions in the forms that trainers read."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import pytest
from caption_forms import (
    FORMS,
    WANTED,
    as_csv,
    as_diffsynth,
    as_musubi,
    as_musubi_toml,
    as_text_beside,
    as_videofolder,
    write_jsonl,
)
from hypothesis import given, settings
from hypothesis import strategies as st

from motifocal.data.caption_formats import listed
from motifocal.data.captions import (
    LONE_SURROGATE,
    NOT_UTF8,
    place_of,
    read_captions,
    read_clips,
)
from motifocal.inspection.entries import gather


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Files with the names of videos; captions do not care what is in them."""
    (tmp_path / "b").mkdir()
    for name, _ in WANTED:
        (tmp_path / name).write_bytes(b"video")
    return tmp_path


@pytest.mark.parametrize("form", [*FORMS, as_musubi_toml])
def test_every_form_gives_the_same_pairs(form, folder: Path) -> None:
    found = read_captions(form(folder))
    assert found.format == FORMS.get(form, found.format)
    assert [(video.name, video.caption) for video in found.videos] == WANTED
    assert [video.path for video in found.videos] == [folder / name for name, _ in WANTED]
    assert found.rejected == ()


def test_what_cannot_be_used_is_listed_with_its_reason(folder: Path) -> None:
    write_jsonl(
        folder / "metadata.jsonl",
        {"file_name": "one.mp4", "text": "first"},
        {"file_name": "gone.mp4", "text": "x"},
        {"file_name": "b/two.mp4", "text": "  "},
        {"file_name": "./one.mp4", "text": "again"},
        {"file_name": "../secret.mp4", "text": "x"},
        {"file_name": str(folder / "one.mp4"), "text": "x"},
        {"file_name": "b/../../secret.mp4", "text": "x"},
        {"file_name": "b/two.mp4", "text": ["x", "y"]},
        {"file_name": None, "text": "x"},
        {"file_name": "a\0b.mp4", "text": "x"},
        {"file_name": "b", "text": "a folder"},
    )
    found = read_captions(folder)
    assert [(video.name, video.caption) for video in found.videos] == [("one.mp4", "first")]
    outside = "should be a relative path inside the folder"
    assert [r.reason for r in found.rejected] == [
        "no such file", "has no caption", "is named twice; the first counts", outside, outside,
        outside, "caption should be text, got list", outside, outside, "is no file",
    ]  # fmt: skip


def test_what_no_table_or_tokenizer_can_take_is_listed(folder: Path) -> None:
    """JavaScript cuts text inside an emoji; files from old disks have names that are not UTF-8."""
    write_jsonl(folder / "metadata.jsonl", {"file_name": "one.mp4", "text": "a dog \ud83d"},
                {"file_name": "b/two.mp4", "text": "a dog \U0001f415"})
    found = read_captions(folder)
    assert [video.caption for video in found.videos] == ["a dog \U0001f415"]
    assert [(r.name, r.reason) for r in found.rejected] == [("one.mp4", LONE_SURROGATE)]
    cut = next(entry for entry in gather(folder).entries if entry.name == "one.mp4")
    assert cut.faults == [("no-caption", f"the {LONE_SURROGATE}")]

    (folder / "metadata.jsonl").unlink()
    odd = folder / os.fsdecode(b"a\xff.mp4")
    for video in (odd, folder / "one.mp4"):
        video.write_bytes(b"video")
        video.with_suffix(".txt").write_text("the sun rises")
    for found in (read_captions(folder), read_clips(folder, folder / "out")):
        assert (odd.name, NOT_UTF8) in [(r.name, r.reason) for r in found.rejected]
        assert odd not in [video.path for video in found.videos]


def test_a_video_without_a_text_beside_it_is_listed(folder: Path) -> None:
    (folder / "one.txt").write_text("the sun rises")
    found = read_captions(folder)
    assert [video.name for video in found.videos] == ["one.mp4"]
    assert [(r.name, r.reason) for r in found.rejected] == [("b/two.mp4", "has no caption")]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"file_name": "one.mp4", "text": "x"}\n{oops\n', "line 2 should be JSON"),
        ('["one.mp4", "x"]\n', "line 1 should be a JSON object"),
        ('{"name": "one.mp4", "text": "x"}\n', "line 1 should have one of .*file_name"),
        ('{"file_name": "one.mp4", "words": "x"}\n', "line 1 should have one of .*caption"),
        ('{"file_name": "gone.mp4", "text": "x"}\n', "got none; gone.mp4: no such file"),
        ("", r"should hold captioned videos \(.mp4, .*a.mp4 beside a.txt, got none"),
    ],
)
def test_a_damaged_table_is_refused_with_its_line(text: str, message: str, folder: Path) -> None:
    (folder / "metadata.jsonl").write_text(text)
    with pytest.raises(ValueError, match=message):
        read_captions(folder)


def test_a_csv_row_with_too_many_columns_is_refused(folder: Path) -> None:
    (folder / "metadata.csv").write_text("file_name,text\none.mp4,red, green and blue\n")
    with pytest.raises(ValueError, match=r"line 2: too many columns"):
        read_captions(folder)


def test_a_table_in_another_encoding_is_refused(folder: Path) -> None:
    (folder / "metadata.csv").write_bytes("file_name,text\none.mp4,caf\u00e9\n".encode("latin-1"))
    with pytest.raises(ValueError, match=r"metadata.csv should be UTF-8"):
        read_captions(folder)


def test_a_text_that_may_not_be_read_is_one_rows_damage(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    as_text_beside(folder)
    read = Path.read_bytes

    def refusing(path: Path) -> bytes:
        if path.name == "one.txt":
            raise PermissionError(13, "Permission denied", str(path))
        return read(path)

    monkeypatch.setattr(Path, "read_bytes", refusing)
    damage = {row.place: row.damage for row in listed(folder).rows}
    assert damage.pop("one.mp4") == f"{folder / 'one.txt'} cannot be read (Permission denied)"
    assert set(damage.values()) == {None}


@pytest.mark.parametrize("form", [as_musubi, as_diffsynth])
def test_a_hidden_table_is_none(form, folder: Path) -> None:
    """macOS leaves "._clips.jsonl" beside "clips.jsonl" on other disks."""
    form(folder)
    (table,) = (path for path in folder.iterdir() if path.suffix in {".csv", ".jsonl"})
    (folder / f"._{table.name}").write_bytes(table.read_bytes())
    assert len(read_captions(folder).videos) == 2


def test_two_tables_are_refused_unless_one_is_named(folder: Path) -> None:
    as_csv(as_videofolder(folder))
    with pytest.raises(ValueError, match="should hold one table"):
        read_captions(folder)
    assert len(read_captions(folder / "metadata.csv").videos) == 2


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="gone: no such file or folder"):
        read_captions(tmp_path / "gone")


def test_an_absolute_path_has_to_lead_into_the_folder(folder: Path, tmp_path: Path) -> None:
    inside = {"video_path": str(folder / "one.mp4"), "caption": "x"}
    outside = {"video_path": "/etc/passwd", "caption": "x"}
    around = {"video_path": str(folder / ".." / "secret.mp4"), "caption": "x"}
    found = read_captions(write_jsonl(folder / "a.jsonl", inside, outside, around))
    assert [video.name for video in found.videos] == ["one.mp4"]
    assert len(found.rejected) == 2


def test_paths_may_count_from_where_musubi_is_started(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(folder.parent)
    row = {"video_path": f"{folder.name}/one.mp4", "caption": "x"}
    found = read_captions(write_jsonl(folder / "a.jsonl", row))
    assert [video.name for video in found.videos] == ["one.mp4"]


@pytest.mark.parametrize(("videos", "prompts", "message"), [
    ("one.mp4\n", "a\nb\n", "line 2: 1 lines against 2 of prompt.txt"),
    ("one.mp4\nb/two.mp4\n", "a\n", "line 2: 2 lines against 1 of prompt.txt"),
])  # fmt: skip
def test_two_lists_have_to_be_of_one_length(
    videos: str, prompts: str, message: str, folder: Path
) -> None:
    (folder / "videos.txt").write_text(videos)
    (folder / "prompt.txt").write_text(prompts)
    with pytest.raises(ValueError, match=message):
        read_captions(folder)


def test_two_lists_have_the_lines_that_files_have(folder: Path) -> None:
    (folder / "videos.txt").write_text("one.mp4\r\nb/two.mp4\n")
    (folder / "prompt.txt").write_text("up\u2028down\nleft\x0bright", encoding="utf-8")
    captions = [(video.name, video.caption) for video in read_captions(folder).videos]
    assert captions == [("one.mp4", "up\u2028down"), ("b/two.mp4", "left\x0bright")]


@pytest.mark.parametrize(("name", "text", "message"), [
    ("a.json", "[", "should be JSON"), ("a.json", "[" * 100_000, "should be JSON"),
    ("a.json", '{"video": "x"}', "should be a list of objects, got dict"),
    ("a.json", '["x"]', "entry 1 should be a JSON object"),
    ("a.csv", 'file_name,text\none.mp4,"x\0"\ntwo\n', "got none|should be CSV|no such file"),
    ("a.txt", "x", r"should be a folder or a table of captions"),
])  # fmt: skip
def test_a_damaged_table_of_any_kind_is_refused(
    name: str, text: str, message: str, folder: Path
) -> None:
    (folder / "one.mp4").unlink()
    (folder / name).write_text(text)
    with pytest.raises(ValueError, match=message):
        read_captions(folder / name)


@pytest.mark.parametrize("text", [
    "oops", "[[datasets]]\nimage_directory = 'x'\n", "datasets = 3\n",
    "[[datasets]]\nvideo_directory = 'a'\n[[datasets]]\nvideo_directory = 'b'\n",
    "[[datasets]]\nvideo_directory = 'a.toml'\n",
])  # fmt: skip
def test_a_configuration_has_to_name_one_folder(text: str, folder: Path) -> None:
    (folder / "a.toml").write_text(text)
    with pytest.raises(ValueError, match=r"a\.toml"):
        read_captions(folder / "a.toml")


@given(st.binary(max_size=300), st.sampled_from(["a.jsonl", "a.json", "a.csv", "videos.txt"]))
@settings(max_examples=150, deadline=None)
def test_any_bytes_are_rows_or_damage_and_never_a_crash(content: bytes, name: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "prompt.txt").write_bytes(content[::-1])
        (Path(folder) / name).write_bytes(content)
        for row in listed(Path(folder) / name).rows:
            assert row.damage is None or str(row.place).startswith(folder)
            place_of(row, Path(folder))


def test_rows_after_a_damaged_one_are_still_there(folder: Path) -> None:
    text = b"file_name,text\none.mp4,caf\xe9\nb/two.mp4,fine\none.mp4,a,b\nthree.mp4,x\n"
    (folder / "metadata.csv").write_bytes(text)
    rows = listed(folder).rows
    assert [(row.name, bool(row.damage)) for row in rows] == [
        (None, True), ("b/two.mp4", False), (None, True), ("three.mp4", False),
    ]  # fmt: skip


COMPOSED, DECOMPOSED = "caf\u00e9/gar\u00e7on.mp4", "cafe\u0301/garc\u0327on.mp4"


@pytest.mark.parametrize(("written", "stored"), [(COMPOSED, DECOMPOSED), (DECOMPOSED, COMPOSED)])
def test_a_name_is_found_in_the_other_spelling_of_its_letters(
    tmp_path: Path, written: str, stored: str
) -> None:
    path = tmp_path / stored
    path.parent.mkdir()
    path.write_bytes(b"video")
    write_jsonl(tmp_path / "metadata.jsonl", *({"file_name": n, "text": "it moves"}
                for n in (written, stored, "gone.mp4")))  # fmt: skip
    found = read_captions(tmp_path)
    assert [(video.name, video.path) for video in found.videos] == [(stored, path)]
    reasons = {one.name: one.reason for one in found.rejected}
    assert reasons == {stored: "is named twice; the first counts", "gone.mp4": "no such file"}
    entries = gather(tmp_path).entries
    assert [(entry.name, entry.path) for entry in entries] == [(stored, path), ("gone.mp4", None)]


def test_of_two_files_that_differ_in_spelling_only_each_is_itself(tmp_path: Path) -> None:
    names = ("\u00e9.mp4", "e\u0301.mp4")
    for name in names:
        (tmp_path / name).write_bytes(name.encode())
    write_jsonl(tmp_path / "metadata.jsonl", *({"file_name": n, "text": n} for n in names))
    assert tuple(video.name for video in read_captions(tmp_path).videos) == names


def test_a_text_beside_is_found_in_the_other_spelling(tmp_path: Path) -> None:
    (tmp_path / "e\u0301.mp4").write_bytes(b"video")
    (tmp_path / "\u00e9.txt").write_text("it moves")
    (video,) = read_captions(tmp_path).videos
    assert video.caption == "it moves"
