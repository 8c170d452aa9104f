"""Where the curves of a training go, and that a run that goes on continues them."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import tiny
from accelerate import Accelerator
from click.testing import CliRunner, Result
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from motifocal import cli
from motifocal.cli.output import training_samples
from motifocal.training.log import read_log
from motifocal.training.presets import PAPER
from motifocal.training.processes import open_accelerator
from motifocal.training.trackers import tracking


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with shards/ and base/."""
    folder = tmp_path_factory.mktemp("inputs")
    tiny.tiny_shards(folder / "shards")
    tiny.tiny_base(folder / "base")
    return folder


def train(inputs: Path, run: Path, *options: str, **changed: Any) -> Result:
    tiny.fresh_accelerator()
    return CliRunner().invoke(cli.cli, [
        "train", str(inputs / "shards"), "-o", str(run), "--model", str(inputs / "base"),
        "--preset", "scenes", "--device", "cpu", *tiny.assignments(**changed), *options,
    ])  # fmt: skip


def curves(run: Path) -> dict[str, list[tuple[int, float]]]:
    """Every curve that TensorBoard shows, as (step, value)."""
    events = EventAccumulator(str(run / "tensorboard"), size_guidance={"scalars": 0})
    events.Reload()
    return {tag: [(event.step, event.value) for event in events.Scalars(tag)]
            for tag in events.Tags()["scalars"]}


def test_tensorboard_shows_each_step_once_however_the_run_was_broken_off(
    inputs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    report = training_samples.Reporter.after

    def report_and_break(reporter: training_samples.Reporter, line: dict[str, float]) -> None:
        report(reporter, line)
        if line["step"] == 3:  # the checkpoint is of step 2
            raise OSError("the power went")

    monkeypatch.setattr(training_samples.Reporter, "after", report_and_break)
    options = ("--samples", "0", "--held-out", str(inputs / "shards"))
    changed = {"optimizer": "adamw", "save_every": 2, "sample_every": 2}
    assert isinstance(train(inputs, tmp_path, *options, **changed).exception, OSError)
    monkeypatch.undo()
    result = train(inputs, tmp_path, *options, **changed)
    assert result.exit_code == 0, result.output
    seen, lines = curves(tmp_path), read_log(tmp_path / "log.jsonl")
    assert set(seen) == {"loss", "diffusion", "motion", "norm", "rate", "held_out",
                         "hot_over_mean", "moving_over_mean"}
    for key in ("loss", "diffusion", "motion", "norm", "rate"):
        assert seen[key] == [(line["step"], pytest.approx(line[key])) for line in lines]
    assert [step for step, _ in seen["held_out"]] == [2, 4, 5]


def test_without_tensorboard_a_line_says_so(
    inputs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "tensorboard", None)
    result = train(inputs, tmp_path, "--samples", "0", steps=1, warmup=1)
    assert result.exit_code == 0, result.output
    assert "no curves: TensorBoard is not installed; install the extra train" in result.stderr


def test_none_writes_no_curves(inputs: Path, tmp_path: Path) -> None:
    result = train(inputs, tmp_path, "--samples", "0", "--log-with", "none", steps=1, warmup=1)
    assert result.exit_code == 0, result.output
    assert "TensorBoard" not in result.stderr
    names = {path.name for path in tmp_path.iterdir()}
    assert names & {"tensorboard", "trackers.json"} == set()
    assert len(read_log(tmp_path / "log.jsonl")) == 1


@pytest.mark.parametrize(
    ("tracker", "remedy"),
    [("wandb", "pip install wandb"), ("mlflow", "pip install mlflow"),
     ("trackio", "pip install trackio"), ("tensorboard", "install the extra train")],
)  # fmt: skip
def test_a_tracker_that_is_not_installed_is_named_before_anything_is_written(
    tracker: str, remedy: str, inputs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, tracker, None)
    result = train(inputs, tmp_path / "run", "--log-with", tracker)
    assert str(result.exception).startswith(f"the tracker {tracker} should be installed")
    assert remedy in str(result.exception)
    assert not (tmp_path / "run").exists()


def test_a_tracker_that_does_not_exist_is_a_mistake_of_the_option(
    inputs: Path, tmp_path: Path
) -> None:
    for given, named in (("abacus", "abacus"), ("tensorboard,none", "none")):
        result = train(inputs, tmp_path / "run", "--log-with", given)
        assert result.exit_code == 2
        assert f"got '{named}'" in result.stderr


class Config:
    def __init__(self) -> None:
        self.updates: list[dict[str, Any]] = []

    def update(self, values: dict[str, Any], allow_val_change: bool) -> None:
        assert allow_val_change
        self.updates.append(values)


class Trackio(ModuleType):
    """The part of trackio's interface that accelerate calls; keeps what it is given."""

    def __init__(self) -> None:
        super().__init__("trackio")
        self.begun: list[dict[str, Any]] = []
        self.config = Config()
        self.points: list[tuple[int, dict[str, float]]] = []
        self.finished = 0

    def init(self, **given: Any) -> Trackio:
        self.begun.append(given)
        return self

    def log(self, values: dict[str, float], step: int) -> None:
        self.points.append((step, values))

    def finish(self) -> None:
        self.finished += 1


def with_trackio(monkeypatch: pytest.MonkeyPatch) -> tuple[Trackio, Accelerator]:
    """Stand a recorder in trackio's place, beside an accelerator that has no tracker yet."""
    trackio = Trackio()
    monkeypatch.setitem(sys.modules, "trackio", trackio)
    tiny.fresh_accelerator()
    return trackio, open_accelerator("no", cpu=True)


def test_another_tracker_gets_the_settings_once_and_goes_on_with_the_same_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trackio, accelerator = with_trackio(monkeypatch)
    for step in (0, 5):
        with tracking(accelerator, ["trackio"], tmp_path, step, PAPER):
            accelerator.log({"loss": 0.5}, step=step + 1)
    identity = json.loads((tmp_path / "trackers.json").read_text())
    name = f"{tmp_path.name}-{identity['id']}"
    assert trackio.begun == [{"project": "motifocal", "name": name, "resume": "allow"}] * 2
    assert trackio.points == [(1, {"loss": 0.5}), (6, {"loss": 0.5})]
    assert trackio.finished == 2
    (config,) = trackio.config.updates
    assert config["motif_weight"] == 1.0
    assert config["unet.block_out_channels"] == "[320, 640, 1280, 1280]"


def test_settings_reach_a_tracker_whose_first_start_failed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trackio, accelerator = with_trackio(monkeypatch)

    def start() -> None:
        with tracking(accelerator, ["trackio"], tmp_path, 0, PAPER):
            pass

    with monkeypatch.context() as patched:
        patched.setattr(Trackio, "init", unreachable)
        with pytest.raises(ConnectionError):
            start()
    start()
    start()
    assert len(trackio.config.updates) == 1
    (tmp_path / "trackers.json").write_text('{"id": "an earlier version\'s"}')
    start()
    assert len(trackio.config.updates) == 1


def unreachable(*_: Any, **__: Any) -> None:
    raise ConnectionError
