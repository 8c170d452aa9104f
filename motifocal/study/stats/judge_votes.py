"""Measure how far judges agree with the votes of people.

P pairs of one or of all comparisons, K clusters (images). A judge prefers the video to which it
gave more. A failed question is a failure in every number: wrong where agreement is counted, and a
value of its own, unlike any vote, in Krippendorff's alpha. Videos that it was not asked about are
left out and counted.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from motifocal.bench.pairs import Pair
from motifocal.files.json_text import parse_strict_json
from motifocal.study.stats.agreement import agreement, agreement_of_counts
from motifocal.study.stats.compare import leads
from motifocal.study.stats.intervals import DEFAULT, NONE, Estimate, Resampling, share
from motifocal.study.stats.tally import LOST, TIED, WON, Tally, Values, check_compared, numbered

KIND = "motifocal judge"  # what a judge's scores.json says it is
POOLED = ""  # the name of all comparisons together
ALL, OURS, THEIRS = "all pairs", "people preferred ours", "people preferred theirs"
FAILED = 3  # the outcome of a pair for a judge that failed, beside WON, LOST and TIED
NOT_ASKED = -1
NO_ESTIMATE = Estimate(math.nan, math.nan, math.nan, 0, NONE)


@dataclass(frozen=True)
class JudgeScores:
    """What a judge gave each video, by (model, stem, seed): None where a question failed."""

    judge: str
    verdict: str
    scores: Mapping[tuple[str, str, int], float | None]
    marks: tuple[str, ...]


@dataclass(frozen=True)
class JudgeVote:
    """One judge in one comparison, or in all (`theirs` is ""), on a part of its pairs.

    part: `ALL`, `OURS`, `THEIRS` or a scenario. pairs: those of the part; not_asked, failed, even
    (no majority) are of these. agreement: the share of asked pairs with a majority in which the
    judge prefers the same video; equal scores count half, failures nothing. alpha_people and
    alpha_with: Krippendorff's alpha of the annotators, and with the judge as one more of them, on
    the pairs that it was asked about; of whole comparisons alone.
    """

    theirs: str
    part: str
    pairs: int
    not_asked: int
    failed: int
    even: int
    agreement: Estimate
    alpha_people: Estimate = NO_ESTIMATE
    alpha_with: Estimate = NO_ESTIMATE


@dataclass(frozen=True)
class JudgeVotes:
    """All rows of one judge: each comparison with its sides and scenarios, the pooled one last."""

    judge: str
    verdict: str
    rows: tuple[JudgeVote, ...]
    marks: tuple[str, ...]


def read_judge(path: Path) -> JudgeScores:
    """Read the scores.json that `motifocal bench judge` wrote. Raise ValueError for another."""
    try:
        content = parse_strict_json(path.read_bytes())
        if content["kind"] != KIND:
            raise ValueError(f"kind is {content['kind']!r}")
        scores = dict(_score(video) for video in content["videos"])
        return JudgeScores(str(content["judge"]), str(content["verdict"]), scores,
                           tuple(str(mark) for mark in content["marks"]))
    except (ValueError, KeyError, TypeError, AttributeError, OverflowError) as error:
        raise ValueError(f"{path} should be what motifocal bench judge writes, got "
                         f"{error!r}") from error


def _score(video: Mapping[str, Any]) -> tuple[tuple[str, str, int], float | None]:
    stem = Pair(video["scenario"], video["image_id"], video["prompt"]).stem
    score = video["score"]
    if score is not None and not 0 <= float(score) <= 1:
        raise ValueError(f"a score should be from 0 to 1, got {score}")
    return (str(video["model"]), stem, int(video["seed"])), None if score is None else float(score)


def judge_votes(
    tallies: Sequence[Tally], seeds: Sequence[Sequence[int]], scores: JudgeScores,
    resampling: Resampling = DEFAULT,
) -> JudgeVotes:  # fmt: skip
    """Compare a judge with the votes of every comparison, and of all together.

    `seeds` says which sampling seed each pair of each tally is of. Raises ValueError where none of
    the compared models was judged.
    """
    check_compared(tallies, f"the scores by {scores.judge}", {model for model, *_ in scores.scores})
    chosen = [_choices(counted, seed, scores) for counted, seed in
              zip(tallies, seeds, strict=True)]
    rows: list[JudgeVote] = []
    for counted, choice in zip(tallies, chosen, strict=True):
        rows += _comparison(counted, choice, resampling)
    rows += _parts(POOLED, np.concatenate(chosen),
                   np.concatenate([_lead(counted) for counted in tallies]),
                   [counted.clusters[k] for counted in tallies for k in counted.cluster],
                   [name for counted in tallies for name in counted.scenarios], resampling)
    return JudgeVotes(scores.judge, scores.verdict, tuple(rows), scores.marks)


def _choices(tally: Tally, seeds: Sequence[int], scores: JudgeScores) -> Values:
    """Return each pair's outcome for the judge (P,): WON, LOST, TIED, FAILED or NOT_ASKED."""
    choices = []
    for stem, seed in zip(tally.pairs, seeds, strict=True):
        keys = [(model, stem, seed) for model in (tally.ours, tally.theirs)]
        if any(key not in scores.scores for key in keys):
            choices.append(NOT_ASKED)
            continue
        ours, theirs = (scores.scores[key] for key in keys)
        if ours is None or theirs is None:
            choices.append(FAILED)
        else:
            choices.append(TIED if ours == theirs else WON if ours > theirs else LOST)
    return np.array(choices, dtype=np.float64)


def _comparison(tally: Tally, choice: Values, resampling: Resampling) -> list[JudgeVote]:
    asked = choice != NOT_ASKED
    people = tally.where(asked)
    # The judge is one more annotator, who may give a fourth answer.
    votes = np.zeros((int(asked.sum()), 4))
    votes[:, :3] = people.outcomes
    votes[np.arange(len(votes)), choice[asked].astype(int)] += 1
    rows = _parts(tally.theirs, choice, _lead(tally), [tally.clusters[k] for k in tally.cluster],
                  tally.scenarios, resampling)
    if asked.any():
        rows[0] = JudgeVote(**{**vars(rows[0]), "alpha_people": agreement(people, resampling),
                               "alpha_with": agreement_of_counts(people, votes, resampling)})
    return rows


def _lead(tally: Tally) -> Values:
    return leads(tally).astype(np.float64)


def _parts(
    theirs: str, choice: Values, lead: Values, cluster: Sequence[str], scenarios: Sequence[str],
    resampling: Resampling,
) -> list[JudgeVote]:  # fmt: skip
    """Return the rows of all pairs, of both sides, and of every scenario."""
    names = np.array(scenarios)
    chosen = {ALL: np.ones(len(choice), bool), OURS: lead > 0, THEIRS: lead < 0}
    chosen |= {name: names == name for name in dict.fromkeys(scenarios) if name}
    return [_row(theirs, part, choice[there], lead[there],
                 [name for name, kept in zip(cluster, there, strict=True) if kept], resampling)
            for part, there in chosen.items()]


def _row(
    theirs: str, part: str, choice: Values, lead: Values, cluster: Sequence[str],
    resampling: Resampling,
) -> JudgeVote:  # fmt: skip
    counts = ((choice != NOT_ASKED) & (lead != 0)).astype(np.float64)
    right = np.where(lead > 0, choice == WON, choice == LOST) + 0.5 * (choice == TIED)
    names, places = numbered(cluster)
    sums = [np.bincount(places, values, len(names)).astype(np.float64)
            for values in (right * counts, counts)]
    return JudgeVote(theirs, part, len(choice), int((choice == NOT_ASKED).sum()),
                     int((choice == FAILED).sum()), int((lead == 0).sum()),
                     share(sums[0], sums[1], resampling))
