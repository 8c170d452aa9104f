"""The denoiser: conditions reach the output, wrong shapes are refused, and training it is exact."""

from __future__ import annotations

import copy
from dataclasses import asdict, replace
from pathlib import Path

import pytest
import torch
from diffusers import UNet3DConditionModel
from tiny_model import UNET
from torch import Tensor, nn

from motifocal.models.unet import VIDEOCRAFTER2, TI2VUNet, UNetConfig

SMALL = replace(UNET, attention=(False, True), cross_attention_dim=12)
CONDITIONS = {
    "none": replace(SMALL, image_condition="none"),
    "concat": SMALL,
    "attention": replace(SMALL, image_condition="attention", image_token_dim=6),
    "both": replace(SMALL, image_condition="both", image_token_dim=6),
}


def build(config: UNetConfig = SMALL, seed: int = 0) -> TI2VUNet:
    """A network whose zero layers are drawn anew, so that every part moves the output."""
    torch.manual_seed(seed)
    unet = TI2VUNet.build(config).eval()
    for parameter in unet.parameters():
        if not parameter.any():
            nn.init.normal_(parameter, std=0.2)
    return unet


def inputs(config: UNetConfig = SMALL, batch: int = 2, frames: int = 3, seed: int = 1) -> dict:
    generator = torch.Generator().manual_seed(seed)

    def draw(*shape: int) -> Tensor:
        return torch.randn(shape, generator=generator)

    return {
        "sample": draw(batch, 4, frames, 4, 6),
        "timestep": torch.tensor([7, 900])[:batch],
        "encoder_hidden_states": draw(batch, 5, 12),
        "fps": torch.tensor([8.0, 24.0])[:batch],
        "image_latent": draw(batch, 4, 4, 6) if config.takes_image_latent else None,
        "image_tokens": draw(batch, 3, 6) if config.takes_image_tokens else None,
    }


def change(one: Tensor, other: Tensor) -> float:
    return (one - other).detach().abs().max().item()


@pytest.mark.parametrize("name", CONDITIONS)
def test_a_fresh_network_outputs_exactly_zero(name: str) -> None:
    torch.manual_seed(0)
    out = TI2VUNet.build(CONDITIONS[name])(**inputs(CONDITIONS[name]))
    assert out.shape == (2, 4, 3, 4, 6)
    assert not out.any()


def test_without_additions_it_computes_what_the_stock_network_computes() -> None:
    config = replace(SMALL, image_condition="none", input_attention_heads=8)
    ours = build(config)
    stock = UNet3DConditionModel(
        down_block_types=("DownBlock3D", "CrossAttnDownBlock3D"),
        up_block_types=("CrossAttnUpBlock3D", "UpBlock3D"),
        block_out_channels=(16, 32),
        layers_per_block=1,
        norm_num_groups=4,
        cross_attention_dim=12,
        attention_head_dim=8,
    ).eval()
    nn.init.zeros_(ours.fps_embedding.linear_2.weight)
    nn.init.zeros_(ours.fps_embedding.linear_2.bias)
    state = {n: v for n, v in ours.state_dict().items() if not n.startswith("fps_embedding")}
    stock.load_state_dict(state)
    given = inputs(config)
    expected = stock(given["sample"], given["timestep"], given["encoder_hidden_states"]).sample
    assert expected.std() > 0.1
    torch.testing.assert_close(ours(**given), expected, atol=2e-5, rtol=0)


@pytest.mark.parametrize("name", CONDITIONS)
def test_every_parameter_receives_a_gradient(name: str) -> None:
    unet = build(CONDITIONS[name])
    unet(**inputs(CONDITIONS[name])).square().sum().backward()
    dead = [n for n, p in unet.named_parameters() if p.grad is None or not p.grad.any()]
    assert dead == []


@pytest.mark.parametrize("field", ["timestep", "fps", "encoder_hidden_states"])
def test_every_condition_moves_the_output(field: str) -> None:
    unet, given = build(), inputs()
    assert change(unet(**given), unet(**given | {field: given[field] + 1})) > 1e-3


@pytest.mark.parametrize(
    ("name", "field"),
    [
        ("concat", "image_latent"),
        ("attention", "image_tokens"),
        ("both", "image_latent"),
        ("both", "image_tokens"),
    ],
)
def test_the_picture_moves_every_frame(name: str, field: str) -> None:
    unet, given = build(CONDITIONS[name]), inputs(CONDITIONS[name])
    other = unet(**given | {field: torch.randn(given[field].shape)})
    moved = (unet(**given) - other).abs().amax(dim=(1, 3, 4))
    assert (moved > 1e-3).all()


def test_fps_cannot_be_left_out() -> None:
    given = inputs()
    del given["fps"]
    with pytest.raises(TypeError, match="fps"):
        build()(**given)


def test_one_number_for_time_and_fps_means_the_same_for_all() -> None:
    unet, given = build(), inputs()
    vectors = given | {"timestep": torch.tensor([7, 7]), "fps": torch.tensor([8.0, 8.0])}
    numbers = given | {"timestep": 7, "fps": 8.0}
    assert torch.equal(unet(**vectors), unet(**numbers))


def test_clips_of_a_batch_do_not_see_each_other() -> None:
    unet, given = build(), inputs()
    alone = {k: v[:1] for k, v in given.items() if v is not None}
    torch.testing.assert_close(unet(**given)[:1], unet(**alone), atol=2e-5, rtol=0)


@pytest.mark.parametrize("frames", [1, 2, 7])
def test_any_number_of_frames_runs(frames: int) -> None:
    assert build()(**inputs(frames=frames)).shape == (2, 4, frames, 4, 6)


def test_frame_order_matters() -> None:
    unet, given = build(), inputs(frames=5)
    backwards = unet(**given | {"sample": given["sample"].flip(2)}).flip(2)
    assert change(unet(**given), backwards) > 1e-2


def gradients(unet: TI2VUNet, given: dict) -> dict[str, Tensor]:
    unet.zero_grad()
    torch.manual_seed(5)  # the temporal convolutions draw dropout
    unet(**given).square().mean().backward()
    return {name: p.grad.clone() for name, p in unet.named_parameters()}


def test_gradient_checkpointing_changes_no_gradient_even_with_dropout() -> None:
    unet, given = build(CONDITIONS["both"]).train(), inputs(CONDITIONS["both"])
    plain = gradients(unet, given)
    unet.enable_gradient_checkpointing()
    assert unet.is_gradient_checkpointing
    checkpointed = gradients(unet, given)
    for name, expected in plain.items():
        torch.testing.assert_close(checkpointed[name], expected, atol=1e-6, rtol=1e-4)


def saved_bytes(unet: TI2VUNet, given: dict) -> int:
    total = 0

    def pack(tensor: Tensor) -> Tensor:
        nonlocal total
        total += tensor.numel() * tensor.element_size()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        unet(**given)
    return total


def test_gradient_checkpointing_keeps_far_less_for_the_backward_pass() -> None:
    unet, given = build(), inputs(frames=8)
    plain = saved_bytes(unet, given)
    unet.enable_gradient_checkpointing()
    assert saved_bytes(unet, given) < plain / 4
    unet.disable_gradient_checkpointing()
    assert saved_bytes(unet, given) == plain


def test_temporal_dropout_is_the_configured_number() -> None:
    given = inputs()
    for probability, differs in ((0.0, False), (0.1, True)):
        unet = build(replace(SMALL, temporal_dropout=probability))
        evaluated, trained = unet(**given), unet.train()(**given)
        assert torch.equal(evaluated, trained) is not differs


def test_bfloat16_autocast_on_the_cpu_stays_close_to_float32() -> None:
    unet, given = build(CONDITIONS["both"]), inputs(CONDITIONS["both"])
    exact = unet(**given)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        rounded = unet(**given)
    rounded.float().square().mean().backward()
    assert (exact - rounded).detach().square().mean().sqrt() < 0.05 * exact.detach().std()


def test_a_saved_network_loads_as_the_same_function(tmp_path: Path) -> None:
    config = CONDITIONS["both"]
    unet, given = build(config), inputs(config)
    unet.save_pretrained(tmp_path)
    assert (tmp_path / "diffusion_pytorch_model.safetensors").is_file()
    loaded = TI2VUNet.from_pretrained(tmp_path, trust_remote_code=False)
    assert loaded.unet_config == config
    assert {k: v for k, v in loaded.config.items() if not k.startswith("_")}.keys() == asdict(
        config
    ).keys()
    assert torch.equal(loaded(**given), unet(**given))


def test_a_copy_is_independent() -> None:
    unet, given = build(), inputs()
    before = unet(**given)
    nn.init.ones_(copy.deepcopy(unet).conv_in.weight)
    assert torch.equal(unet(**given), before)


def test_the_published_sizes_give_the_published_count_of_parameters() -> None:
    with torch.device("meta"):
        unet = TI2VUNet.build(VIDEOCRAFTER2)
    count = sum(parameter.numel() for parameter in unet.parameters())
    assert count == 1_413_284_420 + 320 * 4 * 3 * 3  # the widened first convolution
    assert unet.transformer_in.proj_in.weight.shape == (512, 320)


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("sample", torch.zeros(2, 3, 3, 4, 6), r"sample should be \(B, 4, F, h, w\), got \(2, 3,"),
        ("sample", torch.zeros(2, 4, 3, 4, 5), r"divide by 2 \(2\^\(levels - 1\)\), got 4x5"),
        ("fps", torch.zeros(3), r"fps should be \(2,\) or one number, got \(3,\)"),
        ("timestep", torch.zeros(2, 1), r"timestep should be \(2,\) or one number, got \(2, 1\)"),
        (
            "encoder_hidden_states",
            torch.zeros(2, 5, 11),
            r"encoder_hidden_states should be \(2, any, 12\), got \(2, 5, 11\)",
        ),
        ("image_latent", None, r"image_latent should be \(2, 4, 4, 6\), got None"),
        ("image_latent", torch.zeros(2, 4, 3, 4, 6), r"should be \(2, 4, 4, 6\), got \(2, 4, 3, 4"),
        ("image_tokens", torch.zeros(2, 3, 6), "'concat' takes no image_tokens"),
    ],
)
def test_a_wrong_input_is_refused_with_both_shapes(
    field: str, value: Tensor | None, message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        build()(**inputs() | {field: value})


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"attention": (True,)}, "attention should have 2 entries"),
        ({"image_condition": "crossattn"}, "image_condition should be one of"),
        ({"image_condition": "attention"}, "image_token_dim should be a width"),
        ({"image_token_dim": 6}, "image_token_dim should be None"),
        ({"norm_num_groups": 5}, "divide by norm_num_groups 5, got 16"),
        ({"head_width": 24}, "divide by head_width 24, got 32"),
    ],
)
def test_a_configuration_that_cannot_work_is_refused(changes: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        replace(SMALL, **changes)


def test_freeu_is_refused_instead_of_ignored() -> None:
    with pytest.raises(NotImplementedError, match="FreeU"):
        build().enable_freeu(0.9, 0.2, 1.2, 1.4)
