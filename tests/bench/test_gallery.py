"""The gallery's folder: complete, the same every time, safe to publish, and nobody else's."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import av
import numpy as np
import pytest
from click.testing import CliRunner
from tiny_gallery import HOSTILE, HOSTILE_MODEL, SIZE, drawn_video, results_of

from motifocal.bench.gallery.page import PAGE, compare_results, write_gallery
from motifocal.bench.pairs import Pair
from motifocal.bench.results import Results
from motifocal.cli.bench.gallery import gallery as command
from motifocal.media.video import read_video

BALLOON, DUCK, FISH = (Pair("balloon", "balloon_1", "the balloon rises"),
                       Pair("duck", "duck1", "the duck swims"), Pair("fish", "fish1", "it turns"))
PAIRS = (BALLOON, DUCK, FISH)

Make = Callable[..., Results]


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    return drawn_video(tmp_path / "clip.mp4", frames=3)


@pytest.fixture
def make(tmp_path: Path, clip: Path) -> Make:
    """Results by the model's name, complete unless told otherwise."""

    def made(model: str, pairs: tuple[Pair, ...] = PAIRS, **options: Any) -> Results:
        video = options.pop("video", lambda pair, seed: clip)
        folder = options.pop("folder", f"results-{model}")
        return results_of(tmp_path / folder, model, pairs, video, **options)

    return made


def write(results: list[Results], folder: Path, **options: Any) -> dict[str, Any]:
    """Write a gallery and read back the data of its page."""
    link = options.pop("link", True)
    list(write_gallery(compare_results(results, **options), folder, link=link))
    return data_of(folder)


def data_of(folder: Path) -> dict[str, Any]:
    text = (folder / "data.js").read_text(encoding="ascii")
    found = re.fullmatch(r'"use strict";\nconst GALLERY = (.*);\n', text, re.DOTALL)
    assert found is not None
    data = json.loads(found[1])
    assert isinstance(data, dict)
    return data


def bytes_of(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes()
            for path in folder.rglob("*") if path.is_file()}


def test_every_pair_shows_every_model_in_order(make: Make, tmp_path: Path) -> None:
    data = write([make("zebra"), make("ant")], tmp_path / "out")
    assert [model["name"] for model in data["models"]] == ["zebra", "ant"]
    assert [pair["prompt"] for pair in data["pairs"]] == [pair.prompt for pair in PAIRS]
    for pair in data["pairs"]:
        assert (tmp_path / "out" / pair["picture"]).read_bytes().startswith(b"\x89PNG")
        (cells,) = pair["videos"]
        assert [cell["address"].split("/")[1] for cell in cells] == ["zebra", "ant"]
        assert all((tmp_path / "out" / cell["address"]).stat().st_size > 0 for cell in cells)
    assert (data["videos"], data["lacking"], data["marks"]) == (6, 0, [])
    assert data["counts"] == {"scenarios": 3, "images": 3, "prompts": 3, "pairs": 3}
    assert data["models"][0] | {"name": ""} == {
        "name": "", "lacking": 0, "width": SIZE, "height": SIZE, "fps": 8.0}


def test_a_missing_video_keeps_its_place_and_is_counted(
    make: Make, clip: Path, tmp_path: Path
) -> None:
    partial = make("partial", video=lambda pair, seed: None if pair == DUCK else clip)
    data = write([make("whole"), partial], tmp_path / "out")
    assert data["pairs"][1]["videos"][0][1] == {"lacks": "missing"}
    assert (data["videos"], data["lacking"]) == (6, 1)
    assert [model["lacking"] for model in data["models"]] == [0, 1]


def test_the_same_results_give_the_same_bytes_linked_copied_or_written_again(
    make: Make, tmp_path: Path
) -> None:
    both = [make("a"), make("b")]
    write(both, tmp_path / "linked")
    write(both, tmp_path / "copied", link=False)
    once = bytes_of(tmp_path / "linked")
    assert once == bytes_of(tmp_path / "copied")
    write(both, tmp_path / "linked")
    assert bytes_of(tmp_path / "linked") == once


def test_links_take_no_room_and_copies_are_files_of_their_own(make: Make, tmp_path: Path) -> None:
    results, name = make("a"), f"videos/a/{DUCK.file(0)}"
    source = results.expected()[1].path
    write([results], tmp_path / "out")
    assert (tmp_path / "out" / name).samefile(source)
    write([results], tmp_path / "out", link=False)
    assert not (tmp_path / "out" / name).samefile(source)
    write([results], tmp_path / "out")
    assert (tmp_path / "out" / name).samefile(source)


def test_where_the_file_system_has_no_links_there_are_copies(
    make: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    results = make("a")

    def refused(source: Path, target: Path) -> None:
        raise PermissionError(source)

    monkeypatch.setattr(os, "link", refused)
    write([results], tmp_path / "out")
    placed = tmp_path / "out" / "videos" / "a" / DUCK.file(0)
    assert placed.read_bytes() == results.expected()[1].path.read_bytes()
    assert not placed.samefile(results.expected()[1].path)


def test_writing_again_brings_the_folder_up_to_date_and_leaves_what_is_not_its_own(
    make: Make, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    write([make("a"), make("b")], out)
    (out / "CNAME").write_text("example.org")
    (out / "videos" / "a" / "notes.txt").write_text("mine")
    write([make("b", folder="again", pairs=PAIRS[:2])], out)
    assert (out / "CNAME").read_text() == "example.org"
    left = {path.relative_to(out).as_posix() for path in out.rglob("*.*") if path.is_file()}
    assert {name for name in left if name.startswith("videos/")} == {
        "videos/a/notes.txt", f"videos/b/{BALLOON.file(0)}", f"videos/b/{DUCK.file(0)}"}
    assert not (out / "pictures" / "fish1.png").exists()


def test_a_folder_that_is_no_gallery_is_left_alone(make: Make, tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    (out / "thesis.tex").write_text("years of work")
    with pytest.raises(ValueError, match="should be empty or a gallery"):
        write([make("a")], out)
    assert bytes_of(out) == {"thesis.tex": b"years of work"}


def test_a_file_of_somebody_else_is_never_replaced(make: Make, tmp_path: Path) -> None:
    out, first = tmp_path / "out", make("a")
    write([first], out)
    (out / "videos" / "b").mkdir()
    (out / "videos" / "b" / DUCK.file(0)).write_text("mine")
    before = bytes_of(out)
    with pytest.raises(ValueError, match="not the gallery's own"):
        write([first, make("b")], out)
    assert bytes_of(out) == before


@pytest.mark.parametrize("name", ["../kept.txt", "/etc/hostname", "a/../../kept.txt", "..", 7])
def test_a_list_of_files_that_leads_elsewhere_is_refused(
    make: Make, tmp_path: Path, name: object
) -> None:
    (tmp_path / "kept.txt").write_text("kept")
    write([make("a")], tmp_path / "out")
    listed = {"kind": "motifocal gallery", "files": [name]}
    (tmp_path / "out" / "gallery.json").write_text(json.dumps(listed))
    with pytest.raises(ValueError, match="files of its own folder"):
        write([make("b")], tmp_path / "out")
    assert (tmp_path / "kept.txt").exists()


def test_nothing_is_removed_behind_a_link_that_leads_out_of_the_folder(
    make: Make, tmp_path: Path
) -> None:
    out, elsewhere = tmp_path / "out", tmp_path / "elsewhere"
    write([make("a"), make("b")], out)
    (out / "videos" / "b").rename(elsewhere)
    (out / "videos" / "b").symlink_to(elsewhere)
    write([make("a", folder="again")], out)
    assert len(list(elsewhere.iterdir())) == len(PAIRS)


def test_hostile_names_become_addresses_of_files_and_never_markup(
    make: Make, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    data = write([make(HOSTILE_MODEL, (HOSTILE, DUCK), folder="r")], out, title="</title><b> & $x")
    first = data["pairs"][0]
    assert (first["image"], first["prompt"]) == (HOSTILE.image_id, HOSTILE.prompt)
    assert data["models"][0]["name"] == HOSTILE_MODEL
    for address in (first["picture"], first["videos"][0][0]["address"]):
        assert re.fullmatch(r"[A-Za-z0-9%/._~-]+", address)
        assert (out / unquote(address)).exists()
    page, script = (out / "index.html").read_text(), (out / "data.js").read_text()
    assert "<title>&lt;/title&gt;&lt;b&gt; &amp; $x</title>" in page
    assert "<" not in script
    assert "<b>" not in page


def test_the_page_asks_for_nothing_from_elsewhere_and_has_no_script_or_style_inside() -> None:
    texts = {path.name: path.read_text(encoding="utf-8") for path in PAGE.iterdir()}
    addresses = re.findall(r"\w+://[^\s\"')]+", "".join(texts.values()))
    assert addresses == ["http://www.w3.org/2000/svg"]
    page = texts["index.html"]
    assert re.findall(r"<script(?![^>]* src=)|<style|\sstyle=|\son\w+=", page) == []
    linked = re.findall(r'(?:src|href)="([^"#]+)"', page)
    assert set(linked) == set(texts) - {"index.html"} | {"data.js"}
    scripts = "".join(text for name, text in texts.items() if name.endswith(".js"))
    markup = r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|eval\(|Function\("
    assert re.findall(markup, scripts) == []


def test_models_of_one_name_are_told_apart_by_their_folders(make: Make, tmp_path: Path) -> None:
    first, second = make("m", folder="steps25"), make("m", folder="steps50")
    data = write([first, second], tmp_path / "out")
    assert [model["name"] for model in data["models"]] == ["m (steps25)", "m (steps50)"]
    with pytest.raises(ValueError, match="twice"):
        compare_results([first, first])


def test_names_that_differ_in_punctuation_alone_get_folders_of_their_own(
    make: Make, tmp_path: Path
) -> None:
    data = write([make("A+", folder="1"), make("a", folder="2"), make("??", folder="3")],
                 tmp_path / "out")
    cells = data["pairs"][0]["videos"][0]
    assert [cell["address"].split("/")[1] for cell in cells] == ["a", "a-2", "model"]


def test_only_results_of_one_benchmark_are_compared(make: Make) -> None:
    with pytest.raises(ValueError, match=r"one benchmark, got x \(a\) and y \(b\)"):
        compare_results([make("a", title="x"), make("b", title="y")])
    with pytest.raises(ValueError, match="got none"):
        compare_results([])


def test_a_part_is_marked_and_what_a_model_was_not_asked_for_is_not_called_missing(
    make: Make, tmp_path: Path
) -> None:
    whole, part = make("whole"), make("part", PAIRS[:1], total=3, subset="images balloon_1")
    data = write([part, whole], tmp_path / "out")
    assert len(data["pairs"]) == 3
    assert data["pairs"][1]["videos"][0][0] == {"lacks": "not in its run"}
    assert data["marks"] == [
        "part: SUBSET: 1 of 3 pairs of pairs of a test (images balloon_1)"]
    assert (data["videos"], data["lacking"]) == (4, 0)
    alone = write([part], tmp_path / "alone")
    assert alone["marks"] == ["SUBSET: 1 of 3 pairs of pairs of a test (images balloon_1)"]


def test_a_limit_shows_the_first_pairs_and_says_so(make: Make, tmp_path: Path) -> None:
    first = make("a")
    data = write([first, make("b")], tmp_path / "out", limit=2)
    assert [pair["image"] for pair in data["pairs"]] == ["balloon_1", "duck1"]
    assert data["marks"] == ["SUBSET: 2 of 3 pairs of pairs of a test (the first 2)"]
    assert write([first], tmp_path / "all", limit=9)["marks"] == []
    with pytest.raises(ValueError, match="at least 1"):
        compare_results([first], limit=0)


def test_all_seeds_of_all_models_are_there(make: Make, tmp_path: Path) -> None:
    data = write([make("a", seeds=(3,)), make("b", seeds=(0, 3))], tmp_path / "out")
    assert data["seeds"] == [0, 3]
    seed_0, seed_3 = data["pairs"][0]["videos"]
    assert seed_0[0] == {"lacks": "not in its run"}
    assert all("address" in cell for cell in [seed_0[1], *seed_3])


@pytest.mark.parametrize(("codec", "colour"), [("mpeg4", "yuv420p"), ("libx264", "yuv444p")])
def test_what_some_browsers_do_not_play_is_encoded_again(
    make: Make, tmp_path: Path, codec: str, colour: str
) -> None:
    odd = tmp_path / "odd.mp4"
    frames = read_video(drawn_video(tmp_path / "drawn.mp4", frames=4)).frames
    with av.open(str(odd), "w") as container:
        stream = container.add_stream(codec, rate=8)
        stream.width, stream.height, stream.pix_fmt = SIZE, SIZE, colour
        for frame in frames:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        container.mux(stream.encode(None))
    data = write([make("odd", (DUCK,), video=lambda pair, seed: odd)], tmp_path / "out")
    placed = tmp_path / "out" / data["pairs"][0]["videos"][0][0]["address"]
    with av.open(str(placed)) as container:
        context = container.streams.video[0].codec_context
        assert (context.name, context.pix_fmt) == ("h264", "yuv420p")
    shown = read_video(placed).frames.astype(int)
    assert shown.shape == frames.shape
    assert np.abs(shown - read_video(odd).frames).mean() < 3


def test_a_file_that_is_no_video_keeps_its_place_with_the_reason(
    make: Make, tmp_path: Path
) -> None:
    broken = tmp_path / "broken.mp4"
    broken.write_bytes(b"not a video at all")
    results = make("a", PAIRS[:1], video=lambda pair, seed: broken)
    data = write([results], tmp_path / "out")
    assert data["pairs"][0]["videos"][0] == [{"lacks": "cannot be read"}]
    assert data["lacking"] == 1
    assert not (tmp_path / "out" / "videos").exists()


def test_the_command_says_what_is_missing_and_where_the_page_is(
    make: Make, clip: Path, tmp_path: Path
) -> None:
    whole, out = make("whole"), tmp_path / "out"
    partial = make("partial", video=lambda pair, seed: clip if pair == DUCK else None)
    arguments = [str(whole.folder), str(partial.folder), "-o", str(out), "--title", "Two of us"]
    ended = CliRunner().invoke(command, arguments)
    assert ended.exit_code == 0, ended.output
    assert ended.stdout.strip() == str(out / "index.html")
    assert "partial: 2 of 3 videos: missing" in ended.stderr
    assert "whole:" not in ended.stderr
    assert data_of(out)["title"] == "Two of us"
