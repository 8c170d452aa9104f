"""The pages that a script makes are up to date; all speak plainly, of what there is."""

from __future__ import annotations

import json
import re
from pathlib import Path
from types import ModuleType

from script_module import module_at

from motifocal.training.presets import PAPER, SCENES, TrainingSettings

ROOT = Path(__file__).parents[2]
# Words that only this project would understand, and what the field says.
PRIVATE_WORDS = {
    r"drawn world": "synthetic scenes", r"\btwin\b": "λ = 0 baseline",
    r"text tower": "text encoder", r"\bhot share\b": "moving fraction",
    r"\bfamiliar\b": "in-domain", r"still picture": "still image",
    r"pictures? and (?:a )?sentences?": "image and prompt",
    r"(?:another|empty|opposite) sentence": "another, empty or opposite prompt",
}  # fmt: skip
GENERATED_OR_HISTORY = {"cli.md", "log.md"}
OTHER_PEOPLES_FILES = {"log.md", "models.md"}  # these name files of earlier versions, of others


def script(name: str) -> ModuleType:
    return module_at(ROOT / "scripts" / f"{name}.py")


def test_every_equation_of_the_paper_is_where_the_page_says() -> None:
    page = script("paper_docs")
    assert page.PATH.read_text(encoding="utf-8") == page.document(), "run make docs"


def private_words_in(text: str) -> list[str]:
    """The private words of a page, each with the term to use."""
    return [f"{match[0]} -> {term}" for words, term in PRIVATE_WORDS.items()
            for match in re.finditer(words, text, re.IGNORECASE)]  # fmt: skip


def test_the_pages_use_the_terms_of_the_field() -> None:
    pages = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted(ROOT.glob("docs/**/*.md"))]
    found = {path.name: private_words_in(path.read_text(encoding="utf-8"))
             for path in pages if path.name not in GENERATED_OR_HISTORY}  # fmt: skip
    assert {name: words for name, words in found.items() if words} == {}


def test_a_private_word_is_found_with_the_term_to_use() -> None:
    assert private_words_in("the Drawn world and its twin") == [
        "Drawn world -> synthetic scenes", "twin -> λ = 0 baseline"]  # fmt: skip
    assert private_words_in("a still picture's") == ["still picture -> still image"]
    assert private_words_in("synthetic scenes and twinkling stars") == []


def test_the_help_of_the_commands_says_images_and_prompts() -> None:
    # "A picture" stays where a figure is drawn.
    page = (ROOT / "docs" / "cli.md").read_text(encoding="utf-8")
    assert re.findall(r".*\b(?:pictures|sentences?)\b.*", page) == []


def missing_files(text: str) -> list[str]:
    """The files and modules of the project that a page names and that there are not."""
    paths = re.findall(r"`((?:motifocal|scripts|runs|tests|examples|docs)/[\w/]+\.\w+)`", text)
    modules = re.findall(r"`(motifocal(?:\.[a-z_0-9]+)+)`", text)
    return [
        *(path for path in paths if not (ROOT / path).exists()),
        *(module for module in modules if not is_module(module)),
    ]


def is_module(name: str) -> bool:
    """Whether a dotted name is a module or package of the project, or a name in one."""
    path, parent = ROOT / name.replace(".", "/"), ROOT / name.rpartition(".")[0].replace(".", "/")
    last = re.compile(rf"\b{name.rpartition('.')[2]}\b")
    homes = [parent.with_suffix(".py"), parent / "__init__.py"]
    texts = [home.read_text(encoding="utf-8") for home in homes if home.exists()]
    return path.is_dir() or path.with_suffix(".py").exists() or any(map(last.search, texts))


def test_every_file_and_module_that_a_page_names_is_there() -> None:
    pages = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted(ROOT.glob("docs/**/*.md"))]
    missing = {path.name: missing_files(path.read_text(encoding="utf-8"))
               for path in pages if path.name not in OTHER_PEOPLES_FILES}  # fmt: skip
    assert {name: files for name, files in missing.items() if files} == {}


def test_a_file_that_is_not_there_is_found() -> None:
    text = "`motifocal/loss/focal.py` `motifocal/gone.py` `motifocal.loss.focal` `motifocal.gone`"
    assert missing_files(text + " `motifocal.read_video`") == ["motifocal/gone.py",
                                                               "motifocal.gone"]


def test_the_readme_fits_on_one_screen() -> None:
    """Some sixty lines and one picture; what is longer is a page in docs/."""
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    assert len(text.splitlines()) <= 65
    assert len(re.findall(r"!\[", text)) == 1


def test_the_readmes_differences_and_intervals_are_those_of_the_proof() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    proof = (ROOT / "docs/proof.md").read_text(encoding="utf-8").replace("+", "")
    claims = re.findall(r": \+?(-?[\d.]+) \((-?[\d.]+) to (-?[\d.]+)\)", text)
    assert len(claims) == 10
    assert [claim for claim in claims if "{} [{}, {}]".format(*claim) not in proof] == []


def test_the_page_of_settings_has_every_setting_with_the_values_of_the_presets() -> None:
    text = (ROOT / "docs/settings.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| `(\w+)` \| [^|]+ \| (\S+) \| (\S+) \|$", text, re.MULTILINE)
    paper, scenes = PAPER.model_dump(mode="json"), SCENES.model_dump(mode="json")
    expected = [(key, _as_json_word(paper[key]), _as_json_word(scenes[key]))
                for key in TrainingSettings.model_fields if key != "unet"]  # fmt: skip
    assert rows == expected


def _as_json_word(value: object) -> str:
    if isinstance(value, str):
        return value
    is_whole = isinstance(value, float) and value.is_integer()
    return json.dumps(int(value) if is_whole else value)  # type: ignore[call-overload]
