"""`motifocal scenes eval`: of videos, of a model, and with which noise."""

from __future__ import annotations

import json
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from tiny import UNET, tiny_base
from true_videos import SMALL, true_videos

import motifocal.models.pipeline
from motifocal.cli import cli
from motifocal.media.codec import FINE_CRF
from motifocal.media.video import read_video, write_image, write_video
from motifocal.models.pipeline import TI2VPipeline
from motifocal.models.pipeline_parts import start_noise
from motifocal.models.schedule import ddim_scheduler
from motifocal.models.unet import TI2VUNet, UNetConfig
from motifocal.scenes.evaluation.evaluate import EvalPair, eval_pairs
from motifocal.training.run_folder import load_text, load_vae


def run(*arguments: object) -> str:
    result = CliRunner().invoke(cli, ["scenes", "eval", *map(str, arguments)],
                                catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.output


def write_truth(folder: Path, pairs: list[EvalPair]) -> None:
    folder.mkdir(exist_ok=True)
    for pair, frames in true_videos(pairs):
        write_video(folder / pair.file(), frames, 8, crf=FINE_CRF)


def test_the_command_scores_a_folder_of_videos(tmp_path: Path) -> None:
    write_truth(tmp_path / "videos", eval_pairs(8, 64))
    output = run(tmp_path / "videos", "--pairs", 8, "-o", tmp_path / "report")
    content = json.loads((tmp_path / "report" / "report.json").read_text())
    group = content["groups"][0]
    assert group["measures"]["made"]["follows"]["mean"] == 1
    assert group["images"] == group["pictures"]
    assert group["measures"]["still image"] == group["measures"]["still picture"]
    assert "picture" not in (tmp_path / "report" / "report.md").read_text()
    for name in ("report.json", "report.md", "pairs.csv", "sheet.png"):
        assert (tmp_path / "report" / name).stat().st_size > 0
        assert str(tmp_path / "report" / name) in output
    assert "100.0%" in output


def test_the_command_refuses_missing_videos_unless_told_and_then_says_so(tmp_path: Path) -> None:
    write_truth(tmp_path / "videos", eval_pairs(8, 64)[:7])
    arguments = (tmp_path / "videos", "--pairs", 8, "-o", tmp_path / "report")
    with pytest.raises(ValueError, match="1 of 8 videos are missing"):
        run(*arguments)
    assert "INCOMPLETE: 1 of 8" in run(*arguments, "--allow-missing")


def test_the_command_names_a_damaged_video_and_scores_the_others(tmp_path: Path) -> None:
    pairs = eval_pairs(8, 64)
    write_truth(tmp_path / "videos", pairs)
    damaged = tmp_path / "videos" / pairs[2].file()
    damaged.write_bytes(damaged.read_bytes()[:300])
    arguments = ["scenes", "eval", str(tmp_path / "videos"), "--pairs", "8", "--allow-missing",
                 "-o", str(tmp_path / "report")]  # fmt: skip
    result = CliRunner().invoke(cli, arguments)
    assert result.exit_code == 1
    assert f"left out: {damaged}: " in result.stderr
    assert "INCOMPLETE: 1 of 8" in result.stderr
    assert json.loads((tmp_path / "report/report.json").read_text())["missing"] == [damaged.name]


def test_the_command_animates_what_is_missing_and_resumes(tmp_path: Path) -> None:
    model = tiny_model(tmp_path / "model")
    # Noise of its own keeps the videos of an untrained network far apart.
    arguments = (model, "--noise", "file-name", "--pairs", 7, "--size", SMALL, "--steps", 2, "-o",
                 tmp_path / "report")
    run(*arguments, "--batch", 4, "--autoencoder", "--device", "cpu")
    videos = sorted((tmp_path / "report" / "videos").glob("*.mp4"))
    assert len(videos) == 7
    first = {path.name: read_video(path).frames for path in videos}
    content = json.loads((tmp_path / "report" / "report.json").read_text())
    assert "truth through the autoencoder" in content["groups"][0]["measures"]

    kept, lost = videos[0], videos[3]
    stamp = kept.stat().st_mtime_ns
    lost.unlink()
    run(*arguments, "--batch", 1, "--device", "cpu")
    assert kept.stat().st_mtime_ns == stamp
    # Another batch size sums in another order; where that tips a pixel by one level, the codec may
    # spend its bits elsewhere. Another video is ten times as far away.
    again = read_video(lost).frames.astype(float)
    assert np.abs(again - first[lost.name]).mean() < 2
    assert np.abs(again - first[videos[4].name]).mean() > 10

    with pytest.raises(ValueError, match=r"steps 2 \(not 3\)"):
        run(*arguments[:-4], "--steps", 3, "-o", tmp_path / "report")


def test_videos_of_a_pair_differ_from_seed_to_seed(tmp_path: Path) -> None:
    model = tiny_model(tmp_path / "model")
    for seed in (0, 1, 2):
        run(model, "--pairs", 1, "--size", SMALL, "--steps", 1, "--seed", seed, "--device", "cpu",
            "-o", tmp_path / f"report{seed}")
    videos = [read_video(path).frames.tobytes() for path in tmp_path.glob("report*/videos/*.mp4")]
    assert len(videos) == len(set(videos)) == 3


@pytest.fixture
def start_noises(monkeypatch: pytest.MonkeyPatch) -> list[torch.Tensor]:
    """The start noise of every batch that the pipeline samples from now on."""
    drawn: list[torch.Tensor] = []

    def recorded(*arguments: Any) -> torch.Tensor:
        drawn.append(start_noise(*arguments))
        return drawn[-1]

    monkeypatch.setattr(motifocal.models.pipeline, "start_noise", recorded)
    return drawn


def test_a_seed_is_the_same_noise_in_eval_animate_and_bench_run(
    tmp_path: Path, start_noises: list[torch.Tensor]
) -> None:
    model = tiny_model(tmp_path / "model")
    given = ("--size", SMALL, "--steps", 1, "--device", "cpu")
    run(model, "--pairs", 3, "--batch", 3, "--seed", 1, *given, "-o", tmp_path / "report")
    (evaluated,) = start_noises
    seed = torch.Generator().manual_seed(1)
    expected = torch.randn(evaluated[:1].shape, generator=seed)
    assert torch.equal(evaluated, expected.expand_as(evaluated))

    pair = eval_pairs(1, SMALL)[0]
    write_image(tmp_path / "picture.png", pair.image())
    words = ["animate", tmp_path / "picture.png", pair.prompt, "--model", model, "--seed", 1,
             *given, "-o", tmp_path / "video.mp4"]
    assert CliRunner().invoke(cli, [str(word) for word in words]).exit_code == 0
    assert torch.equal(start_noises[-1], expected)

    export = ["scenes", "export", "-o", tmp_path / "bench", "--kind", "benchmark", "--pairs", 1,
              "--size", SMALL]
    bench = ["bench", "run", "--bench", tmp_path / "bench", "--model", model, "--seeds", 2, *given,
             "-o", tmp_path / "results"]
    for words in (export, bench):
        assert CliRunner().invoke(cli, [str(word) for word in words]).exit_code == 0
    assert len(start_noises) == 4
    assert torch.equal(start_noises[-1], expected)


def test_the_noise_of_published_scores_comes_from_the_file_name(
    tmp_path: Path, start_noises: list[torch.Tensor]
) -> None:
    model = tiny_model(tmp_path / "model")
    given = ("--pairs", 2, "--size", SMALL, "--steps", 1, "--device", "cpu", "-o", tmp_path / "out")
    run(model, "--noise", "file-name", *given)
    (drawn,) = start_noises
    for noise, pair in zip(drawn, eval_pairs(2, SMALL), strict=True):
        generator = torch.Generator().manual_seed(zlib.crc32(pair.file().encode()))
        assert torch.equal(noise[None], torch.randn(noise[None].shape, generator=generator))
    made = json.loads((tmp_path / "out" / "videos" / "made.json").read_text())
    assert set(made) == {"weights", "size", "steps", "guidance", "seed"}  # as version 0.1 wrote it
    with pytest.raises(ValueError, match=r"noise None \(not 'seed'\)"):
        run(model, *given)


def test_the_command_names_what_is_wrong(tmp_path: Path) -> None:
    for arguments, complaint in (
        (["eval", str(tmp_path / "nothing")], "is no folder"),
        (["eval", str(tmp_path), "--autoencoder"], "--autoencoder needs a model"),
    ):
        result = CliRunner().invoke(cli, ["scenes", *arguments])
        assert result.exit_code == 2
        assert complaint in result.output


def tiny_model(folder: Path) -> Path:
    """A model folder with untrained parts whose denoiser does not predict zero."""
    base = tiny_base(folder.with_name("base"))
    unet = TI2VUNet.build(UNetConfig.from_mapping(
        {**UNET, "image_condition": "concat", "image_token_dim": None}))
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in unet.parameters():
            parameter.add_(0.05 * torch.randn(parameter.shape, generator=generator))
    text = load_text(base)
    scheduler = ddim_scheduler("v_prediction")
    TI2VPipeline(unet, load_vae(base), text.text_encoder, text.tokenizer, scheduler,
                 SMALL, SMALL, 16, 8.0).save_pretrained(folder)
    return folder
