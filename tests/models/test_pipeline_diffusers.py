"""`TI2VPipeline` among diffusers' pipelines: kinds of output, loading, saving, the model card."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import diffusers
import numpy as np
import pytest
import torch
from click.testing import CliRunner
from diffusers import DiffusionPipeline
from diffusers.utils import export_to_video
from diffusers.video_processor import VideoProcessor
from huggingface_hub import ModelCard
from PIL import Image
from tiny_model import SENTENCES

from motifocal.cli import cli
from motifocal.media.video import read_video, to_frames, write_image
from motifocal.models.autoencoder import decode
from motifocal.models.pipeline import BUNDLED, TI2VPipeline


def run(pipeline: Any, **options: Any) -> Any:
    image = np.random.default_rng(0).integers(0, 256, (32, 32, 3), dtype=np.uint8)
    return pipeline(image, SENTENCES[0], generator=torch.Generator().manual_seed(0), **options)


def test_output_types_are_those_of_diffusers_video_processor(pipeline: TI2VPipeline) -> None:
    decoded = decode(pipeline.vae, run(pipeline, output_type="latent").frames, 16)
    processor: Any = VideoProcessor()
    tensor = run(pipeline, output_type="pt").frames
    assert tensor.shape == (1, 4, 3, 32, 32)
    assert tensor.dtype == torch.float32
    assert torch.equal(tensor, processor.postprocess_video(decoded, "pt"))
    array = run(pipeline, output_type="np").frames
    assert np.array_equal(array, processor.postprocess_video(decoded, "np"))
    clips = run(pipeline).frames
    assert [[type(picture) for picture in clip] for clip in clips] == [[Image.Image] * 4]
    expected = processor.postprocess_video(decoded, "pil")
    apart = np.asarray(clips[0][0]).astype(int) - np.asarray(expected[0][0])
    assert np.abs(apart).max() <= 1  # a half may be rounded to either side


def test_uint8_frames_and_pictures_are_what_to_frames_makes(pipeline: TI2VPipeline) -> None:
    decoded = decode(pipeline.vae, run(pipeline, output_type="latent").frames, 16)
    frames = run(pipeline, output_type="uint8").frames
    assert frames.dtype == np.uint8
    assert np.array_equal(frames[0], to_frames(decoded[0]))
    pictures = run(pipeline, output_type="pil").frames[0]
    assert np.array_equal(np.stack([np.asarray(picture) for picture in pictures]), frames[0])


def test_without_return_dict_a_tuple_comes_back(pipeline: TI2VPipeline) -> None:
    (frames,) = run(pipeline, return_dict=False, output_type="np")
    assert np.array_equal(frames, run(pipeline, output_type="np").frames)


@pytest.mark.parametrize("kind", ["pil", "np"])
def test_diffusers_exporter_writes_the_video(
    pipeline: TI2VPipeline, kind: str, tmp_path: Path
) -> None:
    frames = run(pipeline, output_type=kind).frames[0]
    written = read_video(export_to_video(frames, str(tmp_path / "a.mp4"), fps=8))
    assert written.frames.shape == (4, 32, 32, 3)
    assert written.fps == 8


def test_diffusers_loads_a_folder_once_the_pipeline_is_imported(
    pipeline: TI2VPipeline, folder: Path
) -> None:
    loaded: Any = DiffusionPipeline.from_pretrained(folder, trust_remote_code=False)
    assert type(loaded) is TI2VPipeline
    loaded.set_progress_bar_config(disable=True)
    assert torch.equal(run(loaded, output_type="pt").frames,
                       run(pipeline, output_type="pt").frames)
    assert diffusers.TI2VPipeline is TI2VPipeline  # type: ignore[attr-defined]


@pytest.mark.slow
def test_one_line_is_what_diffusers_needs_to_load_a_folder(folder: Path) -> None:
    load = f"from diffusers import DiffusionPipeline as P; P.from_pretrained({str(folder)!r})"
    without, given = (
        subprocess.run([sys.executable, "-c", line + load], capture_output=True, text=True)
        for line in ("", "from motifocal import TI2VPipeline; ")
    )
    assert "module diffusers has no attribute TI2VPipeline" in without.stderr
    assert given.returncode == 0, given.stderr


def test_code_of_a_model_is_never_trusted(folder: Path) -> None:
    assert TI2VPipeline.from_pretrained(folder, trust_remote_code=False)
    with pytest.raises(ValueError, match="trust_remote_code should be False"):
        TI2VPipeline.from_pretrained(folder, trust_remote_code=True)


def test_a_hub_id_that_is_not_cached_is_an_error_of_the_hub_and_a_path_never_reaches_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(OSError, match="Cannot find"):
        TI2VPipeline.from_pretrained("owner/name", local_files_only=True, cache_dir=tmp_path)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ValueError, match="should be a model folder"):
        TI2VPipeline.from_pretrained(Path("owner/name"))


def test_a_model_of_the_hub_is_loaded_from_its_cache(folder: Path, tmp_path: Path) -> None:
    """The cache is laid out as the hub's client does it: blobs left out, one snapshot."""
    repo = tmp_path / "models--owner--name"
    commit = "0123456789abcdef0123456789abcdef01234567"
    (repo / "refs").mkdir(parents=True)
    (repo / "refs" / "main").write_text(commit)
    (repo / "snapshots").mkdir()
    (repo / "snapshots" / commit).symlink_to(folder, target_is_directory=True)
    loaded = TI2VPipeline.from_pretrained("owner/name", local_files_only=True, cache_dir=tmp_path)
    loaded.set_progress_bar_config(disable=True)
    again = TI2VPipeline.from_pretrained(folder)
    again.set_progress_bar_config(disable=True)
    assert torch.equal(run(loaded, output_type="pt").frames, run(again, output_type="pt").frames)


# The model card.


def test_a_saved_folder_has_a_model_card_that_the_hub_can_read(folder: Path) -> None:
    card = ModelCard.load(folder / "README.md")
    known = card.data.to_dict()
    assert known["library_name"] == "diffusers"
    assert known["pipeline_tag"] == "image-to-video"
    assert known["license"] == "unknown"
    assert {"motifocal", "image-to-video"} <= set(known["tags"])
    assert "model-index" not in known
    assert "# tiny" in card.text
    assert "4 frames of 32 x 32 pixels at 8 frames" in " ".join(card.text.split())


def test_a_card_that_is_there_is_kept(pipeline: TI2VPipeline, tmp_path: Path) -> None:
    (tmp_path / "README.md").write_text("mine")
    pipeline.save_pretrained(tmp_path, push_to_hub=False)
    assert (tmp_path / "README.md").read_text() == "mine"


def test_what_the_card_says_to_type_works(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = (folder / "README.md").read_text()
    monkeypatch.chdir(tmp_path)
    Path("tiny").symlink_to(folder, target_is_directory=True)
    write_image("image.png", np.zeros((40, 40, 3), np.uint8))
    (code,) = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    exec(compile(code, "README.md", "exec"), {})
    assert read_video("video.mp4").frames.shape == (4, 32, 32, 3)
    (line,) = re.findall(r"```sh\nmotifocal (.*?)\n```", text)
    done = CliRunner().invoke(cli, [*shlex.split(line), "-o", "again.mp4", "--device", "cpu"])
    assert done.exit_code == 0, done.output
    assert len(read_video("again.mp4").frames) == 4


def test_the_card_of_the_bundled_model_has_the_scores_that_lie_beside_it() -> None:
    card = ModelCard.load(BUNDLED / "README.md")
    stored = {row[0]: row for line in (BUNDLED / "scores.md").read_text().splitlines()
              if len(row := [cell.strip(" %") for cell in line.strip("|").split("|")]) > 5}
    results = card.data.to_dict()["model-index"][0]["results"]
    assert len(results) == 6
    for result in results:
        _, _, pairs, follows, interval, *_ = stored[result["dataset"]["config"]]
        (metric,) = result["metrics"]
        assert metric["value"] == float(follows)
        bounds = [float(bound) for bound in interval.split("-")]  # whole percents
        assert metric["args"]["interval_95"] == pytest.approx(bounds, abs=0.55)
        assert metric["args"]["pairs"] == int(pairs)
