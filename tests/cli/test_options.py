"""Options have one name and one meaning in all commands, and old names work with a warning."""

from __future__ import annotations

import re
import shlex
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import click
import numpy as np
import pytest
from click.testing import CliRunner
from command_lines import parsed

from motifocal.cli import cli
from motifocal.cli.options.device import PRECISIONS, Device, chosen_device
from motifocal.cli.options.finetune import MotifWeights
from motifocal.cli.options.sampling import sampling_of
from motifocal.media.video import write_image


def commands(
    command: click.Command, path: str = "motifocal"
) -> Iterator[tuple[str, click.Command]]:
    """All commands that do something, by the words that call them."""
    if not isinstance(command, click.Group):
        yield path, command
        return
    context = click.Context(command)
    for name in command.list_commands(context):
        found = command.get_command(context, name)
        assert found is not None
        yield from commands(found, f"{path} {name}")


def options(name: str) -> dict[str, click.Option]:
    """The option of this name in every command that shows one."""
    return {path: parameter for path, command in commands(cli) for parameter in command.params
            if isinstance(parameter, click.Option) and name in parameter.opts
            and not parameter.hidden}  # fmt: skip


def test_device_is_the_same_everywhere() -> None:
    found = options("--device")
    assert {"motifocal animate", "motifocal bench run", "motifocal prepare", "motifocal train",
            "motifocal figure6", "motifocal scenes eval"} <= set(found)  # fmt: skip
    for path, option in found.items():
        # These have to know what was given; their help says auto.
        if path not in ("motifocal animate", "motifocal bench run"):
            assert option.default == "auto", path
        kind = option.type
        assert isinstance(kind, Device) or (isinstance(kind, click.Choice)
                                            and kind.choices[0] == "auto"), path  # fmt: skip


def test_precision_has_the_same_words_everywhere() -> None:
    for path, option in options("--precision").items():
        assert isinstance(option.type, click.Choice)
        assert set(option.type.choices) <= set(PRECISIONS), path
    assert options("--dtype") == {}


@pytest.mark.parametrize("name", ["--preset", "--camera", "--source", "--dis-preset",
                                  "--camera-motion", "--quiet", "--json"])
def test_a_name_means_one_thing(name: str) -> None:
    meanings = defaultdict(set)
    for path, option in options(name).items():
        meanings[(option.is_flag, option.name)].add(path)
    assert len(meanings) == 1, dict(meanings)


def test_model_is_never_a_name_for_tables() -> None:
    assert "motifocal bench ingest" not in options("--model")
    assert {"motifocal bench ingest", "motifocal bench run"} <= set(options("--name"))


def test_every_command_with_progress_can_be_quiet() -> None:
    found = set(options("--quiet"))
    for path in ("animate", "heatmap", "inspect", "export", "base", "prepare", "train", "figure6",
                 "bundle", "scenes eval", "scenes export", "bench run", "bench ingest",
                 "bench check", "bench score", "study create", "weights ltx"):  # fmt: skip
        assert f"motifocal {path}" in found


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A current folder with what the command lines below name."""
    write_image(tmp_path / "p.png", np.zeros((16, 16, 3), np.uint8))
    (tmp_path / "d").mkdir()
    monkeypatch.chdir(tmp_path)


TRAIN = "train d -o r --model d --preset scenes"
OLD = {
    "animate p.png rises --dtype bfloat16": "animate p.png rises --precision bfloat16",
    "bench run --bench d -o o --model m --dtype float16":
        "bench run --bench d -o o --model m --precision float16",
    "bundle d d -o o --dtype bfloat16": "bundle d d -o o --precision bfloat16",
    "prepare d -o o --model d --precision bf16": "prepare d -o o --model d --precision bfloat16",
    "heatmap d -o o --preset fast": "heatmap d -o o --dis-preset fast",
    "scenes export -o o --camera mixed": "scenes export -o o --camera-motion mixed",
    "scenes preview --camera left": "scenes preview --camera-motion left",
    "bench ingest d --bench d -o o --model Ours": "bench ingest d --bench d -o o --name Ours",
    f"{TRAIN} --cpu": f"{TRAIN} --device cpu",
    "weights ltx d --stride 16": "weights ltx d --spatial-stride 16",
    "weights ltx d --later 4": "weights ltx d --temporal-stride 4",
    "weights ltx d --anew": "weights ltx d --force",
}  # fmt: skip


@pytest.mark.usefixtures("here")
@pytest.mark.parametrize(("old", "new"), OLD.items())
def test_an_old_name_is_taken_for_the_new_one_with_a_warning(
    old: str, new: str, capsys: pytest.CaptureFixture[str]
) -> None:
    found = parsed(*old.split()).params
    warned = capsys.readouterr().err
    assert found == parsed(*new.split()).params
    assert warned.startswith("warning: --")
    assert new.split()[-2] in warned
    assert warned.count("\n") == 1
    assert capsys.readouterr().err == ""


@pytest.mark.usefixtures("here")
def test_a_bad_value_of_an_old_name_is_refused() -> None:
    with pytest.raises(click.BadParameter):
        parsed("animate", "p.png", "rises", "--dtype", "float8")


def test_auto_takes_what_is_there_and_says_so(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    import torch

    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    assert chosen_device("auto") == "cpu"
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: True)
    assert chosen_device("auto") == "mps"
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda: "H100")
    assert chosen_device("auto") == "cuda"
    assert capsys.readouterr().err == "device: cpu\ndevice: mps\ndevice: cuda (H100)\n"
    assert chosen_device("cuda:1") == "cuda:1"
    with pytest.raises(click.BadParameter, match=r"cuda:0, cuda:1.*got cuda:2"):
        chosen_device("cuda:2")


def test_a_device_that_is_named_may_be_one_of_a_cluster_and_not_of_this_machine(
    monkeypatch: pytest.MonkeyPatch
) -> None:
    import torch

    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    with pytest.raises(click.BadParameter, match=r"one of this machine's \(cpu\), got cuda"):
        sampling_of({"device": "cuda"})
    assert sampling_of({"device": "cuda"}, elsewhere=True).device == "cuda"
    assert sampling_of({}, elsewhere=True).device == "cpu"  # auto: of the machine that is asked


def test_train_asks_for_a_preset_and_names_their_sizes(tmp_path: Path) -> None:
    folder = str(tmp_path)
    done = CliRunner().invoke(cli, ["train", folder, "-o", f"{folder}/run", "--model", folder])
    assert done.exit_code == 2
    assert "--preset scenes (a network of 7.3 million" in " ".join(done.stderr.split())
    assert "--preset paper (1.4 billion" in " ".join(done.stderr.split())


@pytest.mark.parametrize("given", ["1,1", "0,1,1.00", "0.3,0.3000001", "-1", "inf", "0,one", ""])
def test_lambdas_that_are_none_or_whose_folders_would_be_one_are_refused(given: str) -> None:
    assert MotifWeights().convert("0,0.25", None, None) == (0.0, 0.25)
    with pytest.raises(click.BadParameter, match="should be like 1 or 0,1"):
        MotifWeights().convert(given, None, None)


def examples() -> list[tuple[str, str]]:
    """Every example of the help of a command, whole lines, without what explains it."""
    found = []
    for path, command in commands(cli):
        text = (command.epilog or "").replace("\\\n", " ").partition("Example")[2]
        lines = [line.strip() for line in text.partition("\n")[2].splitlines() if line.strip()]
        found += [(path, re.split(r" {4,}| && ", line)[0]) for line in lines]
    return found


@pytest.mark.parametrize(("path", "example"), examples())
def test_an_example_of_the_help_has_right_names_and_values(
    path: str, example: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Whether its files are there is not asked, but for the one that --config reads at once."""
    monkeypatch.chdir(tmp_path)
    Path("run").mkdir()
    Path("run", "run.toml").write_text('shards = "shards"\nmodel = "base"\npreset = "scenes"\n')
    monkeypatch.setattr(click.Path, "convert", lambda self, value, param, ctx: Path(value))
    words = shlex.split(example)
    if words[0] == "sh":  # a script that the example before has written
        return
    if "motifocal" in words[1:]:  # behind torchrun or accelerate launch
        words = words[words.index("motifocal", 1) :]
    assert words[0] == "motifocal"
    assert f"motifocal {' '.join(words[1:])}".startswith(path)
    parsed(*words[1:])
