"""The model card has the scores that it is given, with and without an interval."""

from __future__ import annotations

from huggingface_hub import ModelCard

from motifocal.models.card import FollowsText, model_card

DEFAULTS = {"sample_frames": 16, "sample_width": 64, "sample_height": 64, "sample_fps": 8.0}


def test_a_score_of_one_image_has_no_interval() -> None:
    scores = (FollowsText("all", 8, 0.75, 0.5, 1.0, 0.2),
              FollowsText("one image", 4, 0.5, None, None, 0.25))
    text = model_card("small", DEFAULTS, 24, scores=scores)
    assert "| all | 8 | 75 % | 50 – 100 % | 20 % |" in text
    assert "| one image | 4 | 50 % |  | 25 % |" in text
    results = ModelCard(text).data.to_dict()["model-index"][0]["results"]
    whole, single = (result["metrics"][0] for result in results)
    assert whole["args"] == {"interval_95": [50.0, 100.0], "pairs": 8}
    assert single["args"] == {"pairs": 4}
