"""The latent grid read off an autoencoder is the table's, and what cannot be told is said."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from functools import cache, partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from click.testing import CliRunner
from einops import rearrange
from tiny_vaes import BUILT, cosmos_vae, minimax_h3_vae, tiny_vae
from torch import Tensor, nn

from motifocal.cli import cli
from motifocal.loss.autoencoder_config import read_autoencoder_config
from motifocal.loss.grid_probe import ProbedGrid, probe_grid
from motifocal.loss.latent_grid import FAMILIES, LatentGeometry


class Averaging(nn.Module):
    """An encoder that averages squares, and frames by fours; each latent sees `mixed` of all."""

    def __init__(self, mixed: float = 0.0) -> None:
        super().__init__()
        self.encoder = nn.Conv3d(3, 3, 1).requires_grad_(False)  # reads clips
        self.mixed = mixed

    def encode(self, clip: Tensor) -> SimpleNamespace:
        small = rearrange(clip, "b c f (h s) (w t) -> b c f h w (s t)", s=4, t=4).mean(-1)
        frames = small.shape[2] // 4 * 4
        fours = rearrange(small[:, :, :frames], "b c (f k) h w -> b c f k h w", k=4).mean(3)
        latents = fours + self.mixed * small.mean(2, keepdim=True)
        return SimpleNamespace(latent_dist=SimpleNamespace(mean=latents))


@cache
def probed(build: Callable[[], Any]) -> ProbedGrid[LatentGeometry]:
    return probe_grid(build(), LatentGeometry)


@pytest.mark.slow
@pytest.mark.parametrize("family", FAMILIES)
def test_every_family_is_found_without_the_table(family: str) -> None:
    """Families that share a class are probed once."""
    grid = probed(BUILT.get(family) or partial(tiny_vae, family))
    only_the_autoencoders = replace(FAMILIES[family], temporal_multiple=1,
                                    conditioned_first=False, layout="b c f h w")  # fmt: skip
    if family == "helios":  # its pipeline cuts clips into sections, not its autoencoder
        only_the_autoencoders = replace(only_the_autoencoders, block_frames=None)
    assert grid.geometry == only_the_autoencoders
    assert grid.measured


@pytest.mark.slow
def test_an_autoencoder_of_no_family_is_found_too() -> None:
    grid = probe_grid(cosmos_vae(), LatentGeometry)
    assert (grid.geometry, grid.measured) == (LatentGeometry(8, 8), True)


def test_the_autoencoder_is_left_as_it_is() -> None:
    vae = tiny_vae("sd").float()
    before = {name: tensor.clone() for name, tensor in vae.state_dict().items()}
    assert LatentGeometry.of(vae) == LatentGeometry(8, 1)
    assert all(torch.equal(tensor, before[name]) for name, tensor in vae.state_dict().items())
    assert any(isinstance(module, nn.GroupNorm) for module in vae.modules())


def test_where_every_frame_changes_every_latent_the_class_is_asked() -> None:
    class Stating(Averaging):
        temporal_compression_ratio = 4

    mixing = Stating(mixed=0.1)
    grid = probe_grid(mixing, LatentGeometry)
    assert (grid.geometry, grid.measured) == (LatentGeometry(4, 4), False)
    assert "every frame changes the first latent" in " ".join(grid.notes)
    assert grid.notes[-1] == "4 frames a latent is what the class states"


def test_a_grid_of_another_kind_is_refused() -> None:
    """Fours from the start on: the first latent covers four frames, not one."""
    with pytest.raises(ValueError, match=r"no latent grid explains Averaging: .* latent"):
        probe_grid(Averaging(), LatentGeometry)


def test_latents_that_lie_elsewhere_are_refused() -> None:
    class Turned(Averaging):
        def encode(self, clip: Tensor) -> SimpleNamespace:
            return super().encode(clip.flip(-1))

    with pytest.raises(ValueError, match="should change the latent that covers them most"):
        probe_grid(Turned(), LatentGeometry)


def test_an_encoder_that_takes_no_clip_is_refused_with_its_own_reason() -> None:
    class Refusing(Averaging):
        def encode(self, clip: Tensor) -> SimpleNamespace:
            raise RuntimeError("images should have four channels")

    with pytest.raises(ValueError, match=r"at most 41 frames .* four channels"):
        probe_grid(Refusing(), LatentGeometry)


@pytest.mark.slow
def test_the_command_reads_the_configuration_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    minimax_h3_vae().save_config(tmp_path / "vae")
    done = CliRunner().invoke(cli, ["latents", "probe", str(tmp_path), "--json"])
    assert done.exit_code == 0, done.output
    told = json.loads(done.stdout)
    assert told["block_frames"] == 17
    assert told["last_block_frames"] == 5
    assert told["families"] == ["minimax-h3"]
    # The same grid in words; measuring it once more would take as long again.
    monkeypatch.setattr("motifocal.loss.grid_probe.probe_grid", lambda *_: probed(minimax_h3_vae))
    lines = CliRunner().invoke(cli, ["latents", "probe", str(tmp_path / "vae")]).stdout
    assert "frames of a clip: 5 + a multiple of 17" in lines
    assert "of a clip of 22: 0, 1-4, 5-8, 9-12, 13-16, 17, 18-21" in lines


@pytest.mark.parametrize(
    ("config", "message"),
    [
        (None, "should hold vae/config.json or config.json"),
        ({"_class_name": "UNet2DModel"}, "should name an autoencoder of diffusers"),
        ({"_class_name": "AutoencoderOfTomorrow"}, "should have AutoencoderOfTomorrow"),
        ({"_class_name": "AutoencoderKL", "down_block_types": ["Nothing"]}, "from its settings"),
    ],
)
def test_what_is_no_autoencoder_is_refused(
    config: dict[str, object] | None, message: str, tmp_path: Path
) -> None:
    if config is not None:
        (tmp_path / "config.json").write_text(json.dumps(config))
    done = CliRunner().invoke(cli, ["latents", "probe", str(tmp_path)])
    assert isinstance(done.exception, ValueError)
    assert message in str(done.exception)


def test_a_hub_that_gives_no_reason_is_one_line_too(monkeypatch: pytest.MonkeyPatch) -> None:
    def silent(*_: str) -> None:
        raise TimeoutError

    monkeypatch.setattr("huggingface_hub.hf_hub_download", silent)
    with pytest.raises(ValueError, match="the hub says: TimeoutError"):
        read_autoencoder_config("somebody/model")
