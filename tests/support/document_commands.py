"""Commands of the documents, checked, made smaller, and run in this process."""

from __future__ import annotations

import importlib
import re
from fnmatch import fnmatch
from pathlib import Path

import document_stand_ins
import tiny
from click.testing import CliRunner
from command_lines import parsed
from document_blocks import ROOT

from motifocal.cli import cli

# Commands that are not run here, by a pattern of the whole line, and why. Their options and values
# are checked by the command line itself all the same.
NOT_RUN = {
    "make *": "sets up a virtual environment; CI runs it",
    "pip install *": "tests/project/test_install.py runs it",
    "pip check": "reports on the environment of the reader",
    "pipx install *": "tests/project/test_install.py runs what it installs",
    "python benchmarks/*": "measures for minutes: tests/project/test_benchmarks.py",
    "motifocal * s3://*": "needs a bucket: tests/data/test_remote.py",
    "* --judge *": "needs a judge's weights or a server: tests/judge/",
    "motifocal bench calibrate*": "likewise: tests/judge/test_calibrate.py",
    "* --device cuda*": "needs a GPU and published weights",
    "*--model Wan-AI/*": "needs published weights",
    "*--model Lightricks/*": "needs published weights",
    "* --command *": "runs another project's program",
    "torchrun *": "two processes: tests/training/test_processes.py runs them",
    "accelerate launch *motifocal.bridges.*": "needs another trainer: tests/bridges/",
    "accelerate launch*": "two processes; tests/training/test_processes.py starts them by torchrun",
    "motifocal weights *": "needs another trainer's cached latents: tests/bridges/",
    "motifocal latents probe *": "needs a model's configuration: tests/loss/test_grid_probe.py",
    "motifocal import *": "needs released weights: tests/models/",
    "motifocal study serve *": "serves until it is stopped: tests/study/test_study_serve.py",
    "motifocal bench vbench *": "for another project's program: tests/bench/test_bench_vbench.py",
    "motifocal study import *": "needs what browsers saved: tests/study/test_study_static.py",
    "runs/*.sh *": "trains for minutes to hours; tests/training/test_ablations.py runs its parts",
    "python scripts/*": "studies of minutes to hours, of data that is not here",
    "run-the-training": "stands for a program of the reader's",
}

# What makes commands small: further words, by a pattern of the line; the last of an option counts.
SETTINGS = ("steps=2", "warmup=1", "cooldown=0", "global_batch=2", "micro_batch=2", "precision=no")
TRAINING = [word for setting in SETTINGS for word in ("--set", setting)]
SMALLER = {
    "motifocal animate *": ["--steps", "1", "--frames", "2", "--device", "cpu"],
    "motifocal inspect *": ["--size", "32x48", "--workers", "1"],
    "motifocal export * --family ltx *": ["--size", "32x64", "--workers", "1"],
    "motifocal export * --family wan *": ["--size", "32x48", "--workers", "1"],
    "motifocal prepare *": ["--size", "32", "--frames", "4", "--workers", "0", "--device", "cpu"],
    "motifocal train *": ["--device", "cpu", "--samples", "0", *TRAINING],
    "motifocal figure6 *": ["--bins", "2", "--device", "cpu"],
    "motifocal scenes preview *": ["--size", "16"],
    "motifocal scenes export * --kind dataset *": ["--clips", "2", "--size", "16"],
    "motifocal scenes export * --kind benchmark*": ["--pairs", "2", "--size", "64"],
    "motifocal scenes export -o scenes *": ["--pairs", "12"],  # which pairs depends on how many
    "motifocal scenes probe *": ["--pairs", "2", "--device", "cpu"],
    "motifocal scenes eval *": ["--pairs", "2", "--steps", "1", "--device", "cpu"],
    "motifocal scenes eval * --pairs 12 *": ["--pairs", "12"],
    "motifocal bench run * --model bundled *": ["--steps", "1", "--device", "cpu"],
    "motifocal bench score *": ["--workers", "1"],
    "motifocal study simulate *": ["--pairs", "8", "--annotators", "6"],
    "motifocal study create *": ["--gold-every", "4", "--least-seconds", "0"],
}
FEWER_FRAMES = {"81": "17", "49": "17", "25": "9"}

# What may take minutes says on stderr what it does, as a plain line where there is no terminal.
LONG = ("animate", "heatmap", "inspect", "export", "prepare", "train", "figure6", "bundle",
        "scenes *", "bench run", "bench ingest", "bench check", "bench score", "bench gallery",
        "study create")  # fmt: skip
PROGRESS = re.compile(r"^(loading|listing|.+ \.\.\.$|.+: \d+ of \d+)", re.MULTILINE)
MAY_FAIL = {"* --fail-on *"}  # the exit code is what these are about


def reason_of(words: list[str]) -> str | None:
    """Why a command is not run, if so."""
    line = " ".join(words)
    return next((why for pattern, why in NOT_RUN.items() if fnmatch(line, pattern)), None)


def smaller(words: list[str]) -> list[str]:
    """The command with fewer frames and the words of SMALLER."""
    line = " ".join(words)
    words = [FEWER_FRAMES.get(word, word) if before == "--frames" else word
             for before, word in zip(["", *words], words, strict=False)]  # fmt: skip
    words = expanded(words)
    more = [extra for pattern, extra in SMALLER.items() if fnmatch(f"{line} ", pattern)]
    if words[1] == "inspect" and "--frames" not in words:
        words += ["--frames", "17"]
    return [*words, *(word for extra in more for word in extra)]


SCRIPTS = ("benchmarks/", "runs/", "scripts/")


def expanded(words: list[str]) -> list[str]:
    """The words with * replaced by the files that fit, as a shell does."""
    return [path for word in words
            for path in (sorted(map(str, Path().glob(word))) if "*" in word else [word])]


def check(words: list[str]) -> None:
    """What can be known of a command that is not run."""
    words = expanded(words)
    if words[0] == "make":
        targets = set(re.findall(r"^(\w+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
        assert {word for word in words[1:] if "=" not in word} <= targets
    elif place := next((w for w in words[:2] if w.startswith(SCRIPTS)), None):
        script = (ROOT / place).read_text()
        assert [word for word in words if word[:2] == "--" and word not in script] == []
    elif words[0] == "motifocal":
        parsed(*words[1:])
    elif "motifocal" in words:
        parsed(*words[words.index("motifocal") + 1 :])
    elif module := next((word for word in words if word.startswith("motifocal.")), None):
        importlib.import_module(module)
    elif words[0] == "python":
        assert (ROOT / words[1]).exists()
        importlib.import_module(Path(words[1]).stem).arguments(words[2:])


def run_command(words: list[str]) -> None:
    """Run one command of a document as it stands there, only smaller."""
    if reason_of(words) is not None:
        check(words)
        replace_outputs(words)
        return
    if words[0] == "python":
        tiny.fresh_accelerator()
        importlib.import_module(Path(words[1]).stem).main(words[2:])
        return
    assert words[0] == "motifocal", f"{words[0]} is no program that the documents may name"
    tiny.fresh_accelerator()
    for word in words[1:]:
        if word.startswith("results/") and words[words.index(word) - 1] != "-o":
            document_stand_ins.make_results(Path(word))  # of a model that the page does not run
    done = CliRunner().invoke(cli, smaller(words)[1:])
    line = " ".join(words)
    if not any(fnmatch(line, pattern) for pattern in MAY_FAIL):
        assert done.exit_code == 0, f"{line}\n{done.output}\n{done.exception!r}"
    if any(fnmatch(line, f"motifocal {command} *") for command in LONG):
        assert PROGRESS.search(done.stderr), f"{line}\nsays nothing of what it does"


def replace_outputs(words: list[str]) -> None:
    """Stand-ins for what a command that is not run would have left for the next ones."""
    if words[1:3] == ["bench", "run"]:
        document_stand_ins.make_results(Path(words[words.index("-o") + 1]))
    elif words[1:3] == ["study", "serve"]:
        document_stand_ins.judge(Path(words[3]))
