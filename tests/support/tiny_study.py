"""Studies in a moment: one with real videos of 32 pixels, and ones of any size without videos."""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from sqlalchemy import create_engine
from tiny_bench import FORMAT, FPS, SENTENCES, moving, textured

from motifocal.bench.pairs import Benchmark, Pair
from motifocal.bench.results import Results, claim_results
from motifocal.media.picture import Pixels
from motifocal.media.video import write_image, write_video
from motifocal.study.create.encoding import Encoded, Layout, RealItem
from motifocal.study.create.gold_videos import Damaged
from motifocal.study.create.matching import AS_THEY_ARE, Group
from motifocal.study.create.study import create_study
from motifocal.study.create.writing import write_study
from motifocal.study.messages import Answer, Task
from motifocal.study.protocol import Protocol
from motifocal.study.schedule import sides
from motifocal.study.store.database import parse_url
from motifocal.study.store.store import Store
from motifocal.study.votes import GOLD

RULES: Mapping[str, Any] = {"votes": 3, "cap": 20, "gold_every": 4, "lease_seconds": 600,
                            "least_seconds": 0}


def tiny_results(
    folder: Path, model: str = "Ours", *, sentences: Mapping[str, Sequence[str]] = SENTENCES,
    seeds: tuple[int, ...] = (0,), turned: bool = False, side: int = FORMAT.width,
    frames: int = FORMAT.frames, fps: float = FPS,
) -> Results:  # fmt: skip
    """A folder of results whose pictures slide to the right, or `turned` downwards."""
    pairs = tuple(Pair(image_id.split("_")[0], image_id, prompt)
                  for image_id, prompts in sentences.items() for prompt in prompts)
    results = Results(folder, model, {}, Benchmark("tiny", pairs, len(pairs)), seeds, None)
    claim_results(results)
    for number, image_id in enumerate(sentences):
        write_image(results.image(Pair("", image_id, "")), textured(number, side, side))
    for video in results.expected():
        picture = textured(list(sentences).index(video.pair.image_id), side, side)
        write_video(video.path, _sliding(picture, video.pair.prompt, video.seed, turned, frames),
                    fps)
    return results


def _sliding(picture: Pixels, prompt: str, seed: int, turned: bool, frames: int) -> Pixels:
    if picture.shape[0] == FORMAT.height and not turned:
        return moving(picture, prompt, seed, frames)
    step = 1 + (len(prompt) + seed) % 3
    return np.stack([np.roll(picture, index * step, axis=not turned) for index in range(frames)])


def tiny_study(path: Path, *, baselines: Sequence[str] = ("Theirs",), **rules: Any) -> Store:
    """A study of real videos (32 x 32 pixels, 5 frames, 8 fps): 4 pairs of 3 pictures.

    `rules` are fields of the protocol, over `RULES`. The folders of results stay beside it.
    """
    folder = path.with_name(f"{path.stem} results")
    ours = tiny_results(folder / "ours")
    theirs = [tiny_results(folder / name, name, turned=True) for name in baselines]
    create_study(path, ours, theirs, Protocol(**{**RULES, **rules}))
    return Store(path)


def blank_study(
    place: str | Path, *, pictures: int = 4, sentences: int = 2, baselines: int = 1, gold: int = 3,
    seed: int = 0, **rules: Any,
) -> Store:  # fmt: skip
    """A study whose media are a few bytes: `pictures` x `sentences` pairs, `gold` items of each
    damaged kind. For tests of who gets what, not of how it looks."""
    protocol = Protocol(**{**RULES, **rules})
    rng = random.Random(seed)
    groups = [Group(Pair(f"place{picture % 2}", f"picture{picture}", f"sentence {sentence}"), 0,
                    Path("none"), ())
              for picture in range(pictures) for sentence in range(sentences)]
    items = [RealItem(baseline, group, sides(protocol.votes, a_more=group % 2 == 1, order=rng))
             for baseline in range(1, baselines + 1) for group in range(len(groups))]
    rng.shuffle(items)
    kinds = [kind for kind in protocol.gold_kinds if protocol.gold_every and kind != "repeat"]
    damaged = [Damaged(kind, rng.randrange(len(groups)), rng.randrange(baselines + 1), 0, ())
               for kind in kinds for _ in range(gold)]
    models = ("Ours", *(f"Theirs {number}" for number in range(1, baselines + 1)))
    layout = Layout(protocol, models, tuple(groups), (FORMAT,) * len(groups), tuple(items),
                    tuple(damaged), AS_THEY_ARE, 12, {"models": {name: {} for name in models}})
    write_study(parse_url(place), layout, _blank_videos(layout),
                ((f"picture{picture}", b"picture") for picture in range(pictures)))
    return Store(place)


def _blank_videos(layout: Layout) -> Any:
    for group in range(len(layout.groups)):
        videos = {("", model): f"video of {name}".encode()
                  for model, name in enumerate(layout.models)}
        videos |= {(gold.kind, index): gold.kind.encode()
                   for index, gold in enumerate(layout.gold) if gold.group == group}
        yield Encoded(group, videos)


def arrive(store: Store, external: str | None = None, source: str = "link") -> str:
    """The id of an annotator who has agreed and passed the check, if there is one."""
    annotator = store.join(source, external)
    store.consent(annotator.id)
    if store.protocol.check:
        assert store.answer_check(annotator.id, [each.right for each in store.protocol.check])
    return annotator.id


def answer(choice: str = "left", *reasons: str, milliseconds: int = 4000) -> Answer:
    """An answer that any protocol takes."""
    given = reasons or (() if choice == "tie" else ("object_motion",))
    return Answer(choice, given, milliseconds, 2, 0)  # type: ignore[arg-type]


def attentive(store: Store, task: Task) -> Answer:
    """The answer of somebody who always prefers ours, and sees every damage (in a blank study)."""
    left, right = (store.media(video) for video in (task.left, task.right))
    assert left is not None
    assert right is not None
    chosen = b"Ours" in left.data
    for one, other in ((left, False), (right, True)):
        chosen = other if one.data.decode() in GOLD else chosen
    return answer("left" if chosen else "right")


def careless(store: Store, task: Task) -> Answer:
    """The answer of somebody who is always wrong: the other side of an attentive one's."""
    return answer("right" if attentive(store, task).choice == "left" else "left")


def judge_all(store: Store, how: Callable[[Store, Task], Answer]) -> str:
    """An annotator comes and judges until nothing is left for them; who it was."""
    who = arrive(store)
    while (task := store.task(who)) is not None:
        store.vote(who, task.slot, how(store, task))
    return who


def judge(store: Store, who: str, choice: str = "left", now: float | None = None) -> Task | None:
    """Ask for a task and answer it; the task, or None where there was none."""
    task = store.task(who, now)
    if task is not None:
        store.vote(who, task.slot, answer(choice), now)
    return task


def finish(store: Store, annotators: int = 1000) -> list[str]:
    """Let annotators come one after the other until nothing is left; who came."""
    came = []
    for _ in itertools.islice(itertools.count(), annotators):
        progress = store.progress()
        if progress.done == progress.wanted:
            return came
        came.append(arrive(store))
        while judge(store, came[-1]) is not None:
            pass
    raise AssertionError(f"{annotators} annotators should finish the study")


def read_table(path: Path, statement: Any) -> list[tuple[Any, ...]]:
    engine = create_engine(f"sqlite:///{path}")
    with engine.connect() as connection:
        found = [tuple(row) for row in connection.execute(statement)]
    engine.dispose()
    return found
