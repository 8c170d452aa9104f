"""Score folders of results: a row for every model, and the control rows.

What is missing is never averaged away: by default it refuses the score, and else the marks say on
which videos the rows stand.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from motifocal.bench.pairs import Pair
from motifocal.bench.results import ExpectedVideo, Results
from motifocal.bench.score import controls
from motifocal.bench.score.choice import Choice, check_names, check_pairs, choose
from motifocal.bench.score.clip import (
    OWN,
    WEIGHT_FREE,
    ClipJob,
    ClipScores,
    Numbers,
    ScoreCache,
    Tools,
    compute_scores,
)
from motifocal.bench.score.clip import SHUFFLED as SHUFFLED_CLIP
from motifocal.bench.score.measures import Measure
from motifocal.data.workers.items import Workers
from motifocal.data.workers.threads import Threads
from motifocal.motion.flow import usable_cores

CACHE = "numbers.jsonl"
#: Told what is being done, how many clips are done, of how many.
Progress = Callable[[str, int, int], object]
MODEL, CONTROL = "model", "control"


@dataclass(frozen=True)
class ScoredVideo:
    """One video of a row: the pair and seed that it is scored for, its file, its scores."""

    pair: Pair
    seed: int
    path: Path
    frames: int
    numbers: Numbers


@dataclass(frozen=True)
class Row:
    """One row of the table; `note` names its videos where they are not all."""

    name: str
    kind: str
    videos: tuple[ScoredVideo, ...]
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
    workers: Workers | None = None,
    seed: int = 0,
    progress: Progress = lambda doing, done, total: None,
) -> Scores:
    """Score every video of one or more models, and those of the control rows.

    Every video is decoded once and its flow estimated once; what is computed is kept in `output`,
    so that the next run computes what has changed. `control` is the model whose videos the control
    rows are made of, by default the first. `seed` decides how frames are shuffled and prompts
    swapped.

    Raises ValueError for names that are no file names, pairs of the same name whose prompts
    differ, and for videos that are missing or do not decode, unless `common` takes the pairs that
    all models have, or `allow_missing` what there is.
    """
    tools = tools or Tools()
    names = [result.model for result in results]
    check_names(names, tuple(controls.CONTROLS))
    check_pairs(results)
    control = names[0] if control is None else control
    if control not in names:
        raise ValueError(f"the control model should be one of {', '.join(names)}, got {control}")
    failed: dict[Path, str] = {}
    choice = choose(results, failed, common=common, allow_missing=allow_missing)
    output.mkdir(parents=True, exist_ok=True)
    run = _Run(tools, ScoreCache(output / CACHE), workers or Threads(usable_cores()), seed,
               progress)
    clip_scores = run.videos(results, choice, control, failed)
    # What does not decode is known only now; it may refuse the score or leave pairs out.
    choice = choose(results, failed, common=common, allow_missing=allow_missing)
    rows = [Row(name, MODEL, tuple(_scored(video, video.path, clip_scores[video.path][OWN], tools)
                                   for video in choice.videos[name])) for name in names]
    of_control = next(result for result in results if result.model == control)
    rows += run.control_rows(of_control, choice.videos[control], clip_scores)
    learned = {model.name: f"{model.source} {model.fingerprint}" for model in tools.learned}
    return Scores(
        title=results[0].benchmark.title, marks=choice.marks, measures=_measures(tools),
        rows=tuple(rows), control=control, seed=seed,
        failures=tuple(sorted(failed.values())),
        computed=MappingProxyType({WEIGHT_FREE: tools.version, **learned}),
    )


@dataclass(frozen=True)
class _Run:
    """The settings of a run of scoring."""

    tools: Tools
    cache: ScoreCache
    workers: Workers
    seed: int
    progress: Progress

    def videos(
        self, results: Sequence[Results], choice: Choice, control: str, failed: dict[Path, str]
    ) -> dict[Path, dict[str, ClipScores]]:
        """Score all chosen videos, by file; put the reasons why others have no scores into
        `failed`."""
        drawn = controls.one_per_image(choice.videos[control], self.seed)
        shuffled = {video.path for video in drawn}
        jobs = [
            ClipJob(result.image(video.pair), video.path,
                    (self.seed, video.pair.file(video.seed)) if video.path in shuffled else None)
            for result in results for video in choice.videos[result.model]
        ]
        scores = {}
        for job, outcome in self._computed(jobs, "videos"):
            assert job.video is not None
            if isinstance(outcome, str):
                failed[job.video] = outcome
            else:
                scores[job.video] = outcome
        return scores

    def control_rows(
        self, results: Results, videos: Sequence[ExpectedVideo],
        clip_scores: Mapping[Path, dict[str, ClipScores]],
    ) -> list[Row]:
        """Score the control rows."""
        own = {video: clip_scores[video.path][OWN] for video in videos}
        jobs = {video: ClipJob(results.image(video.pair), None, None, clip.frames, clip.fps)
                for video, clip in own.items()}
        still = {}
        for job, outcome in self._computed(list(dict.fromkeys(jobs.values())), "still images"):
            if isinstance(outcome, str):
                raise ValueError(outcome)
            still[job] = outcome[OWN]
        others = controls.other_prompts(videos, self.seed)
        rows: dict[str, list[ScoredVideo]] = {
            controls.STILL: [_scored(video, job.image, still[job], self.tools)
                             for video, job in jobs.items()],
            controls.SHUFFLED: [
                _scored(video, video.path, clip_scores[video.path][SHUFFLED_CLIP], self.tools)
                for video in videos if SHUFFLED_CLIP in clip_scores[video.path]
            ],
            controls.ANOTHER: [_scored(video, others[video].path, own[others[video]], self.tools)
                               for video in videos if video in others],
        }
        return [Row(name, CONTROL, tuple(of_row), _note(name, results, len(of_row), len(videos)))
                for name, of_row in rows.items()]

    def _computed(
        self, jobs: Sequence[ClipJob], doing: str
    ) -> list[tuple[ClipJob, dict[str, ClipScores] | str]]:
        outcomes = []
        self.progress(doing, 0, len(jobs))
        for done in compute_scores(jobs, self.tools, self.cache, self.workers):
            outcomes.append(done)
            self.progress(doing, len(outcomes), len(jobs))
        return outcomes


def _note(row: str, results: Results, count: int, videos: int) -> str:
    """Say which videos a control row is made of."""
    why = {controls.SHUFFLED: "one of each image",
           controls.ANOTHER: "the images of the others have one prompt"}
    less = f", {count} of {videos} videos: {why[row]}" if count < videos else ""
    return f"of {results.model}{less}"


def _scored(video: ExpectedVideo, path: Path, clip: ClipScores, tools: Tools) -> ScoredVideo:
    """Return the scores of a clip, the file `path`, as an answer to this video's prompt."""
    numbers = dict(clip.numbers)
    for learned in tools.learned:
        numbers |= learned.score_text(clip.vectors[learned.name], video.pair.prompt)
    ordered = {name: numbers[name] for name in _measures(tools)}
    return ScoredVideo(video.pair, video.seed, path, clip.frames, ordered)


def _measures(tools: Tools) -> dict[str, Measure]:
    """Return all measures in the order of the table's columns."""
    return {**tools.measures, **{name: measure for learned in tools.learned
                                 for name, measure in learned.measures.items()}}
