"""The settings of heatmaps: kept as JSON, and refused where they are impossible."""

from __future__ import annotations

import json
from dataclasses import asdict

import pytest

from motifocal.motion.heatmap import HeatmapSettings, settings_from
from motifocal.motion.raft import RaftOptions


def test_raft_goes_by_the_settings_and_by_the_device() -> None:
    settings = HeatmapSettings(raft_iterations=5, raft_precision="bfloat16", raft_weights="a.pth")
    assert settings.raft("cuda:1") == RaftOptions(5, "bfloat16", "a.pth", "cuda:1")


def test_settings_come_back_from_json_whole() -> None:
    settings = HeatmapSettings(
        "pixels", source="raft-small", flow_size=128, camera=True, raft_weights="a.pth"
    )
    assert settings_from(json.loads(json.dumps(asdict(settings)))) == settings
    for other in ({"colour": "red"}, None, [1]):
        with pytest.raises(ValueError, match="settings should have the keys"):
            settings_from(other)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"unit": "metres"}, "unit should be one of .*'pixels'.*got 'metres'"),
        ({"slope": 0}, "slope should be positive, got 0"),
        ({"threshold": -0.05}, "threshold should be positive, got -0.05"),
        ({"floor": -1}, "floor should be at least 0, got -1"),
        ({"noise": float("nan")}, "noise should be at least 0, got nan"),
        ({"percentile": 101}, r"percentile should be in \[0, 100\], got 101"),
        ({"source": "raft"}, "source should be one of .*'raft-large'.*got 'raft'"),
        ({"preset": "slow"}, "preset should be one of .*'medium'.*got 'slow'"),
        ({"flow_size": -1}, "flow_size should be at least 0, got -1"),
        ({"raft_iterations": 0}, "iterations should be at least 1, got 0"),
        ({"raft_precision": "float64"}, "precision should be one of .*got 'float64'"),
    ],
)
def test_impossible_settings_are_refused(options: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        HeatmapSettings(**options)
