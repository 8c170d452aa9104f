"""The released checkpoint, scaled down, becomes a folder that loads as the same functions."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers.models.autoencoders.autoencoder_kl import AutoencoderKL
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor, nn
from transformers import CLIPTextModel, CLIPTokenizer

from motifocal.models.folder import (
    load_autoencoder,
    load_network,
    load_scheduler,
    load_text_encoder,
)
from motifocal.models.released.videocrafter2_names import TEXT_PREFIX, UNET_PREFIX
from motifocal.models.schedule import noise_schedule
from motifocal.models.text import encode_text, encode_tokens, text_config, tokenize
from motifocal.models.unet import VIDEOCRAFTER2, TI2VUNet
from motifocal.models.videocrafter2 import (
    AUTOENCODER_KL_F8,
    BaseModel,
    import_videocrafter2,
    plan_import,
)

CHARACTERS = "!abcdefghijklmnopqrstuvwxyz"
VOCABULARY = 2 * len(CHARACTERS) + 2
TINY = BaseModel(
    unet=replace(
        VIDEOCRAFTER2,
        block_out_channels=(16, 32, 32, 32),
        layers_per_block=1,
        norm_num_groups=8,
        head_width=16,
        cross_attention_dim=16,
        image_condition="none",
    ),
    autoencoder=AUTOENCODER_KL_F8
    | {"block_out_channels": (8, 8, 16, 16), "layers_per_block": 1, "norm_num_groups": 4},
    text_encoder=text_config(width=16, heads=2, layers=2, vocabulary=VOCABULARY),
)


@pytest.fixture(scope="module")
def models() -> dict[str, nn.Module]:
    """The three models of the scaled-down checkpoint, every layer drawn."""
    torch.manual_seed(0)
    models = {
        "unet": TI2VUNet.build(TINY.unet),
        "vae": AutoencoderKL(**TINY.autoencoder),
        "text_encoder": CLIPTextModel(TINY.text_encoder),
    }
    for model in models.values():
        for parameter in model.eval().parameters():
            nn.init.normal_(parameter, std=0.2)
    return models


@pytest.fixture(scope="module")
def released(models: dict[str, nn.Module]) -> dict[str, Tensor]:
    """The models under the released names and shapes, with what the import leaves out."""
    plan, tensors = plan_import(TINY), {}
    for component, sources in plan.sources.items():
        state = models[component].state_dict()
        thirds: dict[str, dict[int, Tensor]] = {}
        for name, source in sources.items():
            theirs = state[name].reshape(*state[name].shape, *(1,) * source.trailing)
            if source.third is None:
                tensors[source.name] = theirs.clone()
            else:
                thirds.setdefault(source.name, {})[source.third] = theirs
        for name, parts in thirds.items():
            tensors[name] = torch.cat([parts[0], parts[1], parts[2]])
    schedule = noise_schedule("epsilon", use_scale=True)
    for name in plan.unused:
        tensors[name] = torch.zeros(3)
    tensors["alphas_cumprod"] = schedule.alphas_cumprod.clone()
    tensors["scale_arr"] = torch.cat([schedule.scale, torch.full((400,), 0.7)])
    return tensors


@pytest.fixture(scope="module")
def checkpoint(released: dict[str, Tensor], tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("released") / "model.ckpt"
    torch.save({"state_dict": released}, path)
    return path


@pytest.fixture(scope="module")
def tokenizer_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """CLIP's kind of vocabulary with single letters only: "!" first, the start and end last."""
    folder = tmp_path_factory.mktemp("tokenizer")
    tokens = [*CHARACTERS, *(f"{c}</w>" for c in CHARACTERS), "<|startoftext|>", "<|endoftext|>"]
    (folder / "vocab.json").write_text(json.dumps({token: i for i, token in enumerate(tokens)}))
    (folder / "merges.txt").write_text("#version: 0.2\n")
    return folder


def unet_inputs() -> dict[str, Any]:
    generator = torch.Generator().manual_seed(3)
    return {
        "sample": torch.randn(1, 4, 2, 8, 8, generator=generator),
        "timestep": 500,
        "encoder_hidden_states": torch.randn(1, 77, 16, generator=generator),
        "fps": 8.0,
    }


def test_the_imported_folder_loads_as_the_same_functions(
    checkpoint: Path, models: dict[str, nn.Module], tmp_path: Path
) -> None:
    folder = tmp_path / "imported"
    report = import_videocrafter2(checkpoint, folder, image_condition="none", base=TINY)
    assert report.folder == folder
    with torch.no_grad():
        unet = load_network(folder, torch.float32)
        assert torch.equal(unet(**unet_inputs()), models["unet"](**unet_inputs()))
        vae = load_autoencoder(folder, torch.float32)
        video = torch.randn(1, 3, 16, 16)
        assert torch.equal(vae(video).sample, models["vae"](video).sample)
        text_encoder = load_text_encoder(folder, torch.float32)
        tokens = torch.arange(77)[None] % VOCABULARY
        expected = encode_tokens(models["text_encoder"], tokens)
        assert torch.equal(encode_tokens(text_encoder, tokens), expected)
    scheduler = load_scheduler(folder)
    assert scheduler.noise_schedule.prediction_type == "epsilon"
    assert scheduler.noise_schedule.scale[-1] == pytest.approx(0.7)


def test_weights_in_several_files_load_as_the_same_functions(
    checkpoint: Path, models: dict[str, nn.Module], tmp_path: Path
) -> None:
    folder = tmp_path / "imported"
    import_videocrafter2(checkpoint, folder, "none", base=TINY, shard_size="500KB")
    assert len(list((folder / "unet").glob("*.safetensors"))) > 1
    expected = models["unet"].state_dict()
    for name, value in load_network(folder, torch.float32).state_dict().items():
        assert torch.equal(value, expected[name]), name


def test_text_weights_have_the_names_that_every_version_of_transformers_reads(
    checkpoint: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "imported"
    import_videocrafter2(checkpoint, folder, base=TINY)
    with safe_open(folder / "text_encoder" / "model.safetensors", "pt") as stored:
        assert all(name.startswith("text_model.") for name in stored.keys())  # noqa: SIM118


def test_safetensors_and_pickle_import_the_same(
    checkpoint: Path, released: dict[str, Tensor], tmp_path: Path
) -> None:
    save_file(released, tmp_path / "model.safetensors")
    import_videocrafter2(checkpoint, tmp_path / "a", base=TINY)
    import_videocrafter2(tmp_path / "model.safetensors", tmp_path / "b", base=TINY)
    for file in (tmp_path / "a").rglob("*.safetensors"):
        other = tmp_path / "b" / file.relative_to(tmp_path / "a")
        assert file.read_bytes() == other.read_bytes()


@pytest.mark.parametrize("image_condition", ["concat", "both"])
def test_the_widened_network_starts_as_the_text_to_video_model(
    checkpoint: Path, models: dict[str, nn.Module], tmp_path: Path, image_condition: Any
) -> None:
    width = 6 if image_condition == "both" else None
    import_videocrafter2(checkpoint, tmp_path / "i2v", image_condition, None, width, TINY)
    unet = load_network(tmp_path / "i2v", torch.float32)
    assert unet.conv_in.weight.shape == (16, 8, 3, 3)
    if image_condition == "both":  # projected to nothing at first, so the tokens cannot tell
        assert not any(parameter.any() for parameter in unet.image_proj.parameters())
        return
    with torch.no_grad():
        out = unet(**unet_inputs(), image_latent=torch.randn(1, 4, 8, 8))
        expected = models["unet"](**unet_inputs())
    torch.testing.assert_close(out, expected, atol=1e-6, rtol=1e-5)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda tensors: tensors.pop(f"{UNET_PREFIX}fps_embedding.2.bias"),
            r"got 1 missing: model\.diffusion_model\.fps_embedding\.2\.bias",
        ),
        (
            lambda tensors: tensors.update({"model_ema.decay": torch.zeros(1)}),
            r"got 1 unknown: model_ema\.decay",
        ),
        (
            lambda tensors: tensors.update({f"{TEXT_PREFIX}ln_final.bias": torch.zeros(15)}),
            r"ln_final\.bias should be \(16,\), got \(15,\)",
        ),
        (
            lambda tensors: tensors.update({"scale_arr": torch.ones(1400)}),
            r"scale_arr should end at 0\.700000",
        ),
        (
            lambda tensors: tensors.update({"alphas_cumprod": tensors["alphas_cumprod"][:-1]}),
            "alphas_cumprod should end at 0.004660 after 1000 steps, got 0.00471. after 999",
        ),
    ],
)
def test_a_checkpoint_that_does_not_fit_is_refused_and_nothing_is_written(
    released: dict[str, Tensor], tmp_path: Path, change: Any, message: str
) -> None:
    tensors = dict(released)
    change(tensors)
    torch.save({"state_dict": tensors}, tmp_path / "model.ckpt")
    with pytest.raises(ValueError, match=message):
        import_videocrafter2(tmp_path / "model.ckpt", tmp_path / "imported", base=TINY)
    assert [file.name for file in tmp_path.iterdir()] == ["model.ckpt"]


class Payload:
    """Runs code when a careless reader unpickles it."""

    def __reduce__(self) -> tuple[Any, tuple[str, str]]:
        return (setattr, (Payload, "ran", True))  # type: ignore[return-value]

    ran = False


def test_a_checkpoint_that_carries_code_is_refused_without_running_it(
    released: dict[str, Tensor], tmp_path: Path
) -> None:
    torch.save({"state_dict": released, "callback": Payload()}, tmp_path / "model.ckpt")
    with pytest.raises(ValueError, match="is damaged, or holds more than tensors"):
        import_videocrafter2(tmp_path / "model.ckpt", tmp_path / "imported", base=TINY)
    assert not Payload.ran


def test_an_existing_folder_is_not_overwritten(checkpoint: Path, tmp_path: Path) -> None:
    (tmp_path / "imported").mkdir()
    with pytest.raises(FileExistsError, match="imported should not exist"):
        import_videocrafter2(checkpoint, tmp_path / "imported", base=TINY)


def test_a_failure_while_writing_leaves_nothing_behind(checkpoint: Path, tmp_path: Path) -> None:
    (tmp_path / "tokenizer").mkdir()
    small = {"!": 0, "<|startoftext|>": 1, "<|endoftext|>": 2}
    (tmp_path / "tokenizer" / "vocab.json").write_text(json.dumps(small))
    (tmp_path / "tokenizer" / "merges.txt").write_text("#version: 0.2\n")
    with pytest.raises(ValueError, match=r"\(size, start, end\) \(56, 54, 55\), got \(3, 1, 2\)"):
        import_videocrafter2(
            checkpoint, tmp_path / "imported", tokenizer=tmp_path / "tokenizer", base=TINY
        )
    assert [file.name for file in tmp_path.iterdir()] == ["tokenizer"]


def test_what_is_left_out_has_a_reason_and_a_missing_tokenizer_a_note(
    checkpoint: Path, released: dict[str, Tensor], tmp_path: Path
) -> None:
    report = import_videocrafter2(checkpoint, tmp_path / "imported", base=TINY)
    assert len(report.unused) == 13 + 12 + 2
    assert report.unused.keys() <= released.keys()
    assert all(report.unused.values())
    assert "tokenizer" in report.notes[0]
    index = json.loads((tmp_path / "imported" / "model_index.json").read_text())
    assert index["tokenizer"] == [None, None]
    assert index["unet"] == ["motifocal.models.unet", "TI2VUNet"]


def test_a_given_tokenizer_comes_along_and_encodes(
    checkpoint: Path, models: dict[str, nn.Module], tokenizer_folder: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "imported"
    report = import_videocrafter2(checkpoint, folder, tokenizer=tokenizer_folder, base=TINY)
    assert report.notes == ()
    tokenizer = CLIPTokenizer.from_pretrained(folder / "tokenizer", trust_remote_code=False)
    features = encode_text(tokenizer, models["text_encoder"], ["a cat", ""])
    assert features.shape == (2, 77, 16)
    assert features.std() > 0.1


def test_sentences_are_padded_with_token_0_which_is_no_exclamation_mark(
    models: dict[str, nn.Module], tokenizer_folder: Path
) -> None:
    tokenizer = CLIPTokenizer.from_pretrained(tokenizer_folder, trust_remote_code=False)
    start, end, letters = VOCABULARY - 2, VOCABULARY - 1, len(CHARACTERS)
    empty, exclaimed, long = tokenize(
        tokenizer, models["text_encoder"], ["", "A!", "b " * 100]
    )
    assert empty.tolist() == [start, end] + 75 * [0]
    assert exclaimed.tolist() == [start, letters + 1, letters + 0, end] + 73 * [0]
    assert long.tolist() == [start] + 75 * [letters + 2] + [end]


def test_tokens_of_another_length_are_refused(models: dict[str, nn.Module]) -> None:
    with pytest.raises(ValueError, match=r"tokens should be \(B, 77\), got \(1, 5\)"):
        encode_tokens(models["text_encoder"], torch.zeros(1, 5, dtype=torch.int64))
