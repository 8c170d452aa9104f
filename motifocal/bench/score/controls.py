"""Build the control rows of a model's videos: still image, shuffled frames, another prompt.

Letters: F frames, H W pixels. A measure that a control row wins says nothing about what the control
lacks: motion (the still image), the order of the frames (shuffled), the prompt (another one's).
"""

from __future__ import annotations

import zlib
from collections import defaultdict
from collections.abc import Iterable

import numpy as np
import numpy.typing as npt

from motifocal.bench.results import ExpectedVideo

STILL = "still image"
SHUFFLED = "frames shuffled"
ANOTHER = "another prompt"
#: Control row -> what stands in it.
CONTROLS: dict[str, str] = {
    STILL: "the image, repeated for as many frames as the video has",
    SHUFFLED: "a video's own frames, all but the first in another order; one video an image",
    ANOTHER: "the video of another prompt of the same image",
}
FEWEST = 3  # frames of which all but the first can change places


def still(image: npt.NDArray[np.uint8], frames: int) -> npt.NDArray[np.uint8]:
    """Repeat the image (H, W, 3) as a clip (F, H, W, 3) in which nothing happens."""
    return np.repeat(image[None], frames, axis=0)


def shuffle_order(frames: int, seed: int, name: str) -> tuple[int, ...] | None:
    """Return the order in which the shuffled video `name` plays its `frames` frames.

    Frame 0 stays first, so that fidelity to the image is not what tells the two apart, and the
    others never keep their order. None where there are fewer than three frames: nothing can
    change places. The same arguments give the same order.
    """
    if frames < FEWEST:
        return None
    rng = _generator(seed, name)
    kept = np.arange(1, frames)
    while True:
        order = rng.permutation(kept)
        if not np.array_equal(order, kept):
            return (0, *map(int, order))


def one_per_image(videos: Iterable[ExpectedVideo], seed: int) -> set[ExpectedVideo]:
    """Draw one video of every image by `seed`: those that are shuffled.

    Shuffled frames need their flow estimated anew, which would double the time for a model; and
    since intervals are over images, more videos of an image would hardly shorten them.
    """
    groups: dict[str, list[ExpectedVideo]] = defaultdict(list)
    for video in videos:
        groups[video.pair.image_id].append(video)
    return {sorted(members, key=lambda video: (video.pair.stem, video.seed))
            [int(_generator(seed, image_id).integers(len(members)))]
            for image_id, members in groups.items()}


def other_prompts(
    videos: Iterable[ExpectedVideo], seed: int
) -> dict[ExpectedVideo, ExpectedVideo]:
    """Map every video to one of another prompt of the same image and sampling seed.

    Within an image each video stands in for exactly one other, by a random cycle through all of
    them, so that the row holds the same videos as the model's. A video whose image has no other
    prompt is left out. The same arguments give the same choice.
    """
    groups: dict[tuple[str, int], list[ExpectedVideo]] = defaultdict(list)
    for video in videos:
        groups[video.pair.image_id, video.seed].append(video)
    others = {}
    for (image_id, sample), members in groups.items():
        if len(members) > 1:
            members = sorted(members, key=lambda video: video.pair.stem)
            cycle = _generator(seed, f"{image_id} {sample}").permutation(len(members))
            for here, there in zip(cycle, np.roll(cycle, 1), strict=True):
                others[members[here]] = members[there]
    return others


def _generator(seed: int, name: str) -> np.random.Generator:
    return np.random.default_rng([seed, zlib.crc32(name.encode())])
