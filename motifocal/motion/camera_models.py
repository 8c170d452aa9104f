"""Fit a camera to flow at points of a grid: a similarity, an affine map or a homography.

P pairs of frames, N points of a grid, K numbers of a model. Flow at the points is `(P, 2, N)` in
pixels. A step is `(P, 3, 3)`: a camera less the identity, with places measured from the picture's
centre in half of its longer side, so that zero is exactly no motion.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from motifocal.motion.flow import Flow

Floats = NDArray[np.float64]

# Points along the shorter side, and cells along each side. Every cell has one weight, however
# much texture it holds, and a cell at the border two: a camera moves it, an object seldom does.
_POINTS, _CELLS, _BORDER = 32, 8, 2
# The fit forgives less and less (graduated non-convexity) until what an estimator errs by, pixels.
_ROUNDS, _SHRINK, _EXACT = 15, 0.6, 0.15
# A homography that folds the picture over is none: the least that depth may shrink by.
_LEAST_DEPTH = 0.2


@dataclass
class Grid:
    """The N points that are looked at: `x` and `y` (N,) from the centre, in `unit` pixels."""

    height: int
    width: int
    points: int = _POINTS

    def __post_init__(self) -> None:
        step = max(1, round(min(self.height, self.width) / self.points))
        self.rows = np.arange((step - 1) // 2, self.height, step)
        self.columns = np.arange((step - 1) // 2, self.width, step)
        self.centre = np.array([self.width - 1, self.height - 1]) / 2
        self.unit = max(self.height, self.width) / 2
        y, x = np.meshgrid(
            (self.rows - self.centre[1]) / self.unit,
            (self.columns - self.centre[0]) / self.unit,
            indexing="ij",
        )
        self.x, self.y = x.ravel().astype(np.float32), y.ravel().astype(np.float32)
        self.to_pixels = np.array([[self.unit, 0, self.centre[0]], [0, self.unit, self.centre[1]],
                                   [0, 0, 1]])  # fmt: skip
        self.from_pixels = np.linalg.inv(self.to_pixels)

    def pick(self, flow: Flow) -> Floats:
        """Sample (P, 2, H, W) at the points: (P, 2, N)."""
        picked = flow[:, :, self.rows[:, None], self.columns].astype(np.float64)
        return picked.reshape(len(flow), 2, -1)

    def weights(self, valid: NDArray[np.bool_]) -> Floats:
        """Return the weight of each point (P, N) for (P, H, W): a cell's weight is shared in it.

        They are shares of all there could be: in an image full of texture they sum to 1.
        """
        cells = self.rows[:, None] * _CELLS // self.height * _CELLS
        cell = (cells + self.columns * _CELLS // self.width).ravel()
        cell_weights = np.full((_CELLS, _CELLS), float(_BORDER))
        cell_weights[1:-1, 1:-1] = 1
        believed = valid[:, self.rows[:, None], self.columns].reshape(len(valid), -1)
        sizes = np.array([np.bincount(cell[points], minlength=_CELLS**2)
                          for points in believed])  # fmt: skip
        sizes = np.maximum(sizes.reshape(-1, _CELLS**2), 1)
        shares = cell_weights.ravel() / cell_weights.sum() / sizes
        return believed * shares[:, cell]

    def field(self, step: Floats) -> tuple[Floats, Floats]:
        """Return the flow of steps (P, 3, 3) at the points, (P, 2, N), and their depth (P, N)."""
        field, depth = moved(step, self.x, self.y)
        depth = np.maximum(depth, _LEAST_DEPTH)
        return field * np.float32(self.unit) / depth[:, None], depth

    def unfolded(self, step: Floats) -> NDArray[np.bool_]:
        """Tell whether the whole image stays before the camera under steps (P, 3, 3): (P,)."""
        corner = (np.array([self.width, self.height]) - 1) / 2 / self.unit
        # Depth is 1 at the centre and falls evenly, so that it is least at one of the corners.
        upright: NDArray[np.bool_] = 1 - np.abs(step[:, 2, :2]) @ corner >= _LEAST_DEPTH
        return upright

    def cameras(self, step: Floats) -> Floats:
        """Convert steps (P, 3, 3) to homographies of pixels, (P, 3, 3); zeros to the identity."""
        in_pixels = self.to_pixels @ step @ self.from_pixels
        whole = in_pixels + np.eye(3)
        # The lower right is 1 by custom. Where it is so already nothing is divided: rest is exact.
        scale = np.where(in_pixels[:, 2:, 2:] == 0, 1, whole[:, 2:, 2:])
        cameras: Floats = whole / scale
        return cameras


def moved(step: Floats, x: Floats, y: Floats) -> tuple[Floats, Floats]:
    """Return how far steps (P, 3, 3) move points, times their depth (P, 2, N), and depth (P, N).

    x' - x = (a x + b y + c - x (g x + h y)) / (1 + g x + h y), where the step has the rows a b c,
    d e f and g h 0: exactly 0 where the step is.
    """
    to = step[..., :2] @ np.stack([x, y]) + step[..., 2:]
    return to[:, :2] - np.stack([x, y]) * to[:, 2:], 1 + to[:, 2]


@dataclass(frozen=True)
class Model:
    """What a camera can do: its equations at points that move, and its K numbers as a step.

    ``equations`` takes x, y (N,) and where these points went (P, 2, N) and gives (P or 1, 2, K, N):
    how far each number moves each point, times the point's depth. ``step`` puts the numbers' names
    (0 is no number) in a row-major 3 x 3 matrix, each with its sign.
    """

    equations: Callable[[Floats, Floats, Floats], Floats]
    places: tuple[tuple[int, ...], ...]

    def step(self, numbers: Floats) -> Floats:
        """Arrange numbers (P, K) as steps (P, 3, 3)."""
        signed = np.concatenate([np.zeros((len(numbers), 1)), numbers, -numbers[:, ::-1]], axis=1)
        step: Floats = signed[:, np.array(self.places)]
        return step


def _similar(x: Floats, y: Floats, to: Floats) -> Floats:
    ones, zeros = np.ones_like(x), np.zeros_like(x)
    return np.array([[[ones, zeros, x, -y], [zeros, ones, y, x]]])


def _affine(x: Floats, y: Floats, to: Floats) -> Floats:
    ones, zeros = np.ones_like(x), np.zeros_like(x)
    return np.array([[[ones, zeros, x, y, zeros, zeros], [zeros, ones, zeros, zeros, x, y]]])


def _projective(x: Floats, y: Floats, to: Floats) -> Floats:
    affine = np.broadcast_to(_affine(x, y, to), (len(to), 2, 6, x.size))
    away = np.stack([-to * x, -to * y], axis=2)  # (P, 2, 2, N)
    return np.concatenate([affine, away], axis=2)


#: From the fewest numbers to the most. Number k is named k, and -k with its sign turned.
SIMILARITY = Model(_similar, ((3, -4, 1), (4, 3, 2), (0, 0, 0)))
AFFINE = Model(_affine, ((3, 4, 1), (5, 6, 2), (0, 0, 0)))
HOMOGRAPHY = Model(_projective, ((3, 4, 1), (5, 6, 2), (7, 8, 0)))


def robust_fit(model: Model, grid: Grid, observed: Floats, given: Floats) -> Floats:
    """Fit the steps (P, 3, 3) nearest to flow at the points (P, 2, N), with weights (P, N).

    Iteratively reweighted least squares; the weights are Geman and McClure's. At first the scale is
    the largest residual, which is plain least squares; it shrinks until what disagrees with most
    has no weight. Equations of a homography hold times the depth of each point, which is divided
    out by the weights of the round before.
    """
    equations = model.equations(grid.x, grid.y, np.stack([grid.x, grid.y]) + observed / grid.unit)
    # Sums of some thousand float32 are exact enough, and half the work.
    rows = equations.transpose(0, 2, 1, 3).astype(np.float32)
    rows = rows.reshape(len(rows), rows.shape[1], -1)
    flow, given = observed.astype(np.float32), given.astype(np.float32)
    sides = (flow / np.float32(grid.unit)).reshape(len(flow), -1, 1)
    # The ridge decides where there are no points, or too few: rest.
    ridge = 1e-9 * np.eye(rows.shape[1])
    weights, scale, step = given, np.zeros(len(given)), np.zeros((len(given), 3, 3))
    for number in range(_ROUNDS):
        weighted = rows * np.tile(weights, 2)[:, None]
        left = weighted @ rows.transpose(0, 2, 1) + ridge
        numbers = np.linalg.solve(left, weighted @ sides)[..., 0].astype(np.float64, copy=False)
        step = model.step(numbers)
        field, depth = grid.field(step.astype(np.float32))
        squares = np.square(flow - field).sum(axis=1)
        largest = np.sqrt(np.max(squares, axis=1, initial=0, where=given > 0))
        scale = np.maximum(scale * _SHRINK if number else largest, _EXACT)
        reach = np.square(scale).astype(np.float32)
        weights = given / np.square((1 + squares / reach[:, None]) * depth)
    return step
