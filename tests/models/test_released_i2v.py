"""Released image-to-video checkpoints: every name has a place, and small ones load as functions."""

from __future__ import annotations

import json
import shutil
import struct
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from tiny_released import released_tensors, small
from torch import Tensor, nn

from motifocal.models.autoencoder import encode
from motifocal.models.folder import (
    load_autoencoder,
    load_image_encoder,
    load_network,
    load_scheduler,
)
from motifocal.models.image.encoder import encode_images, normalised
from motifocal.models.released.checkpoint import (
    BaseModel,
    check_names_and_shapes,
    import_checkpoint,
    plan_import,
)
from motifocal.models.released.dynamicrafter import DYNAMICRAFTER_BASE, VIDEOCRAFTER1_I2V_BASE
from motifocal.models.released.videocrafter2_names import UNET_PREFIX

BASES = {"dynamicrafter": DYNAMICRAFTER_BASE, "videocrafter1-i2v": VIDEOCRAFTER1_I2V_BASE}


def released_shapes(base: BaseModel) -> dict[str, tuple[int, ...]]:
    plan = plan_import(base)
    return plan.shapes() | dict.fromkeys(plan.unused, (1,))


def test_all_names_of_dynamicrafters_unet_have_a_place(shared: Path) -> None:
    stored = json.loads((shared / "reference" / "dynamicrafter512_unet_keys.json").read_text())
    published = {UNET_PREFIX + n: tuple(shape) for n, shape in stored["params"].items()}
    ours = {n: s for n, s in released_shapes(DYNAMICRAFTER_BASE).items() if n in published
            or n.startswith(UNET_PREFIX)}
    assert ours == published
    assert len(ours) == 1516


@pytest.mark.parametrize(("name", "unet"), [("dynamicrafter", 1516), ("videocrafter1-i2v", 1516)])
def test_the_list_of_names_is_that_of_the_published_classes(name: str, unet: int) -> None:
    shapes = released_shapes(BASES[name])
    prefixes = {
        UNET_PREFIX: unet,
        "first_stage_model.": 248,
        "cond_stage_model.model.": 294,
        "embedder.model.": 8 + 32 * 12 + 6,
        "image_proj_model.": 1 + 2 + 2 + 2 + 4 * (4 + 3 + 4),
    }
    for prefix, count in prefixes.items():
        assert sum(key.startswith(prefix) for key in shapes) == count, prefix
    assert len(shapes) == sum(prefixes.values()) + 13  # the schedule's buffers
    frames = 16 if name == "dynamicrafter" else 1
    assert shapes["image_proj_model.latents"] == (1, 16 * frames, 1024)
    assert shapes["image_proj_model.layers.3.0.to_kv.weight"] == (2 * 768, 1024)
    assert shapes["image_proj_model.layers.3.1.3.weight"] == (1024, 4096)
    assert shapes["embedder.model.visual.proj"] == (1280, 1024)
    assert shapes["embedder.model.visual.positional_embedding"] == (257, 1280)
    channels = 8 if name == "dynamicrafter" else 4
    assert shapes[f"{UNET_PREFIX}input_blocks.0.0.weight"] == (320, channels, 3, 3)


@pytest.mark.parametrize("name", BASES)
def test_a_name_too_many_or_too_few_is_refused(name: str) -> None:
    plan, shapes = plan_import(small(BASES[name])), released_shapes(small(BASES[name]))
    check_names_and_shapes(plan, shapes)
    key = f"{UNET_PREFIX}middle_block.1.transformer_blocks.0.attn2.to_k_ip.weight"
    with pytest.raises(ValueError, match=r"got 1 missing: .*to_k_ip\.weight"):
        check_names_and_shapes(plan, {n: s for n, s in shapes.items() if n != key})
    with pytest.raises(ValueError, match=r"got 1 unknown: model\.diffusion_model\.extra"):
        check_names_and_shapes(plan, shapes | {f"{UNET_PREFIX}extra": (1,)})
    with pytest.raises(ValueError, match=r"to_k_ip\.weight should be \(32, 16\), got \(16, 32\)"):
        check_names_and_shapes(plan, shapes | {key: (16, 32)})


@pytest.mark.parametrize("name", BASES)
def test_a_small_checkpoint_loads_as_the_same_functions(name: str, tmp_path: Path) -> None:
    base = small(BASES[name])
    models, released = released_tensors(base)
    torch.save({"state_dict": released}, tmp_path / "model.ckpt")
    save_file(released, tmp_path / "model.safetensors")
    torch.save({"module": {f"_forward_module.{n}": v for n, v in released.items()}},
               tmp_path / "deepspeed.ckpt")
    folder = tmp_path / "imported"
    report = import_checkpoint(tmp_path / "model.ckpt", folder, base)
    assert "tokenizer" in report.notes[0]
    for file in ("model.safetensors", "deepspeed.ckpt"):
        import_checkpoint(tmp_path / file, tmp_path / "other", base)
        for written in folder.rglob("*.safetensors"):
            other = tmp_path / "other" / written.relative_to(folder)
            assert other.read_bytes() == written.read_bytes()
        (tmp_path / "other").rename(tmp_path / f"{file}.folder")

    generator = torch.Generator().manual_seed(0)
    image = torch.rand(1, 3, 64, 64, generator=generator) * 2 - 1
    encoder = load_image_encoder(folder, torch.float32)
    assert encoder is not None
    tokens = encode_images(encoder, image)
    assert tokens.shape == (1, 5, 24)
    assert torch.equal(tokens, encode_images(models["image_encoder"], image))
    vae = load_autoencoder(folder, torch.float32)
    latent = encode(vae, image[:, :, None], frames_per_chunk=1)
    given = {
        "sample": torch.randn(1, 4, 2, 8, 8, generator=generator),
        "timestep": 500,
        "encoder_hidden_states": torch.randn(1, 77, 16, generator=generator),
        "fps": 24.0,
        "image_latent": latent[:, :, 0] if base.unet.takes_image_latent else None,
        "image_tokens": tokens,
    }
    with torch.no_grad():
        unet = load_network(folder, torch.float32)
        assert unet.unet_config == base.unet
        torch.testing.assert_close(unet(**given), models["unet"](**given), atol=1e-5, rtol=1e-5)
    index = json.loads((folder / "model_index.json").read_text())
    assert index["image_encoder"] == ["transformers", "CLIPVisionModelWithProjection"]


def test_the_samplers_are_those_released(tmp_path: Path) -> None:
    for name, base in BASES.items():
        base.scheduler().save_pretrained(tmp_path / name / "scheduler")
    dynamicrafter, videocrafter1 = (load_scheduler(tmp_path / name) for name in BASES)
    assert dynamicrafter.config.prediction_type == "v_prediction"
    assert dynamicrafter.config.timestep_spacing == "trailing"
    assert dynamicrafter.noise_schedule.alphas_cumprod[-1] == 0
    assert dynamicrafter.config.dynamic_rescale is True
    assert DYNAMICRAFTER_BASE.sample["guidance_rescale"] == 0.7
    assert videocrafter1.config.prediction_type == "epsilon"
    assert videocrafter1.config.timestep_spacing == "leading"
    assert videocrafter1.config.dynamic_rescale is False
    for scheduler in (dynamicrafter, videocrafter1):
        assert scheduler.noise_schedule.scale[400:].unique().tolist() == pytest.approx([0.7])


def test_images_are_squeezed_to_the_square_and_normalised() -> None:
    rows, columns = torch.linspace(-1, 1, 28), torch.linspace(-1, 1, 28)
    image = torch.stack([rows[:, None].expand(28, 28), columns.expand(28, 28),
                         torch.zeros(28, 28)])[None]
    same = normalised(image, 28)
    mean, deviation = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)
    for channel in range(3):
        expected = ((image[0, channel] + 1) / 2 - mean[channel]) / deviation[channel]
        torch.testing.assert_close(same[0, channel], expected, atol=1e-5, rtol=1e-5)
    wide = torch.linspace(-1, 1, 113).expand(1, 3, 57, 113)
    small_one = normalised(wide, 28)
    assert small_one.shape == (1, 3, 28, 28)
    # A ramp stays a ramp inside, but for torch's bicubic kernel, which bends it a little.
    expected = ((torch.linspace(-1, 1, 28) + 1) / 2 - mean[0]) / deviation[0]
    torch.testing.assert_close(small_one[0, 0, 14, 3:-3], expected[3:-3], atol=5e-3, rtol=0)
    with pytest.raises(ValueError, match=r"images should be \(B, 3, H, W\), got \(3, 4, 4\)"):
        encode_images(nn.Module(), torch.zeros(3, 4, 4))  # type: ignore[arg-type]


def sparse_safetensors(
    path: Path, shapes: Mapping[str, tuple[int, ...]], filled: Mapping[str, Tensor]
) -> None:
    """A file of float32 zeros that takes no room on the disk, but for the `filled` tensors."""
    header, offset = {}, 0
    for name, shape in shapes.items():
        size = 4 * int(torch.Size(shape).numel())
        header[name] = {"dtype": "F32", "shape": shape, "data_offsets": (offset, offset + size)}
        offset += size
    for name, tensor in filled.items():
        size = 4 * tensor.numel()
        header[name] = {"dtype": "F32", "shape": tensor.shape,
                        "data_offsets": (offset, offset + size)}
        offset += size
    text = json.dumps(header).encode()
    with path.open("wb") as file:
        file.write(struct.pack("<Q", len(text)) + text)
        file.truncate(file.tell() + offset)
        file.seek(-sum(4 * t.numel() for t in filled.values()), 2)
        for tensor in filled.values():
            file.write(tensor.float().numpy().tobytes())


DISK = 13e9  # bytes: an import of the true size writes 10 GB, other tests write beside it
MEASURE = """
import re, sys, threading
from pathlib import Path
from motifocal.models.released import checkpoint, dynamicrafter

peak, done = 0, threading.Event()

def watch():
    global peak
    while not done.wait(0.02):
        status = Path("/proc/self/status").read_text()
        peak = max(peak, int(re.search(r"RssAnon:\\s+(\\d+)", status)[1]))

watching = threading.Thread(target=watch, daemon=True)
watching.start()
checkpoint.import_checkpoint(Path(sys.argv[1]), Path(sys.argv[2]), dynamicrafter.DYNAMICRAFTER_BASE)
done.set()
watching.join()
print(peak)
"""


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="needs Linux's /proc")
def test_a_checkpoint_of_the_true_size_is_imported_within_1_gb(tmp_path: Path) -> None:
    if shutil.disk_usage(tmp_path).free < DISK:
        pytest.skip(f"needs {DISK / 1e9:g} GB of disk at {tmp_path}")
    base = DYNAMICRAFTER_BASE
    schedule = base.scheduler().noise_schedule
    filled = {"alphas_cumprod": schedule.alphas_cumprod, "scale_arr": schedule.scale}
    shapes = {n: s for n, s in released_shapes(base).items() if n not in filled}
    sparse_safetensors(tmp_path / "model.safetensors", shapes, filled)
    done = subprocess.run(
        [sys.executable, "-c", MEASURE, tmp_path / "model.safetensors", tmp_path / "folder"],
        capture_output=True, text=True,
    )
    assert done.returncode == 0, done.stderr
    assert 0 < int(done.stdout) < 2**20  # kB that are not pages of the mapped file
