"""Bars along the edges, and clips that were enlarged: found, and not seen where there are none."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from doctor_clips import moving, save, world

from motifocal.data.trainer_rules import Request
from motifocal.inspection.checks.bars import Bars, find_bars
from motifocal.inspection.checks.detail import enlargement, loss_ratios
from motifocal.inspection.diagnose import diagnose
from motifocal.inspection.entries import Entry
from motifocal.inspection.examine import Job, examine
from motifocal.inspection.finding import Finding, InspectSettings
from motifocal.media.picture import Pixels
from motifocal.motion.heatmap import HeatmapSettings
from motifocal.scenes.render import render
from motifocal.scenes.stage import make_stage


def found(path: Path, height: int, width: int, trainer: str = "plain") -> Finding:
    settings = InspectSettings(trainer, Request(((9, height, width),)), HeatmapSettings())
    return examine(Job(path, path.parent / "thumb.webp"), settings)


def faults(finding: Finding) -> dict[str, str]:
    return dict(diagnose(Entry("a", Path("a"), None), finding, captioned=False, frames=9))


def barred(top: int, side: int, colour: int = 0, seed: int = 1) -> Pixels:
    """A clip of 160 x 240 pixels with bars of that many pixels at both ends."""
    clip = np.full((12, 160, 240, 3), colour, np.uint8)
    inner = moving(seed, 12, height=160 - 2 * top, width=240 - 2 * side)
    clip[:, top : 160 - top, side : 240 - side] = inner
    return clip


# Bars


@pytest.mark.parametrize("colour", [0, 255, 90])
@pytest.mark.parametrize("crf", [18, 28])
@pytest.mark.parametrize(("top", "side"), [(20, 0), (0, 30), (8, 12), (40, 0)])
def test_bars_of_any_colour_are_found_and_measured(
    tmp_path: Path, colour: int, crf: int, top: int, side: int
) -> None:
    path = save(tmp_path / "a.mp4", barred(top, side, colour), crf=crf)
    finding = found(path, 160, 240)
    wanted = (top / 160, top / 160, side / 240, side / 240)
    assert finding.bar_sides == pytest.approx(wanted, abs=0.012)
    share = 1 - (1 - 2 * top / 160) * (1 - 2 * side / 240)
    assert finding.bars == pytest.approx(share, abs=0.03)
    assert f"{finding.bars:.0%} of what is trained on is bars" in faults(finding)["bars"]


def test_the_sides_with_bars_are_named(tmp_path: Path) -> None:
    path = save(tmp_path / "a.mp4", barred(0, 30))
    assert faults(found(path, 160, 240))["bars"].endswith("(left, right)")


def test_bars_that_the_trainer_crops_off_are_no_fault(tmp_path: Path) -> None:
    """A square of the middle of 240 x 160 loses 40 pixels on the left and on the right."""
    path = save(tmp_path / "a.mp4", barred(0, 30))
    cropped, stretched = found(path, 160, 160), found(path, 160, 160, "finetrainers")
    assert "bars" not in faults(cropped)
    assert cropped.bars == 0
    assert stretched.bars == pytest.approx(0.25, abs=0.02)


def test_a_fade_from_black_keeps_its_bars_and_no_bars_become_some(tmp_path: Path) -> None:
    light = np.linspace(0, 1, 12)[:, None, None, None]
    for top, expected in ((20, True), (0, False)):
        clip = (barred(top, 0) * light).astype(np.uint8)
        finding = found(save(tmp_path / "a.mp4", clip), 160, 240)
        assert ("bars" in faults(finding)) == expected


def plain_background(colour: int) -> Pixels:
    """A round thing in the middle of a plain background."""
    clip = np.full((12, 160, 240, 3), colour, np.uint8)
    for index, frame in enumerate(clip):
        cv2.circle(frame, (100 + 3 * index, 80), 50, (200, 80, 40), -1)
    return clip


def sweep() -> Pixels:
    """A thing that crosses a plain background from side to side."""
    clip = np.full((12, 160, 240, 3), 60, np.uint8)
    for index in range(12):
        clip[index, 50:110, 16 * index : 16 * index + 50] = (240, 200, 40)
    return clip


def sky() -> Pixels:
    """A plain sky over a straight horizon: one side alone."""
    clip = moving(2, 12, height=160, width=240)
    clip[:, :50] = (120, 180, 240)
    return clip


@pytest.mark.parametrize("frames", [
    plain_background(0), plain_background(255), sky(), sweep(),
    moving(3, 12, height=160, width=240), np.zeros((12, 160, 240, 3), np.uint8),
])  # fmt: skip
def test_plain_backgrounds_skies_and_black_clips_have_no_bars(frames: Pixels) -> None:
    assert find_bars(frames) == Bars()


@pytest.mark.parametrize("shape", [(1, 1), (1, 40), (40, 1), (3, 3)])
def test_any_shape_can_be_searched_for_bars(shape: tuple[int, int]) -> None:
    frames = np.random.default_rng(0).integers(0, 256, (2, *shape, 3), dtype=np.uint8)
    assert find_bars(frames) == Bars()


# Detail


def sharp(seed: int, height: int = 192, width: int = 256) -> Pixels:
    """Edges that are as sharp as a camera's pixels show them."""
    rng = np.random.default_rng(seed)
    picture = world(seed, height, width)
    for _ in range(40):
        x, y = rng.integers(0, width), rng.integers(0, height)
        colour = tuple(int(c) for c in rng.integers(0, 256, 3))
        cv2.rectangle(picture, (x, y), (x + 20, y + 14), colour, -1)
    soft = cv2.GaussianBlur(picture, (0, 0), 0.6)
    return np.stack([np.roll(soft, 2 * k, axis=1) for k in range(12)])


def enlarged(frames: Pixels, factor: float, method: int) -> Pixels:
    height, width = (round(side * factor) // 2 * 2 for side in frames.shape[1:3])
    return np.stack([cv2.resize(f, (width, height), interpolation=method) for f in frames])


METHODS = {"linear": cv2.INTER_LINEAR, "cubic": cv2.INTER_CUBIC, "lanczos": cv2.INTER_LANCZOS4}


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("factor", [2, 3])
@pytest.mark.parametrize("crf", [18, 30])
def test_a_clip_that_was_enlarged_is_found(
    tmp_path: Path, method: str, factor: int, crf: int
) -> None:
    clip = enlarged(sharp(1, 96, 128), factor, METHODS[method])
    height, width = clip.shape[1:3]
    finding = found(save(tmp_path / "a.mp4", clip, crf=crf), height, width)
    assert finding.blur is not None
    assert finding.blur >= 2
    assert f"{width}x{height} pixels show no more detail than" in faults(finding)["blurred"]


@pytest.mark.parametrize("crf", [18, 34])
def test_a_sharp_clip_is_not_called_blurred_however_hard_it_was_encoded(
    tmp_path: Path, crf: int
) -> None:
    finding = found(save(tmp_path / "a.mp4", sharp(2), crf=crf), 192, 256)
    assert finding.blur == 1
    assert "blurred" not in faults(finding)


def test_drawn_scenes_are_sharp() -> None:
    for number, name in enumerate(("balloons", "bird", "car")):
        stage = make_stage(name, "train", number)
        frames = render(stage, stage.actions[0], size=128).frames
        assert enlargement([loss_ratios(frame) for frame in frames]) == 1


def test_enlarged_clips_that_are_shrunk_for_training_are_no_fault(tmp_path: Path) -> None:
    path = save(tmp_path / "a.mp4", enlarged(sharp(1, 96, 128), 2, cv2.INTER_CUBIC))
    assert "blurred" in faults(found(path, 192, 256))
    assert "blurred" not in faults(found(path, 96, 128))


def test_sharp_bars_do_not_hide_a_blurred_picture(tmp_path: Path) -> None:
    clip = enlarged(sharp(4, 96, 128), 2, cv2.INTER_CUBIC)
    clip[:, :20] = clip[:, -20:] = 0
    assert {"bars", "blurred"} <= set(faults(found(save(tmp_path / "a.mp4", clip), 192, 256)))


def test_a_moment_out_of_focus_is_no_fault() -> None:
    frames = sharp(5)
    blurred = cv2.blur(frames[1], (9, 9))
    assert enlargement([loss_ratios(blurred)]) != 1
    assert enlargement([loss_ratios(frame) for frame in (blurred, frames[0], blurred)]) == 1


def test_what_has_no_edges_or_few_pixels_is_not_judged() -> None:
    assert enlargement([loss_ratios(np.full((64, 64, 3), 90, np.uint8))]) is None
    assert loss_ratios(sharp(6)[0][:20, :20]) == {}
    assert enlargement([]) is None
