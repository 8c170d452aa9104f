"""Thousands of damaged files go through the readers; every fault is counted and can be repeated.

python scripts/fuzz.py --files 10000 -o out/fuzz
python scripts/fuzz.py --kind mp4 --number 417 -o out/fuzz

A run that was stopped goes on where it was: `log.jsonl` in the folder has a line for every file.
The damaged file of every fault is kept under `faults/`. Exit code 1 where there is a fault.
"""

from __future__ import annotations

import argparse
import itertools
import json
import shutil
import sys
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from pathlib import Path

sys.path.append(str(Path(__file__).parents[1] / "tests" / "support"))

from readable import KINDS
from reading_process import GOOD, Outcome, Reader, damaged_copy, make_whole

EVERY = 30.0  # s between lines of progress


def main() -> int:
    given = arguments()
    given.output.mkdir(parents=True, exist_ok=True)
    whole = given.output / "whole"
    print("making whole files", flush=True)
    make_whole(whole, given.kinds)
    if given.number is not None:
        with Reader(whole, given.seed, kinds=given.kinds) as reader:
            outcome = reader.read(given.kinds[0], given.number)
        keep(given.output, whole, outcome, given.seed)
        print(json.dumps(asdict(outcome)))
        return int(outcome.what not in GOOD)
    outcomes = run(given, whole)
    print(table(outcomes, given.kinds))
    faults = [outcome for outcome in outcomes if outcome.what not in GOOD]
    for outcome in faults:
        print(f"{outcome.what}: --kind {outcome.kind!r} --number {outcome.number}: {outcome.words}")
    print(f"{len(faults)} faults in {len(outcomes)} files")
    return int(bool(faults))


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("-o", "--output", type=Path, default=Path("out/fuzz"))
    parser.add_argument("--files", type=int, default=10_000, help="how many, of all kinds in turn")
    parser.add_argument("--kind", action="append", dest="kinds", choices=sorted(KINDS))
    parser.add_argument("--number", type=int, help="only this file of the kind that is given")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--workers", type=int, default=2, help="processes that read")
    given = parser.parse_args()
    given.kinds = given.kinds or list(KINDS)
    if given.number is not None and len(given.kinds) != 1:
        parser.error("--number needs one --kind")
    return given


def run(given: argparse.Namespace, whole: Path) -> list[Outcome]:
    """The outcomes of all files, those of earlier runs too."""
    log = given.output / f"log-{given.seed}.jsonl"
    known = dict(earlier(log))
    jobs = [(given.kinds[index % len(given.kinds)], index // len(given.kinds))
            for index in range(given.files)]
    missing = [job for job in jobs if job not in known]
    print(f"{len(missing)} of {len(jobs)} files to read", flush=True)
    said = time.monotonic()
    torn = log.exists() and not log.read_bytes().endswith(b"\n")
    with log.open("a", encoding="utf-8") as lines:
        lines.write("\n" if torn else "")
        for outcome in read_all(whole, missing, given):
            known[outcome.kind, outcome.number] = outcome
            lines.write(json.dumps(asdict(outcome)) + "\n")
            lines.flush()
            if outcome.what not in GOOD:
                keep(given.output, whole, outcome, given.seed)
            if time.monotonic() - said > EVERY:
                said = time.monotonic()
                print(progress(known, jobs), flush=True)
    return [known[job] for job in jobs]


def read_all(
    whole: Path, jobs: list[tuple[str, int]], given: argparse.Namespace
) -> Iterator[Outcome]:
    """The outcomes as they come: a part of the jobs for each worker."""
    def part(first: int) -> Iterator[list[Outcome]]:
        with Reader(whole, given.seed, kinds=given.kinds) as reader:
            for kind, number in jobs[first :: given.workers]:
                yield [reader.read(kind, number)]

    parts = [part(first) for first in range(given.workers)]
    with ThreadPoolExecutor(given.workers) as pool:
        while parts:
            turns = list(pool.map(lambda each: next(each, None), parts))
            parts = [each for each, turn in zip(parts, turns, strict=True) if turn is not None]
            yield from itertools.chain.from_iterable(turn for turn in turns if turn is not None)


def earlier(log: Path) -> Iterator[tuple[tuple[str, int], Outcome]]:
    """What a log holds; a line that a kill has cut is left out."""
    if log.exists():
        for line in log.read_text(encoding="utf-8").splitlines():
            try:
                outcome = Outcome(**json.loads(line))
            except (ValueError, TypeError):
                continue
            yield (outcome.kind, outcome.number), outcome


def keep(folder: Path, whole: Path, outcome: Outcome, seed: int) -> None:
    """Leave the folder with the damaged file for whoever mends the reader."""
    place = folder / "faults" / f"{outcome.kind} {outcome.number}"
    shutil.rmtree(place, ignore_errors=True)
    with damaged_copy(whole, outcome.kind, outcome.number, seed) as copy:
        shutil.copytree(copy, place)


def progress(known: dict[tuple[str, int], Outcome], jobs: list[tuple[str, int]]) -> str:
    counts = Counter(known[job].what for job in jobs if job in known)
    words = ", ".join(f"{count} {what}" for what, count in sorted(counts.items()))
    return f"{sum(counts.values())} of {len(jobs)} files: {words}"


def table(outcomes: list[Outcome], kinds: list[str]) -> str:
    """A row a kind: how many files, what became of them, the slowest and the largest."""
    columns = (*GOOD, "exception", "crash", "hang", "memory")
    lines = [f"{'kind':<15}" + "".join(f"{column:>10}" for column in columns)
             + f"{'most s':>10}{'most MB':>10}"]
    for kind in kinds:
        own = [outcome for outcome in outcomes if outcome.kind == kind]
        counts = Counter(outcome.what for outcome in own)
        lines.append(f"{kind:<15}" + "".join(f"{counts[column]:>10}" for column in columns)
                     + f"{max((each.seconds for each in own), default=0):>10.2f}"
                     + f"{max((each.megabytes for each in own), default=0):>10.0f}")
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
