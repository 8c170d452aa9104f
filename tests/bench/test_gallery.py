"""The gallery's folder: complete, escaped, and the same every time."""

from __future__ import annotations

import re
from pathlib import Path
from urllib.parse import unquote

import av
import numpy as np
import pytest
from click.testing import CliRunner
from tiny_gallery import HOSTILE, HOSTILE_MODEL, SIZE, MakeResults, drawn_video
from written_gallery import DUCK, PAIRS, data_of, write

from motifocal.bench.gallery.page import PAGE, compare_results
from motifocal.cli.bench.gallery import gallery as command
from motifocal.media.video import read_video


def test_every_pair_shows_every_model_in_order(make_compared: MakeResults, tmp_path: Path) -> None:
    data = write([make_compared("zebra"), make_compared("ant")], tmp_path / "out")
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
    make_compared: MakeResults, three_frames: Path, tmp_path: Path
) -> None:
    partial = make_compared(
        "partial", video=lambda pair, seed: None if pair == DUCK else three_frames)
    data = write([make_compared("whole"), partial], tmp_path / "out")
    assert data["pairs"][1]["videos"][0][1] == {"lacks": "missing"}
    assert (data["videos"], data["lacking"]) == (6, 1)
    assert [model["lacking"] for model in data["models"]] == [0, 1]


def test_hostile_names_become_addresses_of_files_and_never_markup(
    make_compared: MakeResults, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    results = make_compared(HOSTILE_MODEL, (HOSTILE, DUCK), folder="r")
    data = write([results], out, title="</title><b> & $x")
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


def test_models_of_one_name_are_told_apart_by_their_folders(
    make_compared: MakeResults, tmp_path: Path
) -> None:
    first, second = make_compared("m", folder="steps25"), make_compared("m", folder="steps50")
    data = write([first, second], tmp_path / "out")
    assert [model["name"] for model in data["models"]] == ["m (steps25)", "m (steps50)"]
    with pytest.raises(ValueError, match="twice"):
        compare_results([first, first])


def test_names_that_differ_in_punctuation_alone_get_folders_of_their_own(
    make_compared: MakeResults, tmp_path: Path
) -> None:
    alike = [make_compared(name, folder=str(n)) for n, name in enumerate(("A+", "a", "??"), 1)]
    data = write(alike, tmp_path / "out")
    cells = data["pairs"][0]["videos"][0]
    assert [cell["address"].split("/")[1] for cell in cells] == ["a", "a-2", "model"]


def test_only_results_of_one_benchmark_are_compared(make_compared: MakeResults) -> None:
    with pytest.raises(ValueError, match=r"one benchmark, got x \(a\) and y \(b\)"):
        compare_results([make_compared("a", title="x"), make_compared("b", title="y")])
    with pytest.raises(ValueError, match="got none"):
        compare_results([])


def test_a_part_is_marked_and_what_a_model_was_not_asked_for_is_not_called_missing(
    make_compared: MakeResults, tmp_path: Path
) -> None:
    whole = make_compared("whole")
    part = make_compared("part", PAIRS[:1], total=3, subset="images balloon_1")
    data = write([part, whole], tmp_path / "out")
    assert len(data["pairs"]) == 3
    assert data["pairs"][1]["videos"][0][0] == {"lacks": "not in its run"}
    assert data["marks"] == [
        "part: SUBSET: 1 of 3 pairs of pairs of a test (images balloon_1)"]
    assert (data["videos"], data["lacking"]) == (4, 0)
    alone = write([part], tmp_path / "alone")
    assert alone["marks"] == ["SUBSET: 1 of 3 pairs of pairs of a test (images balloon_1)"]


def test_a_limit_shows_the_first_pairs_and_says_so(
    make_compared: MakeResults, tmp_path: Path
) -> None:
    first = make_compared("a")
    data = write([first, make_compared("b")], tmp_path / "out", limit=2)
    assert [pair["image"] for pair in data["pairs"]] == ["balloon_1", "duck1"]
    assert data["marks"] == ["SUBSET: 2 of 3 pairs of pairs of a test (the first 2)"]
    assert write([first], tmp_path / "all", limit=9)["marks"] == []
    with pytest.raises(ValueError, match="at least 1"):
        compare_results([first], limit=0)


def test_all_seeds_of_all_models_are_there(make_compared: MakeResults, tmp_path: Path) -> None:
    results = [make_compared("a", seeds=(3,)), make_compared("b", seeds=(0, 3))]
    data = write(results, tmp_path / "out")
    assert data["seeds"] == [0, 3]
    seed_0, seed_3 = data["pairs"][0]["videos"]
    assert seed_0[0] == {"lacks": "not in its run"}
    assert all("address" in cell for cell in [seed_0[1], *seed_3])


@pytest.mark.parametrize(("codec", "colour"), [("mpeg4", "yuv420p"), ("libx264", "yuv444p")])
def test_what_some_browsers_do_not_play_is_encoded_again(
    make_compared: MakeResults, tmp_path: Path, codec: str, colour: str
) -> None:
    odd = tmp_path / "odd.mp4"
    frames = read_video(drawn_video(tmp_path / "drawn.mp4", frames=4)).frames
    with av.open(str(odd), "w") as container:
        stream = container.add_stream(codec, rate=8)
        stream.width, stream.height, stream.pix_fmt = SIZE, SIZE, colour
        for frame in frames:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        container.mux(stream.encode(None))
    data = write([make_compared("odd", (DUCK,), video=lambda pair, seed: odd)], tmp_path / "out")
    placed = tmp_path / "out" / data["pairs"][0]["videos"][0][0]["address"]
    with av.open(str(placed)) as container:
        context = container.streams.video[0].codec_context
        assert (context.name, context.pix_fmt) == ("h264", "yuv420p")
    shown = read_video(placed).frames.astype(int)
    assert shown.shape == frames.shape
    assert np.abs(shown - read_video(odd).frames).mean() < 3


def test_a_file_that_is_no_video_keeps_its_place_with_the_reason(
    make_compared: MakeResults, tmp_path: Path
) -> None:
    broken = tmp_path / "broken.mp4"
    broken.write_bytes(b"not a video at all")
    results = make_compared("a", PAIRS[:1], video=lambda pair, seed: broken)
    data = write([results], tmp_path / "out")
    assert data["pairs"][0]["videos"][0] == [{"lacks": "cannot be read"}]
    assert data["lacking"] == 1
    assert not (tmp_path / "out" / "videos").exists()


def test_the_command_says_what_is_missing_and_where_the_page_is(
    make_compared: MakeResults, three_frames: Path, tmp_path: Path
) -> None:
    whole, out = make_compared("whole"), tmp_path / "out"
    partial = make_compared(
        "partial", video=lambda pair, seed: three_frames if pair == DUCK else None)
    arguments = [str(whole.folder), str(partial.folder), "-o", str(out), "--title", "Two of us"]
    ended = CliRunner().invoke(command, arguments)
    assert ended.exit_code == 0, ended.output
    assert ended.stdout.strip() == str(out / "index.html")
    assert "partial: 2 of 3 videos: missing" in ended.stderr
    assert "whole:" not in ended.stderr
    assert data_of(out)["title"] == "Two of us"
