"""A bundle fits its base, whose text encoder is the training's, and is called like it."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import tiny
from train_command import invoke

from motifocal.training.inputs import lock_inputs
from motifocal.training.loop import Run, save

SIZE = ("--size", "16x16", "--frames", "3")


@pytest.fixture(scope="module")
def run(base: Path, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A run of no steps that notes what it was begun with."""
    folder = tmp_path_factory.mktemp("run")
    shards = tiny.tiny_shards(tmp_path_factory.mktemp("shards"), clips=4)
    lock_inputs(folder, shards, base)
    run = tiny.tiny_run(folder, base, shards)
    save(run)
    return run


@pytest.mark.parametrize(
    ("part", "file"),
    [("text_encoder", "text_encoder/model.safetensors"), ("tokenizer", "tokenizer/tokenizer.json"),
     ("text_encoder_config", "text_encoder/config.json")],
)  # fmt: skip
def test_a_base_with_another_text_encoder_than_the_trainings_is_refused(
    part: str, file: str, run: Run, base: Path, tmp_path: Path
) -> None:
    other = Path(shutil.copytree(base, tmp_path / "other"))
    known = (other / file).read_bytes()
    weights = known[:-1] + bytes([known[-1] ^ 1])
    (other / file).write_bytes(known + b"\n" if file.endswith(".json") else weights)
    result = invoke("bundle", run.folder, other, "-o", tmp_path / "model", *SIZE)
    assert (f"{other} should hold the {part} that {run.folder} was trained with, got another"
            == str(result.exception))  # fmt: skip


def test_a_base_with_another_decoder_is_taken_and_one_with_other_channels_refused(
    run: Run, base: Path, tmp_path: Path
) -> None:
    other = Path(shutil.copytree(base, tmp_path / "other"))
    tiny.tiny_vae(seed=1).save_pretrained(other / "vae")
    result = invoke("bundle", run.folder, other, "-o", tmp_path / "model", *SIZE)
    assert result.exit_code == 0, result.output
    tiny.tiny_vae(channels=6).save_pretrained(other / "vae")
    result = invoke("bundle", run.folder, other, "-o", tmp_path / "again", *SIZE)
    assert "vae should have 4 latent channels" in str(result.exception)


def test_a_run_of_an_earlier_version_is_compared_as_far_as_it_notes(
    run: Run, base: Path, tmp_path: Path
) -> None:
    other = Path(shutil.copytree(base, tmp_path / "other"))
    with (other / "tokenizer/tokenizer.json").open("a") as changed:
        changed.write("\n")
    earlier = Path(shutil.copytree(run.folder, tmp_path / "run"))
    kept = json.loads((earlier / "inputs.json").read_text())
    (earlier / "inputs.json").write_text(json.dumps({"text_encoder": kept["text_encoder"]}))
    result = invoke("bundle", earlier, other, "-o", tmp_path / "model", *SIZE)
    assert result.exit_code == 0, result.output


def test_what_is_not_given_of_a_call_is_as_the_base_is_called(
    run: Run, base: Path, tmp_path: Path
) -> None:
    def called(*options: object) -> list[float]:
        output = tmp_path / f"model-{len(list(tmp_path.iterdir()))}"
        result = invoke("bundle", run.folder, other, "-o", output, *SIZE, *options)
        assert result.exit_code == 0, result.output
        index = json.loads((output / "model_index.json").read_text())
        names = ("fps", "steps", "guidance", "guidance_rescale")
        return [index[f"sample_{name}"] for name in names]

    other = Path(shutil.copytree(base, tmp_path / "other"))
    assert called() == [8, 50, 7.5, 0]
    released = {"_class_name": "TI2VPipeline", "sample_fps": 24.0,
                "sample_guidance_rescale": 0.7, "sample_height": 320}
    (other / "model_index.json").write_text(json.dumps(released))
    assert called() == [24, 50, 7.5, 0.7]
    assert called("--fps", 6, "--guidance", 0, "--guidance-rescale", 0) == [6, 50, 0, 0]
