"""What captions say of motion, and which fault each clip has."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from motifocal.inspection.checks.caption_words import names_motion
from motifocal.inspection.diagnose import diagnose
from motifocal.inspection.entries import Entry
from motifocal.inspection.faults import FAULTS, LEVELS, worst
from motifocal.inspection.finding import Finding


@pytest.mark.parametrize("caption", [
    "The blue balloon dips down.", "A dog runs across the yard", "waves crash on the shore",
    "A bird took off and flew away", "Two kids are skiing", "the camera pans to the left",
    "She waves at the crowd", "A man walks", "leaves swirling in the wind", "a frog hopped",
    "steam rises from a cup", "the door slowly opens", "snow is melting in the sun",
    "the sun sets behind the hills", "the white car backs up", "the flame gets larger",
])  # fmt: skip
def test_a_caption_that_names_motion_is_known(caption: str) -> None:
    assert names_motion(caption) is True


@pytest.mark.parametrize("caption", [
    "A red house in a garden.", "The waves on the shore at sunset.", "A walk in the park is over",
    "A man sitting on a bench, wearing running shoes", "A view of rolling hills under the sky",
    "A room filled with books and a brightly lit lamp", "A castle surrounded by trees",
    "Waves at the beach and the sky", "An old car is parked in front of the building",
    "A table set for two in a beautiful setting", "Two men with their backs to the camera",
])  # fmt: skip
def test_a_caption_without_motion_is_known(caption: str) -> None:
    assert names_motion(caption) is False


@pytest.mark.parametrize("caption", [
    "Ein rotes Haus mit einem Garten", "Une maison rouge dans un jardin", "un perro en el parque",
    "\u8d64\u3044\u5bb6", "\u043a\u0440\u0430\u0441\u043d\u044b\u0439 \u0434\u043e\u043c",
    "1girl, solo, red dress", "", "!?",
])  # fmt: skip
def test_what_is_not_english_is_not_judged(caption: str) -> None:
    assert names_motion(caption) is None


def codes(finding: Finding, **changed) -> set[str]:
    entry = Entry("a.mp4", Path("a.mp4"), "a dog runs")
    faults = diagnose(entry, replace(finding, **changed), captioned=True, frames=9)
    return {code for code, _ in faults}


GOOD = Finding(
    width=112, height=80, fps=8.0, frames=20, seconds=2.5, watched=20, motion=20.0, camera=0.0,
    sample_count=1, trained_frames=9, shortest=9, samples=("0-8",), enlarged=1.0, kept=1.0,
    moving_fraction=0.1, most_moving=0.2,
)  # fmt: skip


def test_a_good_clip_has_no_faults() -> None:
    assert codes(GOOD) == set()


@pytest.mark.parametrize(("changed", "code"), [
    ({"sample_count": 0, "shortest": 0}, "too-short"),
    ({"shortest": 1}, "one-frame"),
    ({"drift": 1.5}, "variable-rate"),
    ({"still": True}, "static"),
    ({"camera_only": True}, "camera-only"),
    ({"most_moving": 0.0, "moving_fraction": 0.0}, "too-little-motion"),
    ({"cuts": (5,), "trained_cuts": (5,)}, "cut"),
    ({"cuts": (15,)}, "cut-elsewhere"),
    ({"enlarged": 1.3}, "small"),
    ({"kept": 0.5}, "cropped"),
    ({"width": 111}, "odd-size"),
    ({"watched": 10}, "partly-checked"),
    ({"turned": True}, "rotated"),
    ({"transparent": True}, "transparent"),
    ({"aspect": "4:3"}, "non-square-pixels"),
    ({"transfer": "PQ"}, "hdr"),
    ({"interlaced": True}, "interlaced"),
    ({"problem": ("unreadable", "the file is empty")}, "unreadable"),
])  # fmt: skip
def test_each_fault_has_its_code(changed: dict, code: str) -> None:
    if "problem" in changed:
        assert codes(Finding(**changed)) == {code}
    else:
        assert codes(GOOD, **changed) == {code}
    assert code in FAULTS


def test_the_worst_level_counts() -> None:
    assert worst([]) == "good"
    assert worst(["camera-only", "cut"]) == "warning"
    assert worst(["camera-only", "too-short", "cut"]) == "error"
    assert all(fault.level in LEVELS[:-1] and fault.help[-1] == "." for fault in FAULTS.values())
