"""Read benchmarks in their authors' layouts: Animate Bench, OmitI2V, I2V-CompBench v2.

OmitI2V (AlignVid, arXiv 2512.01334): `meta.json`, a list of samples with `id`, `image-path`,
`prompt`, `main-category` and `questions` (each `question`, `expected_answer`); videos are
`<id>.mp4`. Read off the card of the data set and its authors' evaluation/vqa_based/qwen.py.

I2V-CompBench v2: `prompts/<dimension>.txt`, a prompt a line, and
`first_frames/<dimension>/<number of four digits>_16x9.png`; videos are
`<dimension>/<number>.mp4`. Read off the card of the data set; that the lines are in the order of
the numbers is our reading of it. It has no yes-or-no questions.

Neither data set itself was read here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from motifocal.bench import animate_bench
from motifocal.files.json_text import parse_json_at

Rows = list[dict[str, str]]
Read = Callable[[Path, tuple[str, ...]], tuple[Rows, dict[str, Path]]]
OMIT, COMP = "OmitI2V", "I2V-CompBench v2"
META, PROMPTS, FIRST_FRAMES = "meta.json", "prompts", "first_frames"
TABLES = ("pairs.csv", "pairs.json", "pairs.jsonl")  # a folder that holds one has no other layout


@dataclass(frozen=True)
class Layout:
    """A benchmark's folder: its title, what it should count, where its table is, its reader."""

    title: str
    cases: Mapping[str, int]
    table: str
    read: Read


def layout_of(folder: Path) -> Layout | None:
    """Return the layout that a folder has, or None, as for one with a table of pairs."""
    if any((folder / name).exists() for name in TABLES):
        return None
    for matches, layout in _LAYOUTS:
        if matches(folder):
            return layout
    return None


def read_omit(folder: Path, suffixes: tuple[str, ...]) -> tuple[Rows, dict[str, Path]]:
    """Return the rows of OmitI2V and its images by id. Raises ValueError, naming the sample.

    An image has the id of the first sample that shows it: intervals are over images, and samples
    may share one.
    """
    rows: Rows = []
    images: dict[str, Path] = {}
    ids: dict[Path, str] = {}
    for sample in _samples(folder):
        image = _inside(folder, str(sample.get("image-path") or ""))
        image_id = sample["id"] if image is None else ids.setdefault(image, sample["id"])
        rows.append({"image_id": image_id, "prompt": sample["prompt"], "theirs": sample["id"],
                     "scenario": str(sample.get("main-category") or "")})
        if image is not None and image.suffix.lower() in suffixes and image.is_file():
            images[image_id] = image
    return rows, images


def _samples(folder: Path) -> list[dict[str, Any]]:
    path = folder / META
    content = parse_json_at(path, path.read_bytes())
    if not isinstance(content, list):
        raise ValueError(f"{path} should hold a list, got {type(content).__name__}")
    for number, sample in enumerate(content, start=1):
        texts = [sample.get(name) for name in ("id", "prompt")] if isinstance(sample, dict) else []
        if not texts or not all(isinstance(text, str) and text for text in texts):
            raise ValueError(f"{path}, sample {number} should have an id and a prompt")
    return content


def _inside(folder: Path, name: str) -> Path | None:
    """Return a file of the folder, or None for a name that leads out of it."""
    path = (folder / name).resolve()
    return path if name and path.is_relative_to(folder.resolve()) else None


def omit_questions(folder: Path) -> dict[str, list[tuple[str, str]]]:
    """Map the ids of OmitI2V to their questions with the expected answers, yes or no.

    Raises ValueError, naming the sample, for a question of another form or another answer.
    """
    questions = {}
    for sample in _samples(folder):
        listed = sample.get("questions") or []
        try:
            questions[sample["id"]] = [_question(item) for item in listed]
        except (TypeError, KeyError, ValueError) as error:
            raise ValueError(f"{folder / META}, {sample['id']}: questions should have question and "
                             f"expected_answer, yes or no, got {error!r}") from error
    return questions


def _question(item: Mapping[str, Any]) -> tuple[str, str]:
    text, expected = str(item["question"]).strip(), str(item["expected_answer"]).strip().lower()
    if not text or expected not in ("yes", "no"):
        raise ValueError(f"{text!r} with {expected!r}")
    return text, expected


def read_comp(folder: Path, suffixes: tuple[str, ...]) -> tuple[Rows, dict[str, Path]]:
    """Return the rows of I2V-CompBench v2 and its images by id, `<dimension>_<number>`."""
    rows: Rows = []
    images: dict[str, Path] = {}
    for table in sorted((folder / PROMPTS).glob("*.txt")):
        lines = [line.strip() for line in table.read_text(encoding="utf-8-sig").split("\n")]
        for number, prompt in enumerate((line for line in lines if line), start=1):
            name = f"{number:04d}"
            image_id = f"{table.stem}_{name}"
            rows.append({"scenario": table.stem, "image_id": image_id, "prompt": prompt,
                         "theirs": f"{table.stem}/{name}"})
            stem = folder / FIRST_FRAMES / table.stem
            candidates = [stem / f"{name}{end}{suffix}"
                          for end in ("_16x9", "") for suffix in suffixes]
            image = next((path for path in candidates if path.is_file()), None)
            if image is not None:
                images[image_id] = image
    return rows, images


def _is_omit(folder: Path) -> bool:
    return (folder / META).is_file() and not (folder / PROMPTS).is_dir()


def _is_comp(folder: Path) -> bool:
    return (folder / PROMPTS).is_dir() and (folder / FIRST_FRAMES).is_dir()


_LAYOUTS: Sequence[tuple[Callable[[Path], bool], Layout]] = (
    (animate_bench.is_animate_bench,
     Layout(animate_bench.ANIMATE_BENCH, animate_bench.CASES, "configs",
            animate_bench.read_animate_bench)),
    (_is_omit, Layout(OMIT, {"pairs": 367}, META, read_omit)),
    (_is_comp, Layout(COMP, {"scenarios": 5, "pairs": 650}, PROMPTS, read_comp)),
)
