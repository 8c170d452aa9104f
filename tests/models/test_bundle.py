"""A bundled folder is the averaged network of the run, whole, and runs."""

from __future__ import annotations

import json
import shutil
from functools import partial
from pathlib import Path

import pytest
import tiny
import torch
from click.testing import CliRunner, Result
from huggingface_hub import ModelCard
from safetensors.torch import load_file

from motifocal.cli import cli
from motifocal.cli.bundle import thinned
from motifocal.generate import domain
from motifocal.models import videocrafter2 as weights
from motifocal.models.folder_files import weights_digest
from motifocal.models.pipeline import TI2VPipeline
from motifocal.training.log import TrainingLog
from motifocal.training.loop import Run, save, train
from motifocal.training.measurement.probe_curve import keep_weights
from motifocal.training.run_folder import load_averaged, load_denoiser, load_settings


@pytest.fixture(scope="module")
def run(base: Path, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A run of two steps with its log."""
    shards = tiny.tiny_shards(tmp_path_factory.mktemp("shards"), clips=4)
    run = tiny.tiny_run(tmp_path_factory.mktemp("run"), base, shards, steps=2)
    with TrainingLog(run.folder / "log.jsonl", 0) as log:
        list(train(run, log))
    return run


def bundle(run: Run, base: Path, output: Path, *options: str) -> Result:
    given = ["bundle", str(run.folder), str(base), "-o", str(output), *options]
    return CliRunner().invoke(cli, given)


SIZE = ("--size", "16x16", "--frames", "3")


def test_a_bundle_of_an_unfinished_run_says_so_and_that_of_a_finished_one_does_not(
    run: Run, base: Path, tmp_path: Path
) -> None:
    shutil.copytree(run.folder, tmp_path / "run")
    settings = json.loads((tmp_path / "run/training.json").read_text())
    (tmp_path / "run/training.json").write_text(json.dumps({**settings, "steps": 7}))
    given = ["bundle", str(tmp_path / "run"), str(base), "-o", str(tmp_path / "early"), *SIZE]
    early = CliRunner().invoke(cli, given)
    assert early.exit_code == 0, early.output
    assert (f"note: {tmp_path / 'run'} is not finished: its weights are those of step 2 of 7"
            in early.stderr)  # fmt: skip
    assert "Trained for 2 of 7 steps" in (tmp_path / "early/README.md").read_text()
    whole = bundle(run, base, tmp_path / "whole", *SIZE)
    assert "not finished" not in whole.stderr
    assert "Trained for 2 steps" in (tmp_path / "whole/README.md").read_text()


def test_the_card_says_whether_a_run_began_with_the_weights_of_a_model(
    run: Run, base: Path, tmp_path: Path
) -> None:
    assert bundle(run, base, tmp_path / "model", *SIZE).exit_code == 0
    shutil.copytree(run.folder, tmp_path / "run")
    for start, fresh, says in (("model", "false", True), ("model", "true", False),
                               ("gone", "false", False)):
        (tmp_path / "run/run.toml").write_text(f'model = "../{start}"\nfresh = {fresh}\n')
        made = tmp_path / f"{start}-{fresh}"
        given = ["bundle", str(tmp_path / "run"), str(base), "-o", str(made), *SIZE]
        assert CliRunner().invoke(cli, given).exit_code == 0
        assert ("weights of an earlier model" in (made / "README.md").read_text()) is says
    (tmp_path / "run/run.toml").write_text("fresh = perhaps\n")
    refused = CliRunner().invoke(cli, [*given[:-5], str(tmp_path / "other"), *SIZE])
    assert "run.toml should be TOML" in str(refused.exception)


@pytest.mark.parametrize("flag", ["--domain-check", "--drawn-world"])
def test_a_bundle_keeps_what_tells_a_request_of_another_domain(
    flag: str, run: Run, base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    few = partial(domain.measure_synthetic_scenes, stages=1, images=1)
    monkeypatch.setattr(domain, "measure_synthetic_scenes", few)
    result = bundle(run, base, tmp_path / "model", *SIZE, flag)
    assert result.exit_code == 0, result.output
    stored = domain.read_domain(tmp_path / "model")
    assert stored is not None
    assert "balloon" in stored.words
    renamed = "warning: --drawn-world is now --domain-check; the old name will go"
    assert (renamed in result.stderr) == (flag == "--drawn-world")


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32"])
def test_a_bundle_holds_the_averaged_weights_in_the_type_asked_for(
    dtype: str, run: Run, base: Path, tmp_path: Path
) -> None:
    result = bundle(run, base, tmp_path / "model", "--precision", dtype, *SIZE)
    assert result.exit_code == 0, result.output
    assert result.stdout.strip() == str(tmp_path / "model")
    assert "MB, step 2" in result.stderr
    weights_file = tmp_path / "model/unet/diffusion_pytorch_model.safetensors"
    stored = load_file(weights_file)
    assert weights_file.stat().st_mode == (tmp_path / "model/README.md").stat().st_mode
    names = [name for name, _ in run.unet.named_parameters()]
    assert stored.keys() == set(names)
    for name, average in zip(names, run.average.shadow_params, strict=True):
        assert torch.equal(stored[name], average.to(getattr(torch, dtype)))
    vae = load_file(tmp_path / "model/vae/diffusion_pytorch_model.safetensors")
    assert {tensor.dtype for tensor in vae.values()} == {getattr(torch, dtype)}


def test_a_bundle_animates_a_picture_and_says_how_it_was_made(
    run: Run, base: Path, tmp_path: Path
) -> None:
    assert bundle(run, base, tmp_path / "model", *SIZE).exit_code == 0
    pipeline = TI2VPipeline.from_pretrained(tmp_path / "model")
    pipeline.set_progress_bar_config(disable=True)
    made = pipeline(torch.zeros(3, 16, 16), "the duck swims", num_inference_steps=2,
                    generator=torch.Generator().manual_seed(0), output_type="pt").frames
    assert made.shape == (1, 3, 3, 16, 16)
    assert made.isfinite().all()
    assert pipeline.scheduler.config.rescale_betas_zero_snr
    assert load_settings(tmp_path / "model") == run.settings
    lines = (tmp_path / "model/log.jsonl").read_text().splitlines()
    assert [json.loads(line)["step"] for line in lines] == [1, 2]
    card = " ".join((tmp_path / "model/README.md").read_text().split())
    assert "3 frames of 16 x 16 pixels at 8 frames" in card
    assert "Trained for 2 steps of 4 clips" in card
    found = sorted(path.name for path in (tmp_path / "model").iterdir())
    assert found == ["README.md", "log.jsonl", "model_index.json", "scheduler", "text_encoder",
                     "tokenizer", "training.json", "unet", "vae"]  # fmt: skip


def test_a_bundle_and_its_run_are_the_same_denoiser(run: Run, base: Path, tmp_path: Path) -> None:
    assert bundle(run, base, tmp_path / "model", "--precision", "float32", *SIZE).exit_code == 0
    pairs = [load_denoiser(folder) for folder in (run.folder, tmp_path / "model")]
    for ours, theirs in zip(pairs[0][0].parameters(), pairs[1][0].parameters(), strict=True):
        assert torch.equal(ours, theirs)
    assert torch.equal(pairs[0][1].alphas_cumprod, pairs[1][1].alphas_cumprod)
    assert pairs[0][1].prediction_type == pairs[1][1].prediction_type


def test_the_weights_that_were_kept_at_a_step_can_be_bundled(
    run: Run, base: Path, tmp_path: Path
) -> None:
    keep_weights(run)
    result = bundle(run, base, tmp_path / "kept", "--step", "2", *SIZE)
    assert result.exit_code == 0, result.output
    assert bundle(run, base, tmp_path / "newest", *SIZE).exit_code == 0
    file = "unet/diffusion_pytorch_model.safetensors"
    kept, newest = (load_file(tmp_path / name / file) for name in ("kept", "newest"))
    assert all(torch.equal(kept[name], newest[name]) for name in newest)
    missing = bundle(run, base, tmp_path / "missing", "--step", "1", *SIZE)
    assert "kept weights of step 1" in str(missing.exception)


def test_the_size_is_that_of_the_shards_where_the_run_notes_it(
    run: Run, base: Path, tmp_path: Path
) -> None:
    refused = bundle(run, base, tmp_path / "model")
    assert refused.exit_code == 2
    assert "give --size and --frames" in refused.stderr
    inputs = run.folder / "inputs.json"
    inputs.write_text(json.dumps({"clip": [5, 24, 32]}))
    try:
        assert bundle(run, base, tmp_path / "model").exit_code == 0
    finally:
        inputs.unlink()
    index = json.loads((tmp_path / "model/model_index.json").read_text())
    assert (index["sample_frames"], index["sample_height"], index["sample_width"]) == (5, 24, 32)


def test_a_weight_that_does_not_fit_half_precision_is_named_and_nothing_is_left(
    run: Run, base: Path, tmp_path: Path
) -> None:
    average = run.average.shadow_params[0]
    before = average.clone()
    average[0] = 1e6
    try:
        save(run)
        result = bundle(run, base, tmp_path / "model", *SIZE)
        assert bundle(run, base, tmp_path / "wide", "--precision", "bfloat16", *SIZE).exit_code == 0
    finally:
        average.copy_(before)
        save(run)
    assert "unet's conv_in.weight should be finite as torch.float16" in str(result.exception)
    assert [path.name for path in tmp_path.iterdir()] == ["wide"]


def test_an_existing_folder_is_not_overwritten(run: Run, base: Path, tmp_path: Path) -> None:
    result = bundle(run, base, tmp_path)
    assert result.exit_code == 2
    assert "should not exist" in result.stderr


def test_a_run_without_a_checkpoint_is_refused(run: Run, base: Path, tmp_path: Path) -> None:
    (tmp_path / "training.json").write_text(run.settings.model_dump_json())
    with pytest.raises(ValueError, match="should hold a checkpoint, got none yet"):
        load_averaged(tmp_path)
    with pytest.raises(ValueError, match=r"should hold training\.json: it is no run"):
        load_averaged(base)


def scores_of(model: Path, folder: Path) -> Path:
    """What `scenes eval` writes for a model, with scores that are easy to recognise."""
    groups = [
        {"name": name, "pairs": pairs, "pictures": 3, "chance": 0.2, "ends_section": ends,
         "measures": {"made": {"follows": {"mean": mean, "low": mean - 0.1, "high": mean + 0.05}}}}
        for name, pairs, mean, ends in (
            ("all", 12, 0.9, True), ("seen combinations", 7, 0.8, False),
            ("held-out combinations", 5, 0.7, True), ("one object", 12, 0.6, True),
            ("duck", 6, 0.5, True),
        )
    ]  # fmt: skip
    (folder / "videos").mkdir(parents=True)
    (folder / "report.json").write_text(json.dumps({"complete": True, "groups": groups}))
    made = json.dumps({"weights": weights_digest(model)})
    (folder / "videos/made.json").write_text(made)
    return folder


def test_the_card_of_a_bundle_has_its_scores_with_intervals_and_its_licence(
    run: Run, base: Path, tmp_path: Path
) -> None:
    assert bundle(run, base, tmp_path / "first", *SIZE).exit_code == 0
    first = ModelCard.load(tmp_path / "first/README.md")
    assert first.data.license == "unknown"
    assert "None were measured." in first.text
    scores = scores_of(tmp_path / "first", tmp_path / "scores")
    options = ("--scores", str(scores), "--license", "apache-2.0")
    result = bundle(run, base, tmp_path / "model", *options, *SIZE)
    assert result.exit_code == 0, result.output
    card = ModelCard.load(tmp_path / "model/README.md")
    known = card.data.to_dict()
    assert {key: known[key] for key in ("license", "library_name", "pipeline_tag")} == {
        "license": "apache-2.0", "library_name": "diffusers", "pipeline_tag": "image-to-video",
    }  # fmt: skip
    results = known["model-index"][0]["results"]
    assert [row["metrics"][0]["value"] for row in results] == [90.0, 80.0, 70.0, 60.0]
    assert results[0]["metrics"][0]["args"] == {"interval_95": [80.0, 95.0], "pairs": 12}
    assert "| all | 12 | 90 % | 80 – 95 % | 20 % |" in card.text
    assert "duck |" not in card.text


def test_scores_of_other_weights_or_of_something_else_are_refused(
    run: Run, base: Path, tmp_path: Path
) -> None:
    assert bundle(run, base, tmp_path / "wide", "--precision", "float32", *SIZE).exit_code == 0
    scores = scores_of(tmp_path / "wide", tmp_path / "scores")
    result = bundle(run, base, tmp_path / "model", "--scores", str(scores), *SIZE)
    assert "should hold the scores of these weights" in str(result.exception)
    for text, message in (('{"complete": true}', "should be a report of `scenes eval`"),
                          ('{"complete": false}', "should be complete")):
        (scores / "report.json").write_text(text)
        result = bundle(run, base, tmp_path / "model", "--scores", str(scores), *SIZE)
        assert message in str(result.exception)
    assert not (tmp_path / "model").exists()


@pytest.mark.parametrize(("count", "kept"), [(0, 0), (3, 3), (10, 10), (11, 10), (999, 10)])
def test_a_thinned_log_keeps_its_ends_and_its_order(count: int, kept: int) -> None:
    lines = [{"step": float(k)} for k in range(count)]
    found = thinned(lines, 10)
    assert len(found) == kept
    assert found == sorted(found, key=lambda line: line["step"])
    assert found[:1] + found[-1:] == lines[:1] + lines[-1:]


# Importing released weights.


def test_the_import_command_hands_over_and_prints_what_it_was_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given: list[object] = []

    def imported(*arguments: object) -> weights.ImportReport:
        given.extend(arguments)
        return weights.ImportReport(tmp_path / "model", {"a": "unused"}, ("a note",))

    monkeypatch.setattr(weights, "import_videocrafter2", imported)
    checkpoint = tmp_path / "model.ckpt"
    checkpoint.touch()
    result = CliRunner().invoke(cli, ["import", "videocrafter2", str(checkpoint),
                                      str(tmp_path / "model"), "--tokenizer", "clip/"])
    assert result.exit_code == 0, result.output
    assert given == [checkpoint, tmp_path / "model", "concat", "clip/"]
    assert result.stdout.strip() == str(tmp_path / "model")
    assert "note: a note\n1 tensors of the checkpoint are not needed" in result.stderr


def test_the_import_command_names_a_missing_checkpoint(tmp_path: Path) -> None:
    result = CliRunner().invoke(cli, ["import", "videocrafter2", str(tmp_path / "gone.ckpt"), "x"])
    assert result.exit_code == 2
    assert "gone.ckpt" in result.stderr
