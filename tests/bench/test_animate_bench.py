"""Animate Bench is read from the folder that its authors publish."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from tiny_bench import textured

from motifocal.bench.pairs import read_benchmark, subset_of
from motifocal.media.video import write_image

MODELS = ("MoonFile", "film", "lyriel", "majicmix", "rcnzCartoon", "realistic_vision", "toonyou")


def write_folder(folder: Path, models: tuple[str, ...] = MODELS, images: int = 5) -> Path:
    """The published layout: 3 PNG, 2 JPEG a model; prompts as lists of lists, as PIA has them."""
    (folder / "configs").mkdir(parents=True)
    for number, model in enumerate(models):
        (folder / "img" / model).mkdir(parents=True)
        for index in range(1, images + 1):
            # PNG bytes under both names: a picture's content says what it is.
            path = folder / "img" / model / f"{index}.png"
            write_image(path, textured(number * 10 + index, 16, 16))
            if index > 3:
                path.rename(path.with_suffix(".jpg"))
        prompts = [[f"{model} {index} {word}" for word in ("smiling", "is crying", "open mouth")]
                   for index in range(1, images + 1)]
        config = {"base": "example/config/base.yaml", "prompts": prompts, "n_prompt": ["dark"],
                  "validation_data": {"input_name": model}}
        (folder / "configs" / f"{model}.yaml").write_text(yaml.safe_dump(config))
    return folder


def test_its_105_cases_are_read_with_their_images(tmp_path: Path) -> None:
    benchmark = read_benchmark(write_folder(tmp_path / "AnimateBench"))
    assert (benchmark.title, len(benchmark.pairs), benchmark.mark) == ("Animate Bench", 105, "")
    pair = next(p for p in benchmark.pairs if p.prompt == "lyriel 4 is crying")
    assert (pair.scenario, pair.image_id) == ("lyriel", "lyriel_4")
    assert pair.image == tmp_path / "AnimateBench" / "img" / "lyriel" / "4.jpg"
    assert pair.file() == "lyriel_4_lyriel_4_is_crying_0.mp4"
    assert len(subset_of(benchmark, "scenarios:film").pairs) == 15


def test_one_list_of_prompts_is_that_of_all_images(tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "bench", MODELS[:1])
    config = {"prompts": ["smiling", "is crying", "open mouth"]}
    (folder / "configs" / "MoonFile.yaml").write_text(yaml.safe_dump(config))
    assert len(read_benchmark(folder, own_pairs=True).pairs) == 15


def test_a_part_of_it_is_said_to_be_one(tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "bench", MODELS[:2])
    with pytest.raises(ValueError, match="say so if these are pairs of your own"):
        read_benchmark(folder)
    assert len(read_benchmark(folder, own_pairs=True).pairs) == 30


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("prompts: [", "should be YAML"),
        ("prompts: 3", "should hold 'prompts'"),
        ("prompts: [[a, b, c], [d, e, f]]", "prompts of the 5 images in img/film/, got those of 2"),
        ("- a", "should hold 'prompts'"),
        ("!!python/object/apply:os.system ['true']", "should be YAML"),
    ],
)
def test_a_configuration_that_does_not_fit_is_named(
    text: str, message: str, tmp_path: Path
) -> None:
    folder = write_folder(tmp_path / "bench", ("film",))
    (folder / "configs" / "film.yaml").write_text(text)
    with pytest.raises(ValueError, match=r"film\.yaml") as error:
        read_benchmark(folder)
    assert message in str(error.value)
