"""Folders of results become rows of numbers: every model, and the control rows beside them.

What is missing is never averaged away: by default it refuses the score, and else the marks say on
which videos the rows stand.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from motifocal.bench.pairs import Pair
from motifocal.bench.results import Results, Wanted
from motifocal.bench.score.choice import Choice, check_names, check_pairs, choose
from motifocal.bench.score.clip import (
    OWN,
    WEIGHT_FREE,
    Job,
    Kept,
    Numbers,
    Taken,
    Tools,
    compute,
)
from motifocal.bench.score.clip import SHUFFLED as SHUFFLED_CLIP
from motifocal.bench.score.controls import (
    ANOTHER,
    CONTROLS,
    SHUFFLED,
    STILL,
    one_a_picture,
    other_sentences,
)
from motifocal.bench.score.measures import Measure
from motifocal.motion.flow import usable_cores

KEPT = "numbers.jsonl"
#: Told what is being done, how many clips are done, of how many.
Progress = Callable[[str, int, int], object]
MODEL, CONTROL = "model", "control"


@dataclass(frozen=True)
class Scored:
    """One video of a row: the pair and seed that it is scored for, its file, its numbers."""

    pair: Pair
    seed: int
    path: Path
    frames: int
    numbers: Numbers


@dataclass(frozen=True)
class Row:
    """One row of the table; `note` says on what it stands where that is not all of it."""

    name: str
    kind: str
    videos: tuple[Scored, ...]
    note: str = ""


@dataclass(frozen=True)
class Scores:
    """All rows, models first, in the order given; every output repeats the `marks`.

    `measures` says what each number is, `failures` which files could not be used and why,
    `computed` what decided the numbers (hashes and names).
    """

    title: str
    marks: tuple[str, ...]
    measures: Mapping[str, Measure]
    rows: tuple[Row, ...]
    control: str
    failures: tuple[str, ...]
    seed: int
    computed: Mapping[str, str]

    @property
    def models(self) -> tuple[Row, ...]:
        """The rows of models, without the controls."""
        return tuple(row for row in self.rows if row.kind == MODEL)


def score(
    results: Sequence[Results],
    output: Path,
    *,
    common: bool = False,
    allow_missing: bool = False,
    control: str | None = None,
    tools: Tools | None = None,
    workers: int | None = None,
    seed: int = 0,
    progress: Progress = lambda doing, done, total: None,
) -> Scores:
    """Put every video of one or more models into numbers, and those of the control rows.

    Every video is decoded once and its flow estimated once; what is computed is kept in `output`,
    so that the next run computes what has changed. `control` is the model whose videos the control
    rows are made of, by default the first. `seed` decides how frames are shuffled and sentences
    swapped.

    Raises ValueError for names that are no file names, pairs of the same name whose sentences
    differ, and for videos that are missing or do not decode, unless `common` takes the pairs that
    all models have, or `allow_missing` what there is.
    """
    tools = tools or Tools()
    names = [each.model for each in results]
    check_names(names, tuple(CONTROLS))
    check_pairs(results)
    control = names[0] if control is None else control
    if control not in names:
        raise ValueError(f"the control model should be one of {', '.join(names)}, got {control}")
    failed: dict[Path, str] = {}
    choice = choose(results, failed, common=common, allow_missing=allow_missing)
    output.mkdir(parents=True, exist_ok=True)
    run = _Run(tools, Kept(output / KEPT), workers or usable_cores(), seed, progress)
    taken = run.videos(results, choice, control, failed)
    # What does not decode is known only now; it may refuse the score or leave pairs out.
    choice = choose(results, failed, common=common, allow_missing=allow_missing)
    rows = [Row(name, MODEL, tuple(_scored(video, video.path, taken[video.path][OWN], tools)
                                   for video in choice.videos[name])) for name in names]
    of_control = next(each for each in results if each.model == control)
    rows += run.controls(of_control, choice.videos[control], taken)
    learned = {each.name: f"{each.source} {each.fingerprint}" for each in tools.learned}
    return Scores(
        title=results[0].benchmark.title, marks=choice.marks, measures=_measures(tools),
        rows=tuple(rows), control=control, seed=seed,
        failures=tuple(sorted(failed.values())),
        computed=MappingProxyType({WEIGHT_FREE: tools.version, **learned}),
    )


@dataclass(frozen=True)
class _Run:
    """What stays the same while clips are put into numbers."""

    tools: Tools
    kept: Kept
    workers: int
    seed: int
    progress: Progress

    def videos(
        self, results: Sequence[Results], choice: Choice, control: str, failed: dict[Path, str]
    ) -> dict[Path, dict[str, Taken]]:
        """The numbers of all chosen videos by file; fills in why the others have none."""
        shuffled = {video.path for video in one_a_picture(choice.videos[control], self.seed)}
        jobs = [
            Job(each.picture(video.pair), video.path,
                (self.seed, video.pair.file(video.seed)) if video.path in shuffled else None)
            for each in results for video in choice.videos[each.model]
        ]
        found = {}
        for job, outcome in self._computed(jobs, "videos"):
            assert job.video is not None
            if isinstance(outcome, str):
                failed[job.video] = outcome
            else:
                found[job.video] = outcome
        return found

    def controls(
        self, results: Results, videos: Sequence[Wanted], taken: Mapping[Path, dict[str, Taken]]
    ) -> list[Row]:
        """The rows that no model should be proud to beat."""
        own = {video: taken[video.path][OWN] for video in videos}
        jobs = {video: Job(results.picture(video.pair), None, None, clip.frames, clip.fps)
                for video, clip in own.items()}
        still = {}
        for job, outcome in self._computed(list(dict.fromkeys(jobs.values())), "still pictures"):
            if isinstance(outcome, str):
                raise ValueError(outcome)
            still[job] = outcome[OWN]
        others = other_sentences(videos, self.seed)
        found: dict[str, list[Scored]] = {
            STILL: [_scored(video, job.picture, still[job], self.tools)
                    for video, job in jobs.items()],
            SHUFFLED: [_scored(video, video.path, taken[video.path][SHUFFLED_CLIP], self.tools)
                       for video in videos if SHUFFLED_CLIP in taken[video.path]],
            ANOTHER: [_scored(video, others[video].path, own[others[video]], self.tools)
                      for video in videos if video in others],
        }
        return [Row(name, CONTROL, tuple(of_row), _note(name, results, len(of_row), len(videos)))
                for name, of_row in found.items()]

    def _computed(
        self, jobs: Sequence[Job], doing: str
    ) -> list[tuple[Job, dict[str, Taken] | str]]:
        found = []
        self.progress(doing, 0, len(jobs))
        for done in compute(jobs, self.tools, self.kept, self.workers):
            found.append(done)
            self.progress(doing, len(found), len(jobs))
        return found


def _note(row: str, results: Results, count: int, videos: int) -> str:
    """On what a control row stands."""
    why = {SHUFFLED: "one of each picture",
           ANOTHER: "the pictures of the others have one sentence"}
    less = f", {count} of {videos} videos: {why[row]}" if count < videos else ""
    return f"of {results.model}{less}"


def _scored(video: Wanted, shown: Path, clip: Taken, tools: Tools) -> Scored:
    """The numbers of a clip, the file `shown`, as an answer to this video's sentence."""
    numbers = dict(clip.numbers)
    for each in tools.learned:
        numbers |= each.read(clip.vectors[each.name], video.pair.prompt)
    ordered = {name: numbers[name] for name in _measures(tools)}
    return Scored(video.pair, video.seed, shown, clip.frames, ordered)


def _measures(tools: Tools) -> dict[str, Measure]:
    """All measures in the order of the table's columns."""
    return {**tools.measures, **{name: measure for each in tools.learned
                                 for name, measure in each.measures.items()}}
