"""Ask a judge which of two videos shows its prompt better, in both orders.

    preference = (P(A | A first) + 1 - P(B | B first)) / 2,    P(X | X first) = P(yes), X is better

A judge that leans to the video that it is shown first says yes in both orders: the mean of both
answers, less one half, is its position bias.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from motifocal.bench.judge.asking import AnswerCache, Outcome, Progress, ask_all
from motifocal.bench.judge.judge import (
    FRAMES,
    PAIR_QUESTION,
    PAIR_TEMPLATE,
    UNREADABLE,
    Answer,
    Failure,
    Judge,
    Query,
    sample_frames,
)
from motifocal.bench.judge.run import CACHE
from motifocal.bench.results import ExpectedVideo, Results
from motifocal.media.video import VideoError, read_video, resize_crop
from motifocal.metrics import NO_INTERVAL, MeanInterval, over_images


@dataclass(frozen=True)
class Compared:
    """Two videos of one pair: the outcome with ours first, and with theirs first."""

    ours: ExpectedVideo
    theirs: ExpectedVideo
    ours_first: Outcome
    theirs_first: Outcome

    @property
    def preference(self) -> float:
        """The probability that ours is better, over both orders; nan where one failed."""
        first, second = _probability(self.ours_first), _probability(self.theirs_first)
        return (first + 1 - second) / 2

    @property
    def lean(self) -> float:
        """How much more than one half goes to the video that is shown first; nan likewise."""
        return (_probability(self.ours_first) + _probability(self.theirs_first) - 1) / 2

    @property
    def agrees(self) -> float:
        """1 where both orders prefer the same video, 0 where not; nan likewise."""
        first, second = _probability(self.ours_first), _probability(self.theirs_first)
        return math.nan if math.isnan(first + second) else float((first >= 0.5) != (second >= 0.5))


@dataclass(frozen=True)
class Pairwise:
    """One comparison: preference for ours, position bias, share of pairs whose orders agree."""

    ours: str
    theirs: str
    compared: tuple[Compared, ...]
    preference: MeanInterval
    bias: MeanInterval
    agree: MeanInterval
    failures: tuple[Failure, ...]


def compare_videos(
    results: Sequence[Results], output: Path, judge: Judge, *, count: int = FRAMES,
    progress: Progress = lambda doing, done, total: None,
) -> list[Pairwise]:  # fmt: skip
    """Compare the first model's videos with those of each other, on what `matches` finds.

    Videos of another size are brought to the size of the first model's. Raises ValueError where
    two models have no match, and where the judge cannot be reached at all.
    """
    check_comparable(results)
    output.mkdir(parents=True, exist_ok=True)
    ours, cache = results[0], AnswerCache(output / CACHE)
    return [_comparison(ours, theirs, judge, cache, count, progress) for theirs in results[1:]]


def check_comparable(results: Sequence[Results]) -> None:
    """Raise ValueError where the first model has nothing to be compared with in one of the others.
    """
    for theirs in results[1:]:
        if not matches(results[0], theirs):
            raise ValueError(f"{results[0].model} and {theirs.model} should have videos of one "
                             "pair and seed to compare, got none")


def matches(ours: Results, theirs: Results) -> list[tuple[ExpectedVideo, ExpectedVideo]]:
    """Return the videos that both models have, by pair and seed, in the order of ours."""
    others = {(video.pair.stem, video.seed): video
              for video in theirs.expected() if video.path.exists()}
    return [(video, others[video.pair.stem, video.seed]) for video in ours.expected()
            if video.path.exists() and (video.pair.stem, video.seed) in others]


def _comparison(
    ours: Results, theirs: Results, judge: Judge, cache: AnswerCache, count: int,
    progress: Progress,
) -> Pairwise:  # fmt: skip
    both = matches(ours, theirs)
    doing = f"comparing with {theirs.model}"
    outcomes: dict[tuple[int, bool], Outcome] = {}
    progress(doing, 0, 2 * len(both))
    unreadable: dict[tuple[int, bool], Outcome] = {}
    for place, outcome in ask_all(judge, _queries(both, count, unreadable), cache):
        outcomes[place] = outcome
        progress(doing, len(outcomes), 2 * len(both))
    outcomes |= unreadable
    compared = tuple(Compared(a, b, outcomes[place, True], outcomes[place, False])
                     for place, (a, b) in enumerate(both))
    failures = tuple(outcome for outcome in outcomes.values() if isinstance(outcome, Failure))
    return Pairwise(ours.model, theirs.model, compared, _mean(compared, "preference"),
                    _mean(compared, "lean"), _mean(compared, "agrees"), failures)


def _queries(
    both: Sequence[tuple[ExpectedVideo, ExpectedVideo]], count: int,
    unreadable: dict[tuple[int, bool], Outcome],
) -> Iterator[tuple[tuple[int, bool], Query]]:
    """Yield both orders of every match; put those that do not decode into `unreadable`."""
    for place, (ours, theirs) in enumerate(both):
        try:
            clips = [read_video(video.path).frames for video in (ours, theirs)]
        except VideoError as error:
            unreadable |= dict.fromkeys([(place, True), (place, False)],
                                        Failure(UNREADABLE, str(error)))
            continue
        shared = min(count, *map(len, clips))  # the question names two halves of equal length
        first, second = (sample_frames(clip, shared) for clip in clips)
        second = resize_crop(second, *first.shape[1:3])
        prompt = ours.pair.prompt
        question = PAIR_QUESTION.format(prompt=prompt)
        for ours_first in (True, False):
            frames = np.concatenate((first, second) if ours_first else (second, first))
            yield (place, ours_first), Query(frames, prompt, question, PAIR_TEMPLATE)


def _probability(outcome: Outcome) -> float:
    return outcome.probability if isinstance(outcome, Answer) else math.nan


def _mean(compared: Sequence[Compared], name: str) -> MeanInterval:
    there = [item for item in compared if not math.isnan(getattr(item, name))]
    if not there:
        return NO_INTERVAL
    return over_images(np.array([getattr(item, name) for item in there]),
                       [item.ours.pair.image_id for item in there])
