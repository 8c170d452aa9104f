"""The settings of a training: what the paper says, and nothing that cannot be."""

from __future__ import annotations

import re

import pytest
import tiny

from motifocal.training.optimizer import learning_rate
from motifocal.training.presets import PAPER, RENAMED, SCENES, TrainingSettings, resolve


def test_the_paper_preset_holds_the_numbers_of_the_paper() -> None:
    assert (PAPER.global_batch, PAPER.learning_rate, PAPER.steps) == (64, 5e-5, 32_000)
    assert (PAPER.prediction_type, PAPER.text_dropout) == ("v_prediction", 0.1)
    assert (PAPER.motif_weight, PAPER.motif_variant) == (1.0, "motif")
    assert (PAPER.unet.latent_channels, PAPER.unet.image_condition) == (4, "concat")
    assert (PAPER.timestep_power, PAPER.optimizer) == (1.0, "adamw")


@pytest.mark.parametrize("preset", [PAPER, SCENES])
def test_a_preset_survives_json_and_passes_its_own_checks(preset: TrainingSettings) -> None:
    assert TrainingSettings.model_validate_json(preset.model_dump_json()) == preset
    assert preset.accumulation(1) == preset.global_batch // preset.micro_batch


def test_every_unknown_key_and_every_bad_value_is_named() -> None:
    with pytest.raises(ValueError, match="learning_rate should be greater than 0, got -1") as no:
        resolve("scenes", {"learning_rate": -1, "stepz": 5, "unet": {"widths": 3},
                           "optimizer": "sgd"})
    message = str(no.value)
    assert "there is no setting 'stepz'" in message
    assert "there is no setting 'unet.widths'" in message
    assert "optimizer should be 'adamw' or 'muon', got 'sgd'" in message
    assert "http" not in message


def test_a_setting_is_taken_by_its_old_name_with_a_warning_but_not_by_both() -> None:
    for old, now in RENAMED.items():
        with pytest.warns(DeprecationWarning, match=f"the setting {old} is now {now}; the old"):
            settings = resolve("scenes", {old: 0.5})
        assert settings == resolve("scenes", {now: 0.5})
        stored = {**SCENES.model_dump(exclude={now}), old: 0.5}
        with pytest.warns(DeprecationWarning, match=f"the setting {old} is now {now}; the old"):
            assert TrainingSettings.model_validate(stored) == settings
        with pytest.raises(ValueError, match=f"given once, got {old} and {now}, which"):
            resolve("scenes", {old: 0.5, now: 0.5})


def test_a_network_whose_numbers_disagree_is_refused() -> None:
    with pytest.raises(ValueError, match=r"unet: .*head_width 7"):
        resolve("scenes", {"unet": {"head_width": 7}})


@pytest.mark.parametrize(("steps", "warmup"), [(30, 100), (99, 100), (1, 2)])
def test_a_schedule_that_never_reaches_its_rate_is_refused_with_numbers_that_would_do(
    steps: int, warmup: int
) -> None:
    with pytest.raises(ValueError, match=f"steps {steps} end within the warm-up of {warmup}") as no:
        resolve("scenes", {"steps": steps, "warmup": warmup})
    numbers = dict(re.findall(r"(warmup|cooldown)=(\d+)", str(no.value)))
    settings = resolve("scenes", {"steps": steps, **{k: int(v) for k, v in numbers.items()}})
    rates = [learning_rate(step, peak=settings.learning_rate, warmup=settings.warmup,
                           total=settings.steps, cooldown=settings.cooldown)
             for step in range(steps)]  # fmt: skip
    assert max(rates) == pytest.approx(settings.learning_rate)


def test_precision_is_said_in_words_and_stored_as_before() -> None:
    assert resolve("scenes", {"precision": "float32"}).precision == "no"
    assert resolve("scenes", {"precision": "bfloat16"}).precision == "bf16"
    with pytest.raises(ValueError, match="precision should be 'no' or 'bf16', got 'fp8'"):
        resolve("scenes", {"precision": "fp8"})


def test_an_unknown_preset_is_refused() -> None:
    with pytest.raises(ValueError, match=r"one of \['paper', 'scenes'\], got 'big'"):
        resolve("big", {})


def test_a_batch_that_cannot_be_split_is_refused() -> None:
    settings = tiny.tiny_settings(global_batch=12, micro_batch=4)
    assert (settings.accumulation(1), settings.accumulation(3)) == (3, 1)
    with pytest.raises(ValueError, match="multiple of micro_batch x processes = 8, got 12"):
        settings.accumulation(2)
