"""Folders of results for galleries: a few drawn clips under the names that any pairs ask for."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np

from motifocal.bench.pairs import Benchmark, Pair
from motifocal.bench.results import Results, claim_results
from motifocal.media.video import write_image, write_video
from motifocal.scenes.render import render
from motifocal.scenes.stage import make_stage

SIZE = 48
MakeResults = Callable[..., Results]

#: Every character that an address, a file name, HTML or a script could trip over.
HOSTILE = Pair("</script><b>bold</b>", "100%25 #1 <i>é'\"?&;=+ 字",
               "<img src=x onerror=\"window.hacked = true\"> </script> & 'so' \\u003c")
HOSTILE_MODEL = "<b>M&M</b> \"5%\" #1 ' \u2028 </script>"


def drawn_video(path: Path, *, frames: int = 16, fps: float = 8, still: bool = False,
                seed: int = 1) -> Path:
    """A clip of balloons, `frames` long; `still` repeats its first frame."""
    stage = make_stage("balloons", "eval", seed)
    clip = render(stage, stage.actions[0], size=SIZE, frames=frames).frames
    write_video(path, np.repeat(clip[:1], frames, axis=0) if still else clip, fps)
    return path


def results_of(
    folder: Path,
    model: str,
    pairs: tuple[Pair, ...],
    video: Callable[[Pair, int], Path | None],
    *,
    seeds: tuple[int, ...] = (0,),
    title: str = "pairs of a test",
    total: int | None = None,
    subset: str = "",
) -> Results:
    """Results whose videos are links to what `video` gives for a pair and a seed, None: missing."""
    benchmark = Benchmark(title, pairs, total or len(pairs), subset)
    results = Results(folder, model, {}, benchmark, seeds, None)
    claim_results(results)
    for wanted in results.expected():
        source = video(wanted.pair, wanted.seed)
        if source is not None:
            os.link(source, wanted.path)
    grey = np.full((SIZE, SIZE, 3), 128, np.uint8)
    for pair in pairs:
        if not results.image(pair).exists():
            write_image(results.image(pair), grey)
    return results
