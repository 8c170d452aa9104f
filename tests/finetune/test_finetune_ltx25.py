"""LTX-2.5 as published for diffusers: a distilled transformer, and the full one beside it."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch
from tiny_finetune import invoke, prepare_arguments, same, tiny_clips, train_arguments, weights_of
from tiny_ltx2 import tiny_ltx2, transformer

from motifocal.cli.finetune.model import opened
from motifocal.training.families.registry import family_of
from motifocal.training.finetune.parts import base_digest, load_trained

# diffusers' schedulers hand tensors to numpy 2 in the manner of numpy 1.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")
DISTILLED = "seems to be distilled"
#: Parts of other pipelines that the published folder lists.
OTHERS = {"diffusion_decoder": ["diffusers", "LTX2VideoDiffusionDecoderModel"],
          "latent_upsampler": ["ltx2", "LTX2LatentUpsamplerModel"]}  # fmt: skip


def published(folder: Path, *, full: bool = True) -> Path:
    tiny_ltx2("2.5").save_pretrained(folder)
    index = json.loads((folder / "model_index.json").read_text())
    changed = {**index, "_class_name": "LTX2Pipeline", **OTHERS}
    (folder / "model_index.json").write_text(json.dumps(changed))
    for part, (_, kind) in OTHERS.items():
        (folder / part).mkdir()
        (folder / part / "config.json").write_text(json.dumps({"_class_name": kind}))
    if full:
        save_full(folder)
    return folder


def save_full(folder: Path) -> None:
    torch.manual_seed(1)
    transformer("2.5").save_pretrained(folder / "transformer_full")


def test_the_full_transformer_is_trained_where_it_is_there(tmp_path: Path) -> None:
    clips = tiny_clips(tmp_path / "clips", "ltx2")
    model, cache = published(tmp_path / "both"), tmp_path / "cache"
    made = invoke(*prepare_arguments("ltx2", clips, cache, model))
    assert made.exit_code == 0, made.output
    alone = shutil.copytree(model, tmp_path / "alone")
    shutil.rmtree(alone / "transformer_full")
    renamed = shutil.copytree(model, tmp_path / "renamed")
    shutil.rmtree(renamed / "transformer")
    shutil.move(renamed / "transformer_full", renamed / "transformer")
    results = {}
    for folder in (model, alone, renamed):
        result = invoke(*train_arguments(cache, tmp_path / "run" / folder.name, folder, steps=2))
        assert result.exit_code == 0, result.output
        results[folder.name] = weights_of(tmp_path / "run" / folder.name)
        assert (DISTILLED in result.stderr) == (folder != model)
        network = "transformer_full" if folder == model else "transformer"
        assert f"loading {network}, " in result.stderr
    assert same(results["both"], results["renamed"])
    assert not same(results["both"], results["alone"])


def test_a_run_is_that_of_the_full_transformer(tmp_path: Path) -> None:
    model = published(tmp_path)
    family = family_of(model)
    before = base_digest(model, family, "transformer")
    shutil.rmtree(model / "transformer")
    assert base_digest(model, family, "transformer") == before
    network = load_trained(model, family, "transformer", "float32")
    torch.manual_seed(1)
    assert same(network.state_dict(), transformer("2.5").state_dict())
    torch.manual_seed(2)
    transformer("2.5").save_pretrained(model / "transformer_full")
    assert base_digest(model, family, "transformer") != before


def test_the_full_transformer_is_fetched_from_the_hub_to_be_trained_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, asked = published(tmp_path, full=False), []

    def fetch(name: str, allow_patterns: list[str]) -> None:
        asked.append((name, allow_patterns))
        save_full(model)

    monkeypatch.setattr("motifocal.generate.diffusers_load.hub_folder", lambda name, _: model)
    monkeypatch.setattr("motifocal.generate.diffusers_load.snapshot_download", fetch)
    _, family = opened("Lightricks/LTX-2.5-Diffusers")
    assert family.is_distilled(model)
    assert not asked
    _, family = opened("Lightricks/LTX-2.5-Diffusers", trained=True)
    assert asked == [("Lightricks/LTX-2.5-Diffusers",
                      ["transformer_full/*.json", "transformer_full/*.safetensors"])]  # fmt: skip
    assert not family.is_distilled(model)
    tiny_ltx2("2.3").save_pretrained(tmp_path / "other")
    monkeypatch.setattr("motifocal.generate.diffusers_load.hub_folder",
                        lambda name, _: tmp_path / "other")  # fmt: skip
    opened("Lightricks/LTX-2.3-Diffusers", trained=True)
    assert len(asked) == 1


@pytest.mark.parametrize(("name", "distilled"), [
    ("LTX-2.3-Distilled-Diffusers", True), ("LTX-2", False),
    ("models--diffusers--LTX-2.3-Distilled-Diffusers/snapshots/abc", True),
    ("distilled/LTX-2.3", False),
])  # fmt: skip
def test_earlier_models_are_distilled_by_their_names(
    name: str, distilled: bool, tmp_path: Path
) -> None:
    folder = tmp_path / name
    tiny_ltx2("2.3").save_pretrained(folder)
    assert family_of(folder).is_distilled(folder) is distilled
