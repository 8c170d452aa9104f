"""Read and write questions as a table: scenario, image_id, prompt, kind, question, expected."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from motifocal.bench.judge.judge import YES
from motifocal.bench.judge.questions import OWN, Question, prompt_question, questions_of
from motifocal.bench.layouts import OMIT, layout_of, omit_questions
from motifocal.bench.pair_tables import ALIASES, read_rows
from motifocal.bench.pairs import Pair, first_few
from motifocal.files.csv_text import csv_text

COLUMNS = {
    **{name: ALIASES[name] for name in ("image_id", "prompt")},
    "question": ("question", "text_of_question", "q"),
    "expected": ("expected", "expected_answer", "answer"),
    "kind": ("kind", "question_kind"),
}
#: Stem of a pair -> its questions.
Questions = Mapping[str, tuple[Question, ...]]


def questions_by_rule(pairs: Iterable[Pair]) -> dict[str, tuple[Question, ...]]:
    """Return the questions that the rules make of each pair's prompt."""
    return {pair.stem: tuple(questions_of(pair.prompt)) for pair in pairs}


def questions_of_benchmark(folder: Path, pairs: Sequence[Pair]) -> Questions:
    """Return OmitI2V's own questions where `folder` holds it, and else those made by rule, as for
    pairs of another table.

    Raises ValueError for questions of another form.
    """
    layout = layout_of(folder)
    if layout is None or layout.title != OMIT:
        return questions_by_rule(pairs)
    listed = omit_questions(folder)
    return questions_by_rule(pairs) | {
        pair.stem: with_prompt_question(pair, [Question(*item) for item in listed[pair.theirs]])
        for pair in pairs if pair.theirs in listed}


def read_questions(path: Path, pairs: Sequence[Pair]) -> Questions:
    """Read a table of questions, and return those of every pair, the one about its prompt among
    them.

    Columns: image_id, prompt, question, expected (yes or no, yes where it is empty), and perhaps
    kind. Raises ValueError, naming the row, for other answers and for a pair that there is not; and
    for pairs without a question.
    """
    stems = {pair.stem.casefold(): pair for pair in pairs}
    listed: dict[str, list[Question]] = defaultdict(list)
    for number, row in enumerate(read_rows(path, COLUMNS), start=1):
        prompt = " ".join(row.get("prompt", "").split())
        pair = stems.get(Pair("", row.get("image_id", ""), prompt).stem.casefold())
        if pair is None:
            raise ValueError(f"{path}, row {number}: there is no pair {row.get('image_id', '')!r} "
                             f"with {prompt!r}")
        try:
            listed[pair.stem].append(Question(row.get("question", ""),
                                              row.get("expected", "").lower() or YES,
                                              row.get("kind", "") or OWN))
        except ValueError as error:
            raise ValueError(f"{path}, row {number}: {error}") from error
    lacking = [pair.stem for pair in pairs if pair.stem not in listed]
    if lacking:
        raise ValueError(f"{path} should hold questions of every pair, got none of "
                         f"{first_few(lacking)}")
    return {pair.stem: with_prompt_question(pair, listed[pair.stem]) for pair in pairs}


def with_prompt_question(pair: Pair, questions: Sequence[Question]) -> tuple[Question, ...]:
    """Return the questions and, if it is not among them word by word, the one about the prompt,
    which the control rows are compared by."""
    about_prompt = prompt_question(pair.prompt)
    return tuple(questions) if about_prompt in questions else (*questions, about_prompt)


def questions_csv(pairs: Iterable[Pair], questions: Questions) -> str:
    """Return the table of questions, in the order of the pairs."""
    return csv_text(
        ("scenario", "image_id", "prompt", "kind", "question", "expected"),
        ((pair.scenario, pair.image_id, pair.prompt, question.kind, question.text,
          question.expected) for pair in pairs for question in questions[pair.stem]))
