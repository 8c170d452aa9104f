"""Estimate optical flow by RAFT, with torchvision's networks.

F frames, H W pixels, P pairs of a batch. Frames are `(F, H, W, 3)` uint8 RGB, flow is
`(F-1, 2, H, W)` float32 in pixels, (x, y). torch and torchvision are imported when RAFT is used;
torchvision comes with the extra `raft`.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from motifocal.extras import install_extra
from motifocal.files.tensor_file import read_tensors

if TYPE_CHECKING:
    import torch
    from torch import Tensor

# torchvision's function and enumeration of published weights for each network (Teed and Deng 2020).
NETWORKS: dict[str, tuple[str, str]] = {
    "raft-small": ("raft_small", "Raft_Small_Weights"),
    "raft-large": ("raft_large", "Raft_Large_Weights"),
}
PRECISIONS = ("float32", "bfloat16", "float16")

# The network works at an eighth of the size, and its coarsest level needs 2 x 2 points of 64 each.
_MULTIPLE, _LEAST = 8, 128
# The network compares every point with every other: a batch holds at most so many such products
# (1 GiB of float32), and at least one pair.
_MOST_PRODUCTS = 2**28
# Small frames have few products; a batch of them holds at most so many padded pixels (the first
# convolution of raft-large makes 128 bytes of each pair's pixel: 1 GiB).
_MOST_PIXELS = 2**23

# A network keeps the products of the pairs at hand within itself: one call at a time.
_one_at_a_time = threading.Lock()


@dataclass(frozen=True)
class RaftOptions:
    """How RAFT is run.

    iterations: updates of the flow; the authors evaluate with 12 to 32.
    precision: of the convolutions, a key of ``PRECISIONS``; places and flow stay float32.
    weights: a file of torchvision's names (.pth, .pt or .safetensors). None takes torchvision's
        published ones, which have to be in torch's cache already: see ``fetch_weights``.
    device: None takes an accelerator if there is one.
    """

    iterations: int = 12
    precision: str = "float32"
    weights: str | None = None
    device: str | None = None

    def __post_init__(self) -> None:
        if self.iterations < 1:
            raise ValueError(f"iterations should be at least 1, got {self.iterations}")
        if self.precision not in PRECISIONS:
            raise ValueError(f"precision should be one of {PRECISIONS}, got {self.precision!r}")


DEFAULT_RAFT = RaftOptions()


def raft_flow(
    frames: NDArray[np.uint8], network: str, options: RaftOptions = DEFAULT_RAFT
) -> NDArray[np.float32]:
    """Estimate RAFT's flow of consecutive frames: (F-1, 2, H, W) float32, pixels a frame, (x, y).

    Frames are padded on all sides with their own rims until the network takes them (multiples of
    8, at least 128 pixels); the flow of the padding is cut off, so it is in pixels of the frames.

    Args:
        frames: (F, H, W, 3) uint8 RGB.
        network: a key of ``NETWORKS``.

    Raises:
        ValueError: torchvision is missing, weights are not there or of another network, or there
            is no such device.
    """
    import torch
    from torch.nn.functional import pad

    count, height, width, _ = frames.shape
    flow = np.empty((count - 1, 2, height, width), np.float32)
    if count == 1:
        return flow
    device = _device(options.device)
    model = _network(network, _weights_file(network, options.weights), device)
    left, right = _padding(width)
    top, bottom = _padding(height)
    pixels = torch.tensor(np.ascontiguousarray(frames.transpose(0, 3, 1, 2)))
    area = (height + top + bottom) * (width + left + right)
    products = (area // _MULTIPLE**2) ** 2
    pairs = max(1, min(_MOST_PRODUCTS // products, _MOST_PIXELS // area))
    for first in range(0, count - 1, pairs):
        batch = pixels[first : first + pairs + 1].to(device).float() / 127.5 - 1
        batch_flow = _run(model, pad(batch, (left, right, top, bottom), mode="replicate"), options)
        inside = batch_flow[:, :, top : top + height, left : left + width]
        flow[first : first + pairs] = inside.cpu().numpy()
    return flow


def published_weights(network: str) -> Path:
    """Return where torch keeps the published weights of this network once they are fetched."""
    import torch

    name = _published_url(network).rpartition("/")[2]
    return Path(torch.hub.get_dir()) / "checkpoints" / name


def fetch_weights(network: str) -> Path:
    """Fetch the published weights of this network into torch's cache, unless they are there.

    The only place where this module downloads anything. The file's name holds the start of its
    SHA-256, which is checked. Raises OSError where the net does not answer, ValueError where what
    it sends is something else.
    """
    import torch

    path = published_weights(network)
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        expected = path.stem.rpartition("-")[2]
        try:
            torch.hub.download_url_to_file(_published_url(network), str(path), expected)
        except RuntimeError as error:  # torch's word for another SHA-256
            raise ValueError(f"{network}'s weights came damaged: {error}") from error
    return path


def _run(model: torch.nn.Module, frames: Tensor, options: RaftOptions) -> Tensor:
    """Run the network on (P + 1, 3, H, W) in [-1, 1]: flow (P, 2, H, W) float32."""
    import torch

    # Autocast, not .to(): places counted in bfloat16 would be off by whole points. For float32 it
    # is switched off, as the caller may have it on.
    dtype = None if options.precision == "float32" else getattr(torch, options.precision)
    cast = torch.autocast(frames.device.type, dtype, enabled=dtype is not None)
    with _one_at_a_time, torch.inference_mode(), cast:
        updates = model(frames[:-1], frames[1:], num_flow_updates=options.iterations)
        flow: Tensor = updates[-1].float()
    return flow


def _padding(length: int) -> tuple[int, int]:
    """Return the pixels to add before and after a side for the network to take it."""
    missing = max(_LEAST, -(-length // _MULTIPLE) * _MULTIPLE) - length
    return missing // 2, missing - missing // 2


def _device(given: str | None) -> torch.device:
    """Return the device of this name, or an accelerator if any; ValueError where it is not."""
    import torch

    try:
        device = torch.device(given or ("cuda" if torch.cuda.is_available() else "cpu"))
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:  # the latter: a torch without CUDA
        words = str(error).partition("\n")[0][:200]
        raise ValueError(f"RAFT cannot run on the device {given!r}: {words}") from error
    return device


def _weights_file(network: str, given: str | None) -> Path:
    """Return the file to load: the given one, or the published one, which has to be there."""
    path = Path(given) if given else published_weights(network)
    if not path.is_file():
        if given:
            raise ValueError(f"{given}: there is no such file with weights of {network}")
        raise ValueError(
            f"{network} has no weights: {path} is not there; fetch torchvision's published ones "
            f"with --fetch-raft or motifocal.motion.raft.fetch_weights({network!r}), or name a file"
        )
    return path


@lru_cache(maxsize=2)
def _loaded(network: str, file: Path, modified: int, device: torch.device) -> torch.nn.Module:
    function, _ = NETWORKS[network]
    # weights=None: the network as such, with nothing fetched.
    model: torch.nn.Module = getattr(_torchvision(), function)(weights=None, progress=False)
    try:
        model.load_state_dict(read_tensors(file))
    except RuntimeError as error:  # torch's word for names or shapes that do not fit
        words = " ".join(str(error).split())[:200]
        raise ValueError(f"{file} should hold torchvision's {network}, got: {words}") from error
    return model.eval().requires_grad_(False).to(device)


def _network(network: str, file: Path, device: torch.device) -> torch.nn.Module:
    """Load the network with the file's weights, kept for the next clip."""
    with _one_at_a_time:
        return _loaded(network, file, file.stat().st_mtime_ns, device)


def _torchvision() -> Any:
    try:
        from torchvision.models import optical_flow
    except ImportError as error:
        raise ValueError(f"RAFT needs torchvision ({error}); {install_extra('raft')}") from error
    except RuntimeError as error:  # its compiled operators are of another torch
        raise ValueError(f"torchvision does not fit this torch: {error}") from error
    return optical_flow


def _published_url(network: str) -> str:
    _, weights = NETWORKS[network]
    url: str = getattr(_torchvision(), weights).DEFAULT.url
    return url
