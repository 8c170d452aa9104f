"""`motifocal bench`: run, ingest, check, score, judge and display models' videos."""

from __future__ import annotations

import click

from motifocal.cli.lazy import LazyGroup, Table

COMMANDS: Table = {
    "run": ("bench.run", "run", "Animate every pair with a model; run again to resume."),
    "ingest": ("bench.ingest", "ingest", "Import finished videos of any model."),
    "check": ("bench.check", "check", "Check that every video is complete and has its own image."),
    "score": ("bench.score", "score", "Measure models, with control rows and intervals."),
    "questions": ("bench.questions", "questions", "Write yes-or-no questions about every pair."),
    "judge": ("bench.judge", "judge", "Ask a vision-language model about every video."),
    "calibrate": ("bench.calibrate", "calibrate", "Measure how reliable a judge is."),
    "gallery": ("bench.gallery", "gallery", "Write a page that shows models side by side."),
    "vbench": ("bench.vbench", "vbench", "Arrange the videos for VBench-I2V."),
}


@click.group(cls=LazyGroup, table=COMMANDS, epilog="""\b
Examples:
  motifocal scenes export -o drawn --kind benchmark
  motifocal bench run --bench drawn --model bundled -o results/bundled
  motifocal bench check results/bundled
  motifocal bench score results/bundled results/other -o scores
""")
def bench() -> None:
    """Compare image-to-video models on TI2V-Bench, on synthetic scenes, or on pairs of your own.

    A benchmark is a folder with pairs.csv (scenario, image_id, prompt) and images/. Each model's
    videos go into a folder of results, which the other commands take.
    """
