"""Judge the videos of models, and the control rows beside them.

Letters: F frames, N frames that a judge is shown, H W pixels.

Every video of a model is asked all questions of its pair. The control rows are asked the one about
the prompt: of a still image, of the frames shuffled or reversed, of another prompt's video, and
of the video itself with an empty prompt or the opposite one.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np

from motifocal.bench.judge.asking import AnswerCache, Outcome, Progress, ask_all
from motifocal.bench.judge.judge import (
    FRAMES,
    TEMPLATE,
    UNREADABLE,
    Failure,
    Judge,
    Query,
    sample_frames,
    text_hash,
)
from motifocal.bench.judge.question_table import Questions, questions_by_rule
from motifocal.bench.judge.questions import Question, opposite, prompt_question
from motifocal.bench.results import ExpectedVideo, Results
from motifocal.bench.score.choice import check_names, check_pairs, choose
from motifocal.bench.score.controls import ANOTHER, SHUFFLED, STILL, other_prompts, shuffle_order
from motifocal.bench.score.run import CONTROL, MODEL
from motifocal.media.arrays import Frames
from motifocal.media.video import VideoError, read_image, read_video

CACHE = "answers.jsonl"
REVERSED, EMPTY_PROMPT, OPPOSITE = "frames reversed", "empty prompt", "opposite prompt"
#: Control row -> what is asked in it.
CONTROLS: Mapping[str, str] = MappingProxyType({
    STILL: "the image, once for every frame that a judge is shown",
    SHUFFLED: "the video's frames, all but the first in another order",
    REVERSED: "the video's frames from the last to the first",
    ANOTHER: "the video of another prompt of the same image",
    EMPTY_PROMPT: "the video itself, and the question with an empty prompt",
    OPPOSITE: "the video itself, and the question with a prompt that contradicts its own",
})


@dataclass(frozen=True)
class Asked:
    """One question of one row: the pair and seed that it counts for, what was asked, the outcome.

    `prompt` is the prompt that was asked about, `text` all that the judge read.
    """

    row: str
    kind: str
    video: ExpectedVideo
    prompt: str
    question: Question
    text: str
    outcome: Outcome

    @property
    def sha256(self) -> str:
        """The hash of the text that the judge read."""
        return text_hash(self.text)


@dataclass(frozen=True)
class Judged:
    """All that a judge answered; `identity` says which judge, `count` how many frames it saw."""

    title: str
    marks: tuple[str, ...]
    judge: str
    identity: Mapping[str, Any]
    models: tuple[str, ...]
    control: str
    count: int
    template: str
    seed: int
    asked: tuple[Asked, ...]


@dataclass(frozen=True)
class _Plan:
    """A question to ask: `change` makes the frames of the file `path` those that are shown."""

    row: str
    kind: str
    video: ExpectedVideo
    path: Path
    change: str
    prompt: str
    question: Question


def judge_videos(
    results: Sequence[Results], output: Path, judge: Judge, *, questions: Questions | None = None,
    control: str | None = None, common: bool = False, allow_missing: bool = False,
    count: int = FRAMES, template: str = TEMPLATE, seed: int = 0,
    progress: Progress = lambda doing, done, total: None,
) -> Judged:  # fmt: skip
    """Ask the judge about every video of one or more models, and about the control rows.

    `questions` are those of each pair, by default made by rule. `control` is the model whose videos
    the control rows are made of, by default the first. What is answered is kept in `output`; the
    next run asks what has changed or failed. Raises ValueError as `score` does, for names, pairs
    and missing videos; and where the judge cannot be reached at all.
    """
    names = [result.model for result in results]
    check_names(names, tuple(CONTROLS))
    check_pairs(results)
    control = names[0] if control is None else control
    if control not in names:
        raise ValueError(f"the control model should be one of {', '.join(names)}, got {control}")
    choice = choose(results, {}, common=common, allow_missing=allow_missing)
    if questions is None:
        questions = questions_by_rule(pair for result in results for pair in
                                      result.benchmark.pairs)
    plans = [plan for result in results
             for plan in _of_model(result, choice.videos[result.model], questions)]
    of_control = next(result for result in results if result.model == control)
    plans += _controls(of_control, choice.videos[control], seed)
    output.mkdir(parents=True, exist_ok=True)
    outcomes: dict[int, tuple[str, Outcome]] = {}
    progress("asking", 0, len(plans))
    for place, text, outcome in _answered(plans, judge, AnswerCache(output / CACHE), count,
                                          template, seed):  # fmt: skip
        outcomes[place] = (text, outcome)
        progress("asking", len(outcomes), len(plans))
    asked = tuple(Asked(plan.row, plan.kind, plan.video, plan.prompt, plan.question,
                        *outcomes[place]) for place, plan in enumerate(plans))
    return Judged(results[0].benchmark.title, choice.marks, judge.name, dict(judge.identity),
                  tuple(names), control, count, template, seed, asked)


def _of_model(
    result: Results, videos: Sequence[ExpectedVideo], questions: Questions
) -> Iterator[_Plan]:
    for video in videos:
        for question in questions[video.pair.stem]:
            yield _Plan(result.model, MODEL, video, video.path, "", video.pair.prompt, question)


def _controls(result: Results, videos: Sequence[ExpectedVideo], seed: int) -> Iterator[_Plan]:
    """Yield what is asked in the control rows, row by row."""
    others = other_prompts(videos, seed)
    for row in CONTROLS:
        for video in videos:
            prompt = {EMPTY_PROMPT: "", OPPOSITE: opposite(video.pair.prompt)}.get(
                row, video.pair.prompt)
            path, change = video.path, row if row in (SHUFFLED, REVERSED, STILL) else ""
            if row == STILL:
                path = result.image(video.pair)
            elif row == ANOTHER:
                if video not in others:
                    continue
                path = others[video].path
            yield _Plan(row, CONTROL, video, path, change, prompt, prompt_question(prompt))


def _answered(
    plans: Sequence[_Plan], judge: Judge, cache: AnswerCache, count: int, template: str, seed: int
) -> Iterator[tuple[int, str, Outcome]]:
    """Yield places in `plans`, what the judge read, and the outcome; each file is decoded once."""
    by_path: dict[Path, list[int]] = defaultdict(list)
    for place, plan in enumerate(plans):
        by_path[plan.path].append(place)
    unreadable: list[tuple[int, str, Outcome]] = []
    texts: dict[int, str] = {}

    def queries() -> Iterator[tuple[int, Query]]:
        for path, places in by_path.items():
            try:
                shown = _shown(path, plans[places[0]].change == STILL, count)
            except VideoError as error:
                failure = Failure(UNREADABLE, str(error))
                unreadable.extend((place, "", failure) for place in places)
                continue
            for place in places:
                plan = plans[place]
                frames = _changed(shown, plan.change, seed, plan.video.pair.file(plan.video.seed))
                query = Query(frames, plan.prompt, plan.question.text, template)
                texts[place] = query.text
                yield place, query

    for place, outcome in ask_all(judge, queries(), cache):
        yield place, texts[place], outcome
    yield from unreadable


def _shown(path: Path, still: bool, count: int) -> Frames:
    if still:
        return np.repeat(read_image(path)[None], count, axis=0)
    return sample_frames(read_video(path).frames, count)


def _changed(frames: Frames, change: str, seed: int, name: str) -> Frames:
    if change == REVERSED:
        return frames[::-1]
    if change == SHUFFLED:
        # Two frames cannot change places behind the first; the row then holds the video itself.
        return frames[list(shuffle_order(len(frames), seed, name) or range(len(frames)))]
    return frames
