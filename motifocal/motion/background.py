"""Find camera motion behind plain backgrounds: fit it where there is texture, compare frames.

F frames, H W pixels. Frames are `(F, H, W, 3)` uint8 RGB, flow is `(F-1, 2, H, W)` float32 in
pixels, a camera is `(F-1, 3, 3)` as in `camera.py`.

Not in the paper; our reading. `camera.fit_camera` alone asks that half of the picture agrees, which
a plain sky never does. Here a candidate is fitted to what has texture, however little, made exact
by aligning the frames, and judged by them: a few frames later even a weak gradient tells whether
the picture was carried along.
"""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from motifocal.media.arrays import Frames
from motifocal.motion.alignment import aligned_cameras
from motifocal.motion.camera import Cameras, fit_camera, own_flow, scaled_cameras, textured
from motifocal.motion.camera_models import SIMILARITY
from motifocal.motion.flow import Flow, grey_of, reduced_frames, resized_flow
from motifocal.motion.regions import Levels, chained, moving_regions, warped

# Cameras are fitted and judged at a shorter side of at most this, pixels.
_SIZE = 160
# Share of the textured weight that a candidate has to carry.
_SHARE = 0.2
# Frames are compared so many apart; a pixel tells two cameras apart by this many grey levels, a
# cell of 8 x 8 by this share of its pixels.
_LATER, _LEVELS, _CELLS, _LEAST = 3, 3, 8, 0.01
# The camera is taken where so many cells are for it, and in the whole picture and along each of its
# sides nearly so many times as many as for rest, in the mean over this many pairs of frames. What
# fills the picture and moves leaves a side that rests, which a camera does not.
_COVER, _SLACK, _WINDOW = 0.15, 0.1, 9
_AGAINST = (2.0, 1.0, 1.0, 1.0, 1.0)
_PARTS = (np.s_[:], np.s_[0], np.s_[-1], np.s_[:, 0], np.s_[:, -1])


def background_cameras(frames: Frames, flow: Flow) -> Cameras:
    """Return the camera's motion between consecutive frames, (F-1, 3, 3).

    Exactly the identity where it rests. A thing that moves before a wall without any texture or
    gradient looks like a camera, and is taken for one where it is large and no side of the picture
    is seen to rest.
    """
    height, width = frames.shape[1:3]
    small = reduced_frames(frames, _SIZE)
    h, w = small.shape[1:3]
    cameras = fit_camera(resized_flow(flow, h, w), textured(small), (SIMILARITY,),
                         texture_share=_SHARE)  # fmt: skip
    smooth = [cv2.GaussianBlur(grey, (0, 0), 1.0) for grey in grey_of(small)]
    cameras = aligned_cameras(smooth, cameras)
    if (cameras - np.eye(3)).any():
        votes = _votes(smooth, cameras).reshape(len(cameras), -1).astype(np.float32)
        mean = cv2.blur(votes[:, None], (1, _WINDOW), borderType=cv2.BORDER_REFLECT)
        carried, resting = mean.reshape(len(cameras), 2, -1).transpose(1, 0, 2)
        rather = carried + _SLACK > np.array(_AGAINST) * resting
        taken = rather.all(axis=1) & (carried[:, 0] > _COVER)
        cameras[~taken] = np.eye(3)
    return scaled_cameras(cameras, width / w, height / h)


def _votes(smooth: Sequence[Levels], cameras: Cameras) -> NDArray[np.float64]:
    """Return the share of cells that a camera explains, and that rest does: (F-1, 2, 5).

    Of all cells and of those along the top, bottom, left and right.
    """
    everywhere = np.full_like(smooth[0], 255)
    votes = np.zeros((len(cameras), 2, len(_PARTS)))
    for pair, camera in enumerate(cameras):
        if np.array_equal(camera, np.eye(3)):
            continue
        last = min(pair + _LATER, len(cameras))
        whole = chained(cameras[pair:last])
        at_rest = cv2.absdiff(smooth[pair], smooth[last])
        carried = cv2.absdiff(smooth[pair], warped(smooth[last], whole))
        gain = cv2.subtract(at_rest, carried, dtype=cv2.CV_16S)
        gain[warped(everywhere, whole) < 255] = 0
        better, worse, rests = (
            cv2.resize(told.astype(np.float32), (_CELLS, _CELLS), interpolation=cv2.INTER_AREA)
            for told in (gain > _LEVELS, gain < -_LEVELS, (gain < -_LEVELS) & (at_rest < _LEVELS))
        )
        # What neither explains moves in its own way, as the ground before trees far away.
        cells = ((better > worse) & (better > _LEAST),
                 (worse > better) & (worse > _LEAST) & (rests > worse / 2))  # fmt: skip
        votes[pair] = [[told[part].mean() for part in _PARTS] for told in cells]
    return votes


def regions_beside_camera(
    frames: Frames, flow: Flow, noise: float
) -> tuple[Flow, NDArray[np.bool_]]:
    """Return the flow (F-1, 2, H, W) without the camera's, and the regions that move (F-1, H, W).

    The same bits as ``regions.moving_regions`` where the camera rests.
    """
    cameras = background_cameras(frames, flow)
    own, beyond = own_flow(flow, cameras)
    own *= beyond[:, None]
    return own, moving_regions(frames, own, noise, cameras)
