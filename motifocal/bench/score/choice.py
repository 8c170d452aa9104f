"""Choose the videos to score, and the labels that say which part of a benchmark they are."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from motifocal.bench.pairs import LONGEST_NAME, Pair
from motifocal.bench.results import ExpectedVideo, Results

#: The longest ending of the files that are named after a model.
EVAL_RESULTS = "_eval_results.json"


@dataclass(frozen=True)
class Choice:
    """The videos of each model that count, and the marks that every output repeats."""

    videos: Mapping[str, tuple[ExpectedVideo, ...]]
    marks: tuple[str, ...]


def check_names(names: Sequence[str], reserved: Sequence[str] = ()) -> None:
    """Raise ValueError unless the models' names can be file names and tell the rows apart."""
    seen = {name.casefold() for name in reserved}
    for name in names:
        strange = any(bad in name for bad in "/\\:") or not name.isprintable()
        if strange or not name or name != name.strip() or name[0] == ".":
            raise ValueError(f"a model's name should be a plain file name, got {name!r}")
        if len((name + EVAL_RESULTS).encode()) > LONGEST_NAME:
            longest = LONGEST_NAME - len(EVAL_RESULTS)
            raise ValueError(f"a model's name should have at most {longest} bytes, got {name!r}")
        if name.casefold() in seen:
            raise ValueError(f"the rows' names should differ by more than case, got {name!r} twice")
        seen.add(name.casefold())


def check_pairs(results: Sequence[Results]) -> None:
    """Raise ValueError where the models' videos answer different prompts under one name."""
    known: dict[str, tuple[Pair, str]] = {}
    for result in results:
        for pair in result.benchmark.pairs:
            other, model = known.setdefault(pair.stem.casefold(), (pair, result.model))
            if (other.image_id, other.prompt) != (pair.image_id, pair.prompt):
                raise ValueError(
                    f"the models should be of one benchmark: {pair.stem} is {other.prompt!r} for "
                    f"{model} and {pair.prompt!r} for {result.model}"
                )


def choose(
    results: Sequence[Results], failed: Mapping[Path, str], *, common: bool = False,
    allow_missing: bool = False,
) -> Choice:  # fmt: skip
    """Choose the videos to score; `failed` says of files why they cannot be used.

    All pairs of all models count. Raises ValueError where a video is missing or has failed, unless
    `common` leaves out the pairs that not all models have (with all of their seeds), or
    `allow_missing` takes what there is; and where nothing is left.
    """
    if common and allow_missing:
        raise ValueError("common and allow_missing should not both be given")
    pairs = {pair.stem: pair for result in results for pair in result.benchmark.pairs}
    marks = _subsets(results)
    there = {result.model: _there(result, failed) for result in results}
    lacking = {result.model: [stem for stem in pairs
                              if len(there[result.model].get(stem, ())) < len(result.seeds)]
               for result in results}
    incomplete = any(lacking.values())
    kept = list(pairs)
    if incomplete and common:
        kept = [stem for stem in pairs if not any(stem in stems for stems in lacking.values())]
        marks.append(f"{len(kept)} of {len(pairs)} pairs: those all models have")
    elif incomplete and not allow_missing:
        raise ValueError(_refusal(results, lacking, there, failed, len(pairs)))
    elif incomplete:
        marks.append(_incomplete(results, there, len(pairs)))
    videos = {model: tuple(video for stem in kept for video in of_model.get(stem, ()))
              for model, of_model in there.items()}
    empty = [model for model, of_model in videos.items() if not of_model]
    if empty:
        whose = "that all models have" if common else f"of {empty[0]}"
        raise ValueError(f"there should be at least one video {whose}, got none")
    return Choice(videos, tuple(marks))


def _there(results: Results, failed: Mapping[Path, str]) -> dict[str, list[ExpectedVideo]]:
    """Return the usable videos of a model, by their pair's stem."""
    usable: dict[str, list[ExpectedVideo]] = defaultdict(list)
    for video in results.expected():
        if video.path.exists() and video.path not in failed:
            usable[video.pair.stem].append(video)
    return usable


def _subsets(results: Sequence[Results]) -> list[str]:
    """Return the marks of the benchmarks' parts, with the models they are of where they differ."""
    models: dict[str, list[str]] = defaultdict(list)
    for result in results:
        models[result.benchmark.mark].append(result.model)
    if len(models) == 1:
        return [mark for mark in models if mark]
    return [f"{mark} [{', '.join(names)}]" for mark, names in models.items() if mark]


def _refusal(
    results: Sequence[Results], lacking: Mapping[str, Sequence[str]],
    there: Mapping[str, Mapping[str, Sequence[ExpectedVideo]]], failed: Mapping[Path, str],
    pairs: int,
) -> str:  # fmt: skip
    """Return what is missing, model by model, and what can be done about it."""
    words = []
    for result in results:
        stems = lacking[result.model]
        if stems:
            had = {video.seed for video in there[result.model].get(stems[0], ())}
            seed = next(seed for seed in result.seeds if seed not in had)
            words.append(f"{result.model} lacks {len(stems)} of {pairs} pairs (the first: "
                         f"{stems[0]}_{seed}.mp4)")
    reasons = [f"; {reason}" for reason in sorted(failed.values())[:3]]
    return (f"videos are missing: {', '.join(words)}{''.join(reasons)}; --common scores the pairs "
            "that all models have, --allow-missing marks the table INCOMPLETE")


def _incomplete(
    results: Sequence[Results], there: Mapping[str, Mapping[str, Sequence[ExpectedVideo]]],
    pairs: int,
) -> str:  # fmt: skip
    counts = []
    for result in results:
        had = sum(map(len, there[result.model].values()))
        counts.append(f"{result.model} {had} of {pairs * len(result.seeds)} videos")
    return f"INCOMPLETE, rows stand on different pairs: {', '.join(counts)}"
