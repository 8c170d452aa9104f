"""Summarise a judge's answers: rates, differences to the control rows, and a verdict in words.

Intervals are 95 % bootstraps over images, as in `score.tables`; videos of one pair are averaged.
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from motifocal.bench.judge.calibration import SAYS_YES
from motifocal.bench.judge.judge import YES, Answer, Failure
from motifocal.bench.judge.questions import prompt_question
from motifocal.bench.judge.run import Asked, Judged
from motifocal.bench.results import ExpectedVideo
from motifocal.bench.score.run import CONTROL, MODEL
from motifocal.bench.score.tables import PairValues, mean_by_pair
from motifocal.metrics import NO_INTERVAL, MeanInterval, over_images


@dataclass(frozen=True)
class JudgedRow:
    """One row of the table.

    yes: mean P(yes) to the question about the prompt; rate: the share of answers that are yes;
    difference: of the control model's P(yes) less this row's, pair by pair, nan for models; score:
    mean probability of the expected answers, nan for control rows. failures: how many questions
    have no answer, by kind.
    """

    name: str
    kind: str
    pairs: int
    yes: MeanInterval
    rate: MeanInterval
    difference: MeanInterval
    score: MeanInterval
    failures: Mapping[str, int]

    @property
    def told_apart(self) -> bool | None:
        """Whether the judge gives the control model more than this row; None where it cannot be
        said: of models, and of a single image."""
        if self.kind != CONTROL or math.isnan(self.difference.low):
            return None
        return self.difference.low > 0


@dataclass(frozen=True)
class VideoScore:
    """The mean probability of the expected answers of one video, or why there is none."""

    model: str
    video: ExpectedVideo
    score: float | None
    failure: Failure | None


def summarise(judged: Judged) -> list[JudgedRow]:
    """Return a row of every model, then of every control."""
    rows: dict[tuple[str, str], list[Asked]] = defaultdict(list)
    for asked in judged.asked:
        rows[asked.row, asked.kind].append(asked)
    own = mean_by_pair((asked.video.pair, _yes(asked)) for asked in rows[judged.control, MODEL])
    return [_row(name, kind, of_row, own) for (name, kind), of_row in rows.items()]


def _row(name: str, kind: str, asked: Sequence[Asked], own: PairValues) -> JudgedRow:
    answers = [(item.video.pair, _yes(item)) for item in asked]
    yes = mean_by_pair(answers)
    scores = ((item.video.pair, math.nan if item.score is None else item.score)
              for item in video_scores(asked))
    less = {pair: own[pair] - value for pair, value in yes.items() if pair in own}
    failures = Counter(item.outcome.kind for item in asked if isinstance(item.outcome, Failure))
    return JudgedRow(
        name, kind, len({item.video.pair.stem for item in asked}), _mean(yes),
        _mean(mean_by_pair((pair, _rounded(answer)) for pair, answer in answers)),
        _mean(less) if kind == CONTROL else NO_INTERVAL,
        NO_INTERVAL if kind == CONTROL else _mean(mean_by_pair(scores)), dict(failures))


def _yes(asked: Asked) -> float:
    """Return P(yes) to the question about the prompt as `prompt_question` words it, as the control
    rows do; nan for others and failures."""
    if (asked.question != prompt_question(asked.prompt)
            or not isinstance(asked.outcome, Answer)):
        return math.nan
    return asked.outcome.probability


def _rounded(probability: float) -> float:
    return probability if math.isnan(probability) else float(probability >= SAYS_YES)


def _mean(values: PairValues) -> MeanInterval:
    if not values:
        return NO_INTERVAL
    return over_images(np.array(list(values.values())), [image for _, image in values])


def video_scores(asked: Iterable[Asked]) -> list[VideoScore]:
    """Return the score of every video of a model; one failed question leaves it without."""
    videos: dict[tuple[str, ExpectedVideo], list[Asked]] = defaultdict(list)
    for item in asked:
        if item.kind != CONTROL:
            videos[item.row, item.video].append(item)
    scores = []
    for (model, video), items in videos.items():
        failed = [item.outcome for item in items if isinstance(item.outcome, Failure)]
        right = [_expected(item) for item in items]
        scores.append(VideoScore(model, video, None, failed[0]) if failed else
                      VideoScore(model, video, math.fsum(right) / len(right), None))
    return scores


def _expected(asked: Asked) -> float:
    if not isinstance(asked.outcome, Answer):
        return math.nan
    yes = asked.outcome.probability
    return yes if asked.question.expected == YES else 1 - yes


def verdict(judged: Judged, rows: Sequence[JudgedRow]) -> str:
    """Say in words from which control rows the judge tells the videos apart."""
    controls = [row for row in rows if row.kind == CONTROL]
    alike = [row.name for row in controls if row.told_apart is False]
    unknown = [row.name for row in controls if row.told_apart is None]
    words = []
    if alike:
        words.append(f"{judged.judge} DOES NOT TELL the videos of {judged.control} from: "
                     f"{', '.join(alike)}. Either they do not follow their prompts, or what it "
                     "says of them is not about what happens in them; motifocal bench calibrate "
                     "tells which")
    elif len(unknown) < len(controls):
        told_apart = [row.name for row in controls if row.told_apart]
        words.append(f"{judged.judge} tells the videos of {judged.control} from: "
                     f"{', '.join(told_apart)}")
    if unknown:
        words.append(f"it cannot be said of: {', '.join(unknown)} (answers about fewer than two "
                     "images)")
    failed = sum(sum(row.failures.values()) for row in rows)
    if failed:
        words.append(f"{failed} of {len(judged.asked)} questions failed")
    return "; ".join(words) + "."
