"""`train --config`: what a file of options and settings means, and that a run's own repeats it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import tiny
from hypothesis import given, settings
from hypothesis import strategies as st
from train_command import invoke

from motifocal.cli.options.finetune import TRAIN as OF_FINETUNING
from motifocal.cli.options.run_file import OF_THE_CALL
from motifocal.cli.train import train
from motifocal.files.toml_text import format_toml, parse_toml
from motifocal.training.checkpoint import load_checkpoint
from motifocal.training.log import read_log
from motifocal.training.presets import RENAMED, TrainingSettings


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with shards/ and base/."""
    folder = tmp_path_factory.mktemp("place")
    tiny.tiny_shards(folder / "shards")
    tiny.tiny_base(folder / "base")
    return folder


@pytest.fixture(scope="module")
def run(place: Path) -> Path:
    """A run of five steps that the command line has told everything."""
    given = ["train", str(place / "shards"), "-o", str(place / "run"), "--model",
             str(place / "base"), "--preset", "scenes", "--device", "cpu", "--samples", "0",
             "--log-with", "none", *tiny.assignments(optimizer="muon", seed=3)]  # fmt: skip
    result = invoke(*given)
    assert result.exit_code == 0, result.output
    return place / "run"


def dry_run(*given: str | Path) -> dict[str, Any]:
    """The settings that a call would train with."""
    result = invoke("train", *given, "--dry-run")
    assert result.exit_code == 0, result.output
    values: dict[str, Any] = json.loads(result.stdout.strip().rpartition("\n")[0])
    return values


def losses(run: Path) -> list[dict[str, float]]:
    return [{**line, "seconds": 0.0} for line in read_log(run / "log.jsonl")]


def test_a_run_from_its_own_file_equals_the_first_bit_for_bit(run: Path, tmp_path: Path) -> None:
    result = invoke("train", "--config", run / "run.toml", "-o", tmp_path / "again")
    assert result.exit_code == 0, result.output
    assert losses(tmp_path / "again") == losses(run)
    folders = (run, tmp_path / "again")
    first, second = (load_checkpoint(folder / "checkpoints") for folder in folders)
    assert first is not None
    assert second is not None
    assert tiny.equal(first["unet"], second["unet"])
    for ours, theirs in zip(first["average"]["shadow_params"], second["average"]["shadow_params"],
                            strict=True):  # fmt: skip
        assert ours.equal(theirs)
    one, other = (parse_toml((folder / "run.toml").read_text()) for folder in folders)
    assert {**one, **{key: other[key] for key in ("shards", "model")}} == other


def test_the_file_of_a_run_holds_every_option_and_every_setting(run: Path) -> None:
    values = parse_toml((run / "run.toml").read_text())
    options = {param.name for param in train.params if param.expose_value}
    options -= OF_THE_CALL | OF_FINETUNING
    not_given = {"held_out", "image_condition"}
    assert set(values) == set(TrainingSettings.model_fields) | options - not_given
    assert values["unet"]["head_width"] == 4
    assert (values["shards"], values["output"], values["model"]) == ("../shards", ".", "../base")


def test_a_run_goes_on_by_its_own_file(run: Path) -> None:
    before = (run / "run.toml").read_text()
    result = invoke("train", "--config", run / "run.toml")
    assert result.exit_code == 0, result.output
    assert "resuming at step" in result.stderr
    assert (run / "run.toml").read_text() == before


def test_the_command_line_counts_more_than_the_file_and_set_most(
    place: Path, tmp_path: Path
) -> None:
    (tmp_path / "my.toml").write_text(
        f'shards = "{place / "shards"}"\nmodel = "{place / "base"}"\noutput = "file"\n'
        'preset = "scenes"\nsteps = 200\nseed = 5\nlog_with = ["none"]\n'
        "[unet]\nhead_width = 4\nlatent_channels = 4\nblock_out_channels = [4, 8]\n"
        "norm_num_groups = 2\ncross_attention_dim = 8\ntemporal_dropout = 0.25\n"
    )
    config = ("--config", tmp_path / "my.toml")
    stored = dry_run(*config)
    assert (tmp_path / "file/run.toml").exists()
    assert (stored["steps"], stored["seed"]) == (200, 5)
    assert stored["unet"]["temporal_dropout"] == 0.25
    stored = dry_run(*config, "-o", tmp_path / "line", "--set", "seed=6",
                     "--set", "unet.temporal_dropout=0")  # fmt: skip
    assert (stored["steps"], stored["seed"], stored["unet"]["temporal_dropout"]) == (200, 6, 0)
    assert stored["unet"]["head_width"] == 4
    assert stored["optimizer"] == "muon"  # the preset's, as nothing else says it
    assert sorted(path.name for path in (tmp_path / "line").iterdir()) == [
        "run.toml", "training.json"]  # fmt: skip


def test_a_file_and_set_may_have_old_names_of_settings_which_are_told(
    run: Path, tmp_path: Path
) -> None:
    text = (run / "run.toml").read_text()
    for old, now in RENAMED.items():
        text = text.replace(f"\n{now} = ", f"\n{old} = ")
    old_file = run / "old.toml"  # beside the other, for its relative paths
    old_file.write_text(text)
    result = invoke("train", "--config", old_file, "-o", tmp_path, "--set", "rate=0.125",
                    "--dry-run")  # fmt: skip
    assert result.exit_code == 0, result.output
    warnings = [f"warning: the setting {old} is now {now}; the old name will go"
                for old, now in RENAMED.items()]  # fmt: skip
    assert result.stderr.splitlines()[:4] == [*warnings, warnings[0]]
    now, before = (parse_toml((f / "run.toml").read_text()) for f in (tmp_path, run))
    given = {"learning_rate": 0.125, "shards": now["shards"], "model": now["model"]}
    assert now == {**before, **given}


BAD_FILES = {
    "a key that does not exist": (
        "stepz = 4", "there is no option or setting 'stepz'; did you mean 'steps'"),
    "no TOML": ("steps = ", "bad.toml should be TOML, got: "),
    "a network that is no table": ("unet = 3", "unet should be a table"),
    "a key of the network": ("[unet]\nwidth = 3", "there is no setting 'unet.width'"),
    "a path that is none": ("held_out = 3", "held_out should be a path, got 3"),
    "what belongs to the call": ("dry_run = true", "no option or setting 'dry_run'"),
    "a value": ("steps = 'many'", "steps should be a valid integer"),
}  # fmt: skip


@pytest.mark.parametrize("case", BAD_FILES)
def test_a_bad_file_is_named_before_anything_is_written(
    case: str, place: Path, tmp_path: Path
) -> None:
    text, message = BAD_FILES[case]
    (tmp_path / "bad.toml").write_text(text)
    result = invoke("train", place / "shards", "-o", tmp_path / "run", "--model", place / "base",
                    "--preset", "scenes", "--config", tmp_path / "bad.toml")  # fmt: skip
    assert isinstance(result.exception, ValueError)
    assert message in str(result.exception)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("text", "message"),
    [("samples = -1", "Invalid value for '--samples'"),
     ("device = 'abacus'", "Invalid value for '--device'"),
     ("log_with = ['abacus']", "should be among tensorboard, wandb, trackio, mlflow"),
     ("shards = 'gone'", "Invalid value for 'SHARDS'"),
     ("", "Missing argument 'SHARDS'")],
)  # fmt: skip
def test_an_option_of_the_file_is_checked_as_one_of_the_command_line(
    text: str, message: str, place: Path, tmp_path: Path
) -> None:
    (tmp_path / "bad.toml").write_text(text)
    rest = () if "SHARDS" in message else (place / "shards",)
    result = invoke("train", *rest, "-o", tmp_path / "run", "--model", place / "base",
                    "--preset", "scenes", "--config", tmp_path / "bad.toml")  # fmt: skip
    assert result.exit_code == 2
    assert message in result.stderr


SCALARS = st.one_of(st.booleans(), st.integers(-(2**63), 2**63 - 1), st.text(),
                    st.floats(allow_nan=False))  # fmt: skip
KEYS = st.from_regex(r"[A-Za-z0-9_-]+", fullmatch=True)


@settings(deadline=None)
@given(st.dictionaries(KEYS, st.one_of(SCALARS, st.lists(SCALARS),
                                       st.dictionaries(KEYS, SCALARS | st.lists(SCALARS)))))
def test_what_is_written_as_toml_is_read_back(values: dict[str, Any]) -> None:
    assert parse_toml(format_toml(values)) == values


def test_tables_in_tables_are_read_back() -> None:
    values = {"a": {"b": {"c": 1}, "d": 2}, "e": 3}
    assert parse_toml(format_toml(values)) == values


def test_toml_leaves_out_none_and_refuses_what_it_cannot_say() -> None:
    assert format_toml({"a": None, "b": 1}) == "b = 1\n"
    with pytest.raises(TypeError, match="TOML should hold strings, numbers"):
        format_toml({"a": object()})
