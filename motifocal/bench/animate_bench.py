"""Read Animate Bench (PIA, Zhang et al., CVPR 2024): 7 models x 5 images x 3 prompts = 105 cases.

Its folder is that of its authors: `img/<model>/1.png` to `5.jpg`, and `configs/<model>.yaml` with
`prompts`, a list of the three prompts of each image in the order of their names.
"""

from __future__ import annotations

from pathlib import Path

from motifocal.media.picture import natural_key

ANIMATE_BENCH = "Animate Bench"
#: What the paper says Animate Bench holds.
CASES = {"scenarios": 7, "images": 35, "pairs": 105}


def is_animate_bench(folder: Path) -> bool:
    """Return whether the folder has the layout of Animate Bench."""
    return (folder / "configs").is_dir() and (folder / "img").is_dir()


def read_animate_bench(
    folder: Path, suffixes: tuple[str, ...]
) -> tuple[list[dict[str, str]], dict[str, Path]]:
    """Return its rows, as those of a table of pairs, and its images by id: `<model>_<name>`.

    The model that drew the images is the scenario. Raises ValueError, naming the file, for a
    configuration that cannot be read or whose prompts are not those of its model's images.
    """
    rows: list[dict[str, str]] = []
    by_id: dict[str, Path] = {}
    for config in sorted((folder / "configs").glob("*.yaml"), key=natural_key):
        model = config.stem
        there = (folder / "img" / model).iterdir() if (folder / "img" / model).is_dir() else ()
        images = sorted((path for path in there if path.suffix.lower() in suffixes
                         and path.name[0] != "."), key=natural_key)
        for path, prompts in zip(images, _prompts(config, len(images)), strict=True):
            image_id = f"{model}_{path.stem}"
            by_id[image_id] = path
            rows += [{"scenario": model, "image_id": image_id, "prompt": p} for p in prompts]
    return rows, by_id


def _prompts(config: Path, images: int) -> list[list[str]]:
    """Return the prompts of each image; those of one list are meant for all images."""
    import yaml

    try:
        content = yaml.safe_load(config.read_text(encoding="utf-8"))
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise ValueError(f"{config} should be YAML: {' '.join(str(error).split())}") from error
    given = content.get("prompts") if isinstance(content, dict) else None
    lists = given if isinstance(given, list) else []
    if lists and _are_texts(lists):
        lists = [lists] * images
    if not lists or not all(isinstance(prompts, list) and _are_texts(prompts) for prompts in lists):
        raise ValueError(f"{config} should hold 'prompts', a list of prompts for each image")
    if len(lists) != images:
        raise ValueError(f"{config} should hold prompts of the {images} images in "
                         f"img/{config.stem}/, got those of {len(lists)}")
    return lists


def _are_texts(values: list[object]) -> bool:
    return all(isinstance(value, str) for value in values)
