"""`motifocal heatmap --source`: which estimator gives the flow, and whence RAFT's weights come."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
from command_line import CommandLine
from heatmap_runs import expected_map, map_stamps, same_map, write_clip

from motifocal.motion import raft
from motifocal.motion.flow import ESTIMATORS
from motifocal.motion.heatmap import HeatmapSettings
from motifocal.motion.heatmap_files import load_heatmap


def test_the_source_and_the_size_of_flow_are_settings_too(
    heatmap: CommandLine, tmp_path: Path
) -> None:
    clip = write_clip(tmp_path / "a.mp4")
    options = ["--source", "farneback", "--flow-size", 32, "--camera"]
    assert heatmap(clip, "-o", tmp_path / "maps", *options).code == 0
    wanted = HeatmapSettings(source="farneback", flow_size=32, camera=True)
    assert load_heatmap(tmp_path / "maps/a.npz")[1] == wanted
    assert same_map(tmp_path / "maps/a.npz", expected_map(clip, wanted))


@pytest.mark.skipif(bool(find_spec("torchvision")), reason="torchvision is installed")
def test_raft_without_torchvision_is_told_in_a_line(heatmap: CommandLine, tmp_path: Path) -> None:
    clip = write_clip(tmp_path / "a.mp4")
    for more in ([], ["--fetch-raft"]):
        ended = heatmap(clip, "-o", tmp_path / "maps", "--source", "raft-large", *more)
        assert ended.code == 1
        assert "pip install '.[raft]'" in ended.err.splitlines()[-1]
    assert not map_stamps(tmp_path / "maps")


def test_weights_are_fetched_only_where_that_is_asked_for(
    heatmap: CommandLine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fetched: list[str] = []
    monkeypatch.setattr(raft, "fetch_weights", fetched.append)
    still = np.zeros((1, 2, 48, 64), np.float32)
    monkeypatch.setitem(ESTIMATORS, "raft-small", lambda frames, options: still)
    clip = write_clip(tmp_path / "a.mp4", frames=2)
    assert heatmap(clip, "-o", tmp_path / "a", "--source", "raft-small").code == 0
    assert fetched == []
    given = ("--source", "raft-small", "--fetch-raft")
    assert heatmap(clip, "-o", tmp_path / "b", *given).code == 0
    assert fetched == ["raft-small"]
    assert heatmap(clip, "-o", tmp_path / "c", *given, "--raft-weights", "w.pth").code == 2
