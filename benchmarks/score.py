"""Scoring whole folders of results, beside decoding their videos and computing their flow once.

The videos are synthetic scenes of 320 x 320 pixels and 16 frames, encoded five times as if by five
models; `--videos` takes a folder with pairs.csv, images/ and videos/<model>/ instead. Scoring is
everything that `motifocal bench score` does but for reading the options: measures, control rows,
intervals, tables, plot, into an empty folder. Both ways have the same number of workers.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import count
from pathlib import Path

from measure import (
    RATIO_HEADER,
    machine,
    markdown,
    parser,
    ratio_rows,
    read,
    take_turns,
    usable_cores,
)

from motifocal.bench.ingest import find_videos, ingest, with_videos
from motifocal.bench.pairs import read_benchmark
from motifocal.bench.results import Results
from motifocal.bench.score.plot import draw_plot
from motifocal.bench.score.report import write_files
from motifocal.bench.score.run import score
from motifocal.bench.score.tables import summarise
from motifocal.data.workers.threads import Threads
from motifocal.media.video import read_video, write_video
from motifocal.motion.flow import estimate_flow
from motifocal.scenes.export import BenchmarkSettings, export_benchmark

SIDE = 320
QUALITIES = (8, 13, 18, 23, 28)  # one "model" each


def main(arguments: Sequence[str] | None = None) -> None:
    options = parser(__doc__, rounds=5)
    options.add_argument("--pairs", type=int, default=15, help="to draw; default: %(default)s")
    options.add_argument("--videos", type=Path, help="such a folder, instead of drawing one")
    options.add_argument("--workers", type=int, default=usable_cores(), help="default: %(default)s")
    values = read(options, arguments)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        if values.videos is None:
            draw(folder / "drawn", 2 if values.quick else values.pairs)
        results = take_in(values.videos or folder / "drawn", folder / "results")
        videos = [video.path for each in results for video in each.expected()]
        once = f"decode and flow once, {len(videos)} videos"
        ways = {once: partial(decode_and_flow, videos, values.workers)}
        outputs = (folder / f"scores{number}" for number in count())
        for each in dict.fromkeys([results[0].model, results[-1].model]):
            ways[f"score, control rows of {each}"] = partial(
                score_all, results, outputs, each, values.workers
            )
        times = take_turns(ways, values.rounds)
    table = markdown(RATIO_HEADER, ratio_rows(times, list(ways), once))
    print(f"{values.workers} workers; {machine(values.rounds)}", table, sep="\n\n")


def draw(folder: Path, pairs: int) -> None:
    """A benchmark with the true videos, encoded anew for every "model"."""
    for _ in export_benchmark(folder, BenchmarkSettings(pairs, SIDE, truth=True)):
        pass
    truth = folder / "videos" / "truth"
    for quality in QUALITIES[1:]:
        (folder / "videos" / f"crf {quality}").mkdir()
        for path in truth.iterdir():
            clip = read_video(path)
            write_video(folder / "videos" / f"crf {quality}" / path.name, clip.frames, clip.fps,
                        crf=quality)
    truth.rename(folder / "videos" / f"crf {QUALITIES[0]}")


def take_in(bench: Path, folder: Path) -> list[Results]:
    """A folder of results for every folder of videos, the model with the fewest videos first."""
    found = []
    for videos in (bench / "videos").iterdir():
        benchmark = read_benchmark(bench)
        named = find_videos(videos, benchmark.pairs)
        results = Results(folder / videos.name, videos.name, {},
                          with_videos(benchmark, named), named.seeds(), None)
        list(ingest(results, named))
        found.append(results)
    return sorted(found, key=lambda each: (len(each.benchmark.pairs), each.model))


def decode_and_flow(videos: Sequence[Path], workers: int) -> None:
    with ThreadPoolExecutor(workers) as pool:
        list(pool.map(one, videos))


def one(video: Path) -> None:
    estimate_flow(read_video(video).frames, workers=1)


def score_all(
    results: Sequence[Results], outputs: Iterator[Path], control: str, workers: int
) -> None:
    output = next(outputs)
    summary = summarise(score(results, output, allow_missing=True, control=control,
                              workers=Threads(workers)))
    write_files(summary, output)
    draw_plot(output / "plot.png", summary)


if __name__ == "__main__":
    main()
