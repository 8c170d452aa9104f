"""Judge the sampled videos of several runs together: scores with control rows, and a study.

Everything lies in one folder named after the videos' bytes, so that a study that people vote in
is never replaced by one of other videos:

    videos-0123456789/results/motif-weight-0/    as `motifocal bench run` writes results
    videos-0123456789/scores/                    as `motifocal bench score` writes scores
    videos-0123456789/study.db                   as `motifocal study create` makes a study
"""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from motifocal.cli.output.progress import phases
from motifocal.files.json_text import read_json_object
from motifocal.files.names import shortened, slug

if TYPE_CHECKING:
    from motifocal.bench.results import Results
    from motifocal.bench.score.tables import Summary
    from motifocal.training.finetune.cache import ClipCache

SETTINGS = "finetune.json"
TITLE = "fine-tuning side by side"


def newest_videos(run: Path) -> list[Path]:
    """Return the videos of the last step that was sampled at."""
    steps = sorted((run / "samples").glob("step-*"))
    return sorted(steps[-1].glob("*.mp4"), key=lambda path: int(path.stem)) if steps else []


def results_of(output: Path, runs: Mapping[float, Path], clips: ClipCache) -> list[Results]:
    """Put the newest videos of each run into a folder of results; none where a run has none."""
    from motifocal.bench.pairs import Benchmark
    from motifocal.bench.results import Results, claim_results
    from motifocal.files.atomic import sha256_of
    from motifocal.generate.model import Format
    from motifocal.media.video import read_video
    from motifocal.training.finetune.cache import picture_path

    videos = {weight: newest_videos(run) for weight, run in runs.items()}
    count = min(map(len, videos.values()))
    if not count:
        return []
    pairs = tuple(pairs_of(clips, count))
    place = output / f"videos-{sha256_of(*(v for of_run in videos.values() for v in of_run))[:10]}"
    first = read_video(next(iter(videos.values()))[0])
    results = []
    for weight, run in runs.items():
        made = Results(
            place / "results" / f"motif-weight-{weight:g}", f"motif-weight-{weight:g}",
            read_json_object(run / SETTINGS), Benchmark(TITLE, pairs, count), (0,),
            Format.of(first.frames, first.fps),
        )  # fmt: skip
        made.folder.mkdir(parents=True, exist_ok=True)
        claim_results(made)
        for pair, clip, video in zip(pairs, clips.clips, videos[weight], strict=False):
            shutil.copyfile(picture_path(clips.folder, clip.clip), made.image(pair))
            shutil.copyfile(video, made.folder / "videos" / pair.file(0))
        results.append(made)
    return results


def pairs_of(clips: ClipCache, count: int) -> list[Any]:
    """Return a pair of image and prompt for each of the first clips.

    Clips that begin with the same image have one image id, so that their prompts can stand in
    for each other; the same prompt a second time is told apart by another id. The prompt is the
    caption as `prompt_of` gives it, since videos are named after it.
    """
    from motifocal.bench.pairs import Pair
    from motifocal.files.atomic import sha256_of
    from motifocal.training.finetune.cache import picture_path

    pairs: list[Pair] = []
    seen: Counter[str] = Counter()
    for clip in clips.clips[:count]:
        name = f"clip-{sha256_of(picture_path(clips.folder, clip.clip))[:10]}"
        pair = Pair(TITLE, name, prompt_of(clip.caption))
        again = seen[pair.stem]
        seen[pair.stem] += 1
        pairs.append(replace(pair, image_id=f"{name}-{again}") if again else pair)
    return pairs


def prompt_of(caption: str) -> str:
    """Return a caption on one line, cut to what a video's name has room for (see `shortened`)."""
    from motifocal.bench.pairs import LONGEST_NAME, SEED_ROOM

    room = LONGEST_NAME - SEED_ROOM - len("clip-0123456789-00000_")
    line = " ".join(caption.split())
    prompt = shortened(line, room)
    # A few letters have three bytes in lower case and two in upper case.
    fits = len(slug(prompt).encode()) <= room
    return prompt if fits else shortened(line, room * 2 // 3)


def scores_of(results: Sequence[Results]) -> Summary:
    """Measure all videos and those of the control rows, and write the tables."""
    from motifocal.bench.score.report import write_files
    from motifocal.bench.score.run import score
    from motifocal.bench.score.tables import summarise

    place = results[0].folder.parents[1] / "scores"
    with phases() as show_progress:
        summary = summarise(score(results, place, allow_missing=True, progress=show_progress))
    write_files(summary, place)
    return summary


def study_of(results: Sequence[Results]) -> tuple[Path | None, str]:
    """Make a study that compares the last run with the others, unless there is one.

    Returns its file, None where it cannot be made, and what is to be said of it. Comparisons with
    a known answer are of all kinds that these videos allow; where they hardly move, of none.
    """
    from motifocal.extras import missing_extra

    path = results[0].folder.parents[1] / "study.db"
    if path.exists():
        return path, ""
    try:
        from motifocal.study.create.study import create_study
        from motifocal.study.protocol import Protocol
    except ModuleNotFoundError as error:
        return None, missing_extra(error) or str(error)
    *others, last = results
    per_image = Counter(pair.image_id for pair in last.benchmark.pairs)
    moving = ("still", "shuffled", *(("other_sentence",) if max(per_image.values()) > 1 else ()))
    reason = ""
    for kinds, words in ((moving, ""), ((), "There is no comparison with a known answer in it: "
                                        "too few of the videos move.")):  # fmt: skip
        rules: dict[str, Any] = {"gold_every": 0} if not kinds else {}
        protocol = Protocol(gold_kinds=(*kinds, "repeat"), gold_counted=kinds, **rules)
        try:
            with phases() as show_progress:
                create_study(path, last, others, protocol, progress=show_progress)
            return path, words
        except ValueError as error:
            reason = str(error)
    return None, reason
