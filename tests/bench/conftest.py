"""Fixtures that several tests of the benchmark use."""

from __future__ import annotations

import shlex
import shutil
import sys
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import av
import numpy as np
import pytest
from command_programs import FRAMES, HEAD
from counted_scores import StampingModel, make
from gallery_page import LOADED, SHOWN_PAIRS, SWIMS, address_of, site_of
from tiny_bench import FPS, moving, write_benchmark
from tiny_gallery import HOSTILE_MODEL, MakeResults, drawn_video, results_of
from viewed_results import HARD_PAIRS
from written_gallery import PAIRS

from motifocal.bench.pairs import Benchmark, Pair, read_benchmark
from motifocal.bench.results import Results, claim_results, open_results
from motifocal.generate.model import Format
from motifocal.media.video import read_image, write_image, write_video

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page


@pytest.fixture(scope="module")
def stock(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Files that a program may leave: good.mp4, short.mp4, still.mp4, other.mkv, picture.png."""
    folder = tmp_path_factory.mktemp("stock")
    frames = np.random.default_rng(0).integers(0, 255, (FRAMES, 16, 16, 3), dtype=np.uint8)
    write_video(folder / "good.mp4", frames, 8)
    write_video(folder / "short.mp4", frames[:3], 8)
    write_video(folder / "still.mp4", frames[:1], 8)
    with av.open(str(folder / "other.mkv"), "w") as container:
        stream = container.add_stream("mpeg4", rate=8)
        stream.width = stream.height = 16
        for frame in frames:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        container.mux(stream.encode())
    write_image(folder / "picture.png", frames[0])
    return folder


@pytest.fixture
def script(tmp_path: Path, stock: Path) -> Callable[[str], str]:
    """Write a program; gives the words that start it. It knows STOCK and the usual options."""

    def written(body: str) -> str:
        path = tmp_path / "infer.py"
        path.write_text(f"STOCK = {str(stock)!r}\n" + textwrap.dedent(HEAD)
                        + textwrap.dedent(body), encoding="utf-8")
        return f"{shlex.quote(sys.executable)} {shlex.quote(str(path))}"

    return written


@pytest.fixture(scope="module")
def drawn_results(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """The results of two models (five pairs, seeds 0 and 1 of the first), never changed."""
    folder = tmp_path_factory.mktemp("made")
    bench = write_benchmark(folder / "bench")
    return [make(bench, folder, StampingModel("first"), (0, 1)).folder,
            make(bench, folder, StampingModel("second")).folder]


@pytest.fixture
def results(drawn_results: list[Path], tmp_path: Path) -> list[Results]:
    """A copy that a test may change."""
    for folder in drawn_results:
        shutil.copytree(folder, tmp_path / folder.name)
    return [open_results(tmp_path / folder.name) for folder in drawn_results]


MODELS = ("first", "second", "short", HOSTILE_MODEL)


@pytest.fixture(scope="module")
def gallery_clips(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """16 frames that move, 16 that do not, and 8."""
    home = tmp_path_factory.mktemp("clips")
    return [drawn_video(home / "whole.mp4"), drawn_video(home / "still.mp4", still=True),
            drawn_video(home / "short.mp4", frames=8)]


@pytest.fixture(scope="module")
def gallery_site(tmp_path_factory: pytest.TempPathFactory, gallery_clips: list[Path]) -> Path:
    """Four models with two seeds; the second has no video of the duck."""
    models: dict[str, dict[Pair, Path | None]] = {
        name: dict.fromkeys(SHOWN_PAIRS, clip)
        for name, clip in zip(MODELS, [*gallery_clips, gallery_clips[0]], strict=True)}
    models["second"][SWIMS] = None
    return site_of(tmp_path_factory.mktemp("gallery"), models, seeds=(0, 1))


@pytest.fixture
def page(browser: Browser, gallery_site: Path) -> Iterator[Page]:
    """The gallery from the disk, loaded."""
    from browser import opened, until  # loads Playwright

    with opened(browser, address_of(gallery_site), viewport={"width": 1280, "height": 900}) as page:
        until(page, LOADED)
        yield page


@pytest.fixture(scope="module")
def small_clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("clip") / "clip.mp4"
    frames = np.random.default_rng(0).integers(0, 255, (4, 16, 32, 3), dtype=np.uint8)
    write_video(path, frames, 8)
    return path


@pytest.fixture
def make_results(tmp_path: Path, small_clip: Path) -> MakeResults:
    """A folder of results with a video for every pair and seed."""

    def made(
        pairs: tuple[Pair, ...] = HARD_PAIRS, seeds: tuple[int, ...] = (0,), subset: str = "",
        folder: str = "results", model: str = "Mine",
    ) -> Results:  # fmt: skip
        results = Results(tmp_path / folder, model, {}, Benchmark("a few", pairs, 9, subset),
                          seeds, Format(4, 16, 32, 8.0))
        claim_results(results)
        for video in results.expected():
            shutil.copy(small_clip, video.path)
            write_image(results.image(video.pair), np.full((16, 32, 3), 7, np.uint8))
        return results

    return made


@pytest.fixture
def three_frames(tmp_path: Path) -> Path:
    return drawn_video(tmp_path / "clip.mp4", frames=3)


@pytest.fixture
def make_compared(tmp_path: Path, three_frames: Path) -> MakeResults:
    """Results by the model's name, complete unless told otherwise."""

    def made(model: str, pairs: tuple[Pair, ...] = PAIRS, **options: Any) -> Results:
        video = options.pop("video", lambda pair, seed: three_frames)
        folder = options.pop("folder", f"results-{model}")
        return results_of(tmp_path / folder, model, pairs, video, **options)

    return made


@pytest.fixture
def bench(tmp_path: Path) -> Path:
    return write_benchmark(tmp_path / "bench")


@pytest.fixture
def finished(bench: Path, tmp_path: Path) -> Path:
    """A folder of videos, as somebody's script may have left it: one GIF, one in a subfolder."""
    folder = tmp_path / "finished"
    (folder / "more").mkdir(parents=True)
    for index, pair in enumerate(read_benchmark(bench, own_pairs=True).pairs):
        assert pair.image is not None
        name = Path(pair.file(3)).with_suffix(".gif" if index == 1 else ".mp4")
        frames = moving(read_image(pair.image), pair.prompt, 3)
        write_video(folder / ("more" if index == 2 else "") / name, frames, FPS)
    return folder
