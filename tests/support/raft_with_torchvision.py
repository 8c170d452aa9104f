"""What RAFT does with torchvision's own networks: run by test_raft.py, in a process apart.

TORCHVISION names the folder that torchvision lies in. The weights are random: what is proved is
how the network is called, and that does not depend on what it has learnt.
"""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
import torch
from harmful_pickle import Payload
from safetensors.torch import save_file
from torchvision_shim import make_importable

make_importable(Path(os.environ["TORCHVISION"]))

from torchvision.models import optical_flow  # noqa: E402

from motifocal.motion import raft  # noqa: E402
from motifocal.motion.flow import estimate_flow  # noqa: E402
from motifocal.motion.heatmap import HeatmapSettings, clip_heatmap  # noqa: E402
from motifocal.motion.raft import RaftOptions, raft_flow  # noqa: E402

FRAMES = np.zeros((2, 16, 16, 3), np.uint8)


def network(name: str, seed: int = 0) -> torch.nn.Module:
    torch.manual_seed(seed)
    function = {"raft-small": optical_flow.raft_small, "raft-large": optical_flow.raft_large}[name]
    return function(weights=None).eval()


@pytest.fixture(scope="session")
def small(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A file with random weights of raft-small."""
    path = tmp_path_factory.mktemp("weights") / "small.pth"
    torch.save(network("raft-small").state_dict(), path)
    return str(path)


def picture_clip(count: int, height: int, width: int, seed: int = 0) -> np.ndarray:
    """(F, H, W, 3) uint8: coarse random pictures, another one each frame."""
    rng = np.random.default_rng(seed)
    coarse = rng.integers(0, 256, (count, -(-height // 8), -(-width // 8), 3), dtype=np.uint8)
    return coarse.repeat(8, axis=1).repeat(8, axis=2)[:, :height, :width]


def direct(frames: np.ndarray, model: torch.nn.Module, updates: int = 12) -> np.ndarray:
    """torchvision's model on frames of a size that it takes as they are."""
    batch = torch.from_numpy(frames).permute(0, 3, 1, 2).float() / 255 * 2 - 1
    with torch.inference_mode():
        return model(batch[:-1], batch[1:], num_flow_updates=updates)[-1].numpy()


@pytest.mark.parametrize("name", ["raft-small", "raft-large"])
def test_flow_is_what_torchvision_gives(name: str, tmp_path: Path) -> None:
    model = network(name)
    torch.save(model.state_dict(), tmp_path / "w.pth")
    frames = picture_clip(3, 136, 128)
    flow = raft_flow(frames, name, RaftOptions(3, weights=str(tmp_path / "w.pth"), device="cpu"))
    assert flow.shape == (2, 2, 136, 128)
    assert flow.dtype == np.float32
    np.testing.assert_allclose(flow, direct(frames, model, 3), atol=2e-3, rtol=1e-4)
    assert np.abs(flow).max() > 0.1


def test_sizes_that_the_network_does_not_take_are_padded_with_their_rims(small: str) -> None:
    frames = picture_clip(2, 90, 131)
    # 128 x 136: 19 rows above and 19 below, 2 columns before and 3 behind.
    padded = np.pad(frames, [(0, 0), (19, 19), (2, 3), (0, 0)], mode="edge")
    expected = direct(padded, network("raft-small"))[:, :, 19:109, 2:133]
    flow = raft_flow(frames, "raft-small", RaftOptions(weights=small))
    np.testing.assert_allclose(flow, expected, atol=2e-3, rtol=1e-4)


@pytest.mark.parametrize("shape", [(1, 1), (5, 300), (128, 128), (129, 127)])
def test_any_frame_size_works(small: str, shape: tuple[int, int]) -> None:
    flow = raft_flow(picture_clip(2, *shape), "raft-small", RaftOptions(2, weights=small))
    assert flow.shape == (1, 2, *shape)
    assert np.isfinite(flow).all()


def test_one_frame_has_no_flow(small: str) -> None:
    flow = raft_flow(picture_clip(1, 40, 60), "raft-small", RaftOptions(weights=small))
    assert flow.shape == (0, 2, 40, 60)


@pytest.mark.parametrize("pairs", [1, 2, 3])
def test_batches_of_pairs_give_what_single_pairs_give(
    small: str, pairs: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    frames, options = picture_clip(6, 128, 128), RaftOptions(3, weights=small)
    points = (128 // 8) ** 2
    monkeypatch.setattr(raft, "_MOST_PRODUCTS", pairs * points**2)
    sizes = []
    run = raft._run

    def noted(model: torch.nn.Module, batch: torch.Tensor, given: RaftOptions) -> torch.Tensor:
        sizes.append(len(batch) - 1)
        return run(model, batch, given)

    monkeypatch.setattr(raft, "_run", noted)
    flow = raft_flow(frames, "raft-small", options)
    assert max(sizes) == pairs
    assert sum(sizes) == 5
    for first in range(5):
        alone = raft_flow(frames[first : first + 2], "raft-small", options)
        np.testing.assert_allclose(flow[first], alone[0], atol=2e-3, rtol=1e-4)


def test_x_comes_first(small: str) -> None:
    """A network whose last convolution always says (3, -5) says so in points of 8 pixels."""
    model = network("raft-small")
    head = model.update_block.flow_head.conv2
    torch.nn.init.zeros_(head.weight)
    head.bias.data = torch.tensor([3.0, -5.0])
    path = Path(small).with_name("constant.pth")
    torch.save(model.state_dict(), path)
    flow = raft_flow(picture_clip(2, 150, 170), "raft-small", RaftOptions(1, weights=str(path)))
    np.testing.assert_allclose(flow[0, 0], 24, atol=1e-3)
    np.testing.assert_allclose(flow[0, 1], -40, atol=1e-3)
    # At half the size the network says the same of frames half as large.
    options = RaftOptions(1, weights=str(path))
    half = estimate_flow(picture_clip(2, 300, 340), "raft-small", size=150, raft=options)
    assert half.shape == (1, 2, 300, 340)
    np.testing.assert_allclose(half[0, :, 150, 170], [48, -80], atol=1e-2)


def test_more_iterations_are_more_updates(small: str) -> None:
    frames, model = picture_clip(2, 128, 128), network("raft-small")
    for updates in (1, 4):
        flow = raft_flow(frames, "raft-small", RaftOptions(updates, weights=small))
        np.testing.assert_allclose(flow, direct(frames, model, updates), atol=2e-3, rtol=1e-4)
    assert np.abs(direct(frames, model, 4) - direct(frames, model, 1)).max() > 0.1


def test_float32_is_float32_whatever_the_caller_casts_to(small: str) -> None:
    frames, options = picture_clip(2, 128, 128), RaftOptions(2, weights=small)
    with torch.autocast("cpu", torch.bfloat16):
        inside = raft_flow(frames, "raft-small", options)
    assert np.array_equal(inside, raft_flow(frames, "raft-small", options))


@pytest.mark.parametrize("precision", ["bfloat16", "float16"])
def test_lower_precisions_run_and_are_near(small: str, precision: str) -> None:
    frames = picture_clip(2, 128, 160)
    exact = raft_flow(frames, "raft-small", RaftOptions(2, weights=small))
    rough = raft_flow(frames, "raft-small", RaftOptions(2, precision, small))
    assert rough.dtype == np.float32
    assert not np.array_equal(rough, exact)
    assert np.abs(rough - exact).mean() < 0.1 * np.abs(exact).mean()


def test_the_files_weights_are_the_ones_that_are_used(small: str, tmp_path: Path) -> None:
    frames = picture_clip(2, 128, 128)
    other = network("raft-small", seed=1)
    save_file(other.state_dict(), tmp_path / "other.safetensors")
    flow = raft_flow(frames, "raft-small",
                     RaftOptions(2, weights=str(tmp_path / "other.safetensors")))  # fmt: skip
    np.testing.assert_allclose(flow, direct(frames, other, 2), atol=2e-3, rtol=1e-4)
    assert not np.allclose(flow, raft_flow(frames, "raft-small", RaftOptions(2, weights=small)))


def test_a_file_that_changes_is_loaded_again(tmp_path: Path) -> None:
    path, frames, flows = tmp_path / "w.pth", picture_clip(2, 128, 128), []
    for seed in (0, 1):
        torch.save(network("raft-small", seed).state_dict(), path)
        os.utime(path, ns=(seed, seed))
        flows.append(raft_flow(frames, "raft-small", RaftOptions(2, weights=str(path))))
    assert not np.allclose(*flows)


def test_published_weights_are_taken_from_the_cache_and_never_fetched_unasked(
    small: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    fetched: list[tuple] = []
    monkeypatch.setattr(torch.hub, "download_url_to_file", lambda *given: fetched.append(given))
    frames = picture_clip(2, 128, 128)
    with pytest.raises(ValueError, match=r"raft-small has no weights: .*checkpoints.*--fetch-raft"):
        raft_flow(frames, "raft-small")
    path = raft.published_weights("raft-small")
    assert path.name == optical_flow.Raft_Small_Weights.DEFAULT.url.rpartition("/")[2]
    path.parent.mkdir()
    path.write_bytes(Path(small).read_bytes())
    assert np.array_equal(
        raft_flow(frames, "raft-small"), raft_flow(frames, "raft-small", RaftOptions(weights=small))
    )
    assert raft.fetch_weights("raft-small") == path  # is there: nothing to do
    assert fetched == []


def test_weights_are_fetched_when_asked_for_and_checked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []

    def download(url: str, path: str, start_of_hash: str) -> None:
        asked.append((url, start_of_hash))
        Path(path).write_bytes(b"weights")

    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path / "hub"))
    monkeypatch.setattr(torch.hub, "download_url_to_file", download)
    path = raft.fetch_weights("raft-large")
    url = optical_flow.Raft_Large_Weights.DEFAULT.url
    assert asked == [(url, url[-12:-4])]
    assert path.read_bytes() == b"weights"
    with pytest.raises(ValueError, match="is damaged, or holds more than tensors"):
        raft_flow(picture_clip(2, 128, 128), "raft-large")


def test_small_frames_come_in_batches_of_limited_size(
    small: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(raft, "_MOST_PIXELS", 3 * 128 * 128)
    sizes = []

    def noted(model: torch.nn.Module, batch: torch.Tensor, given: RaftOptions) -> torch.Tensor:
        sizes.append(len(batch) - 1)
        return torch.zeros(len(batch) - 1, 2, *batch.shape[2:])

    monkeypatch.setattr(raft, "_run", noted)
    raft_flow(picture_clip(9, 64, 64), "raft-small", RaftOptions(weights=small))
    assert sizes == [3, 3, 2]


@pytest.mark.parametrize("device", ["nowhere", "cuda:x", "cuda:99"])
def test_a_device_that_is_not_there_is_told_in_a_line(small: str, device: str) -> None:
    with pytest.raises(ValueError, match=f"RAFT cannot run on the device '{device}': [^\n]+$"):
        raft_flow(FRAMES, "raft-small", RaftOptions(weights=small, device=device))


def test_weights_that_come_damaged_are_told_from_weights(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def download(url: str, path: str, start_of_hash: str) -> None:
        raise RuntimeError(f'invalid hash value (expected "{start_of_hash}", got "0")')

    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path / "hub"))
    monkeypatch.setattr(torch.hub, "download_url_to_file", download)
    with pytest.raises(ValueError, match="raft-large's weights came damaged: invalid hash"):
        raft.fetch_weights("raft-large")


def test_files_of_other_weights_or_of_none_are_refused_and_nothing_in_them_runs(
    small: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    frames = picture_clip(2, 128, 128)
    torch.save(Payload(), "evil.pth")
    torch.save([1, 2], "list.pth")
    torch.save({1: torch.zeros(2)}, "numbers.pth")
    Path("text.pth").write_text("no weights")
    Path("text.safetensors").write_text("no weights at all")
    Path("half.pth").write_bytes(Path(small).read_bytes()[:1000])
    for name, words in {
        "evil.pth": "is damaged, or holds more than tensors",
        "list.pth": "should hold a dict of tensors by name, got list",
        "numbers.pth": "should hold a dict of tensors by name",
        "text.pth": "is damaged, or holds more than tensors",
        "text.safetensors": "is damaged, or holds more than tensors",
        "half.pth": "is damaged, or holds more than tensors",
        "gone.pth": "there is no such file with weights of raft-small",
    }.items():
        with pytest.raises(ValueError, match=rf"{name}.*{words}"):
            raft_flow(frames, "raft-small", RaftOptions(weights=name))
    assert not Path("pwned").exists()
    with pytest.raises(ValueError, match="should hold torchvision's raft-large, got: Error"):
        raft_flow(frames, "raft-large", RaftOptions(weights=small))


def test_maps_are_made_of_it_like_of_any_other_flow(small: str) -> None:
    frames = picture_clip(3, 96, 140)
    settings = HeatmapSettings(source="raft-small", raft_iterations=2, raft_weights=small)
    heat = clip_heatmap(frames, settings)
    assert heat.shape == (3, 96, 140)
    assert (heat > 0.5).any()
    threads = [clip_heatmap(frames, settings, workers=workers) for workers in (1, 4)]
    assert np.array_equal(*threads)
