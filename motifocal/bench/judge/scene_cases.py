"""Ask a judge about synthetic scenes, where it is known what happens.

Letters: F frames, H W pixels.

Of every pair of the evaluation the question is whether the video shows what the prompt says, asked
of three clips: the prompt's own (true), another prompt's of the same image (false), and the still
image (false). Where another prompt's clip shows the first one's too, as "all the balloons drift
higher" shows that the blue one does, it is not asked. Nor is what nobody could tell: where the
frames that are shown are those of the prompt's own clip, as of a light that flashes between them.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from motifocal.bench.judge.asking import AnswerCache, Outcome, Progress, ask_all
from motifocal.bench.judge.judge import FRAMES, TEMPLATE, Judge, Query, sample_frames
from motifocal.bench.judge.questions import prompt_question
from motifocal.bench.judge.run import CACHE
from motifocal.media.arrays import Frames
from motifocal.scenes.evaluation.evaluate import EvalPair, eval_pairs, truth_of_pair
from motifocal.scenes.variant import STANDARD, SceneVariant

OWN, ANOTHER, STILL = "its own clip", "another prompt's clip", "the still image"
CLIPS = (OWN, ANOTHER, STILL)
# (asked prompt, another prompt whose clip shows it too), of one image.
_SHOWN_TOO = (
    (r"the \w+ balloon floats up", r"all the balloons drift"),
    (r"the \w+ light bulb lights up", r"all the light bulbs light up"),
    (r"the butterfly flaps", r"the butterfly flies"),
    (r"the candle flame becomes smaller", r"the candle goes out"),
)


@dataclass(frozen=True)
class Case:
    """One question with its truth: the pair that is asked about, and which clip is shown.

    `shown` is the number of the prompt whose clip it is, None for the still image.
    """

    pair: EvalPair
    clip: str
    shown: int | None

    @property
    def truth(self) -> bool:
        """Whether the clip shows what the prompt says."""
        return self.clip == OWN


@dataclass(frozen=True)
class CaseAnswer:
    """A case and what the judge made of it."""

    case: Case
    outcome: Outcome


def scene_cases(
    pairs: int, size: int, variant: SceneVariant = STANDARD, seed: int = 0
) -> list[Case]:
    """Return the cases of the first `pairs` pairs of the evaluation, drawn `size` pixels wide.

    `seed` decides which other clip stands beside a pair's own.
    """
    cases = []
    for pair in eval_pairs(pairs, size, variant):
        prompts = [action.sentence for action in pair.stage().actions]
        others = [place for place, prompt in enumerate(prompts)
                  if place != pair.action and not shows_too(pair.prompt, prompt)]
        cases.append(Case(pair, OWN, pair.action))
        if others:
            rng = np.random.default_rng([seed, zlib.crc32(pair.file().encode())])
            cases.append(Case(pair, ANOTHER, others[int(rng.integers(len(others)))]))
        cases.append(Case(pair, STILL, None))
    return cases


def shows_too(asked: str, other: str) -> bool:
    """Return whether the clip of the prompt `other` shows what the prompt `asked` says."""
    return any(re.match(first, asked) and re.match(second, other) for first, second in _SHOWN_TOO)


def ask_scenes(
    judge: Judge, cases: Sequence[Case], output: Path, *, count: int = FRAMES,
    template: str = TEMPLATE, progress: Progress = lambda doing, done, total: None,
) -> list[CaseAnswer]:  # fmt: skip
    """Ask the judge every case that the frames shown can answer.

    Answers are kept in the folder `output` for the next run.
    """
    output.mkdir(parents=True, exist_ok=True)
    outcomes: dict[int, Outcome] = {}
    progress("asking", 0, len(cases))
    for place, outcome in ask_all(judge, scene_queries(cases, count, template),
                                  AnswerCache(output / CACHE)):
        outcomes[place] = outcome
        progress("asking", len(outcomes), len(cases))
    return [CaseAnswer(case, outcomes[place]) for place, case in enumerate(cases)
            if place in outcomes]


def scene_queries(
    cases: Sequence[Case], count: int = FRAMES, template: str = TEMPLATE
) -> Iterator[tuple[int, Query]]:
    """Yield places in `cases` and what is asked, without those that the frames cannot answer."""
    for place, case in enumerate(cases):
        frames, prompt = shown_frames(case, count), case.pair.prompt
        if not case.truth:
            own = shown_frames(Case(case.pair, OWN, case.pair.action), count)
            if np.array_equal(frames, own):
                continue
        yield place, Query(frames, prompt, prompt_question(prompt).text, template)


def shown_frames(case: Case, count: int) -> Frames:
    """Return the frames of a case that a judge is shown, (N, H, W, 3)."""
    truth = truth_of_pair(case.pair)  # kept for the pairs of one image
    clip = truth.stands_still() if case.shown is None else truth.clips[case.shown]
    return sample_frames(clip, count)
