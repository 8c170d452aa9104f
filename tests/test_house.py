"""The rules of the house: which way imports point, how files are named, what they may hold."""

from __future__ import annotations

import ast
import fnmatch
import os
import re
import subprocess
import sys
from collections.abc import Iterable, Mapping
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "motifocal"

# A file imports only from what stands before it, or from its own folder. What shares a line is
# one stage; within it too the order holds. Stages that are not there yet keep their place.
ORDER = (
    "__init__",
    "short_names",
    *("disk", "extras", "files", "stored_names", "json_text", "output_lock", "png_chunks"),
    *("picture", "file_kind", "hdr", "frame_pixels", "frame_times", "mp4_index", "truncation"),
    *("codec", "video", "tensor_file"),
    *("raft", "flow", "evidence"),
    *("camera_models", "camera"),
    *("heatmap_settings", "heatmap", "moving_fraction", "masks", "overlay"),
    *("geometry", "latent_difference"),
    "loss",
    "scenes",
    *("models", "familiar"),
    *("data", "doctor"),
    "training",
    *("pipeline_parts", "pipeline"),
    "bench",
    "study",
    "bridges",
    "commands",
    *("cli", "__main__"),
)

NAMES_THAT_SAY_NOTHING = {"utils", "util", "common", "helpers", "helper", "misc", "config"}
MOST_LINES = 300
HEAVY = {"torch", "cv2", "av", "numpy", "diffusers", "transformers", "PIL", "accelerate"}

# The backslashes keep these lines from being what they look for.
REGISTRY = re.compile(
    r"pypi\.org|pythonhosted\.org|anaconda\.(?:org|com)|npmjs\.(?:org|com)|crates\.io"
    r"|ghcr\.io|docker\.io|quay\.io|pkg\.dev|download\.pytorch\.org",
    re.IGNORECASE,
)
MACHINE_PATH = re.compile(
    r"(?<![\w.~$})*-])/(?:home|Users|root|work|workspace|mnt|scratch)/\w|\b[A-Z]:\\Users\\"
)


def project_files() -> list[Path]:
    """The files that git would track, relative to the root; told from .gitignore, without git."""
    lines = (ROOT / ".gitignore").read_text().splitlines()
    patterns = [".git", *(line.strip("/") for line in lines if line and line[0] != "#")]

    def ignored(path: Path) -> bool:
        names = (path.name, path.as_posix())
        return any(fnmatch.fnmatch(name, pattern) for name in names for pattern in patterns)

    found = []
    for folder, folders, files in os.walk(ROOT):
        here = Path(folder).relative_to(ROOT)
        folders[:] = [name for name in folders if not ignored(here / name)]
        found += [here / name for name in files if not ignored(here / name)]
    return sorted(found)


def python_files(*tops: str) -> list[Path]:
    return [path for path in project_files() if path.suffix == ".py" and path.parts[0] in tops]


def package_sources() -> dict[str, str]:
    """Dotted name of every module of the package -> its source; a folder's own name is its init."""
    sources = {}
    for path in python_files("motifocal"):
        parts = path.with_suffix("").parts
        name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
        sources[name] = (ROOT / path).read_text(encoding="utf-8")
    return sources


def imports_of(name: str, source: str, modules: Iterable[str]) -> set[str]:
    """The package's own modules that a module imports, wherever in the file it does so."""
    known, found = set(modules), set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{name}, line {node.lineno}: the import should be absolute"
            assert node.module is not None
            for alias in node.names:
                whole = f"{node.module}.{alias.name}"
                found.add(whole if whole in known else node.module)
    return {other for other in found if other.split(".")[0] == "motifocal"}


def stage_of(module: str) -> str:
    """`motifocal.scenes.draw` is of the stage `scenes`, `motifocal` itself of `__init__`."""
    return [*module.split("."), "__init__"][1]


def wrong_ways(sources: Mapping[str, str]) -> list[str]:
    """Every import from a stage that does not stand before the importer's."""
    return [
        f"{name} imports {other}"
        for name, source in sources.items()
        for other in sorted(imports_of(name, source, sources))
        if stage_of(other) != stage_of(name)
        and ORDER.index(stage_of(other)) > ORDER.index(stage_of(name))
    ]


def find_cycle(sources: Mapping[str, str]) -> list[str]:
    """Modules that import each other in a circle, or an empty list."""
    graph = {name: imports_of(name, source, sources) for name, source in sources.items()}
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        return list(error.args[1])
    return []


def test_every_module_has_its_place_in_the_order() -> None:
    stages = {stage_of(name) for name in package_sources()}
    assert len(stages) > 10
    assert stages - set(ORDER) == set(), "give these a place in ORDER"


def test_imports_point_one_way() -> None:
    assert wrong_ways(package_sources()) == []


def test_no_modules_import_each_other_in_a_circle() -> None:
    assert find_cycle(package_sources()) == []


def test_an_import_of_a_later_stage_is_found_wherever_it_hides() -> None:
    sources = {
        "motifocal.flow": "def f():\n    from motifocal.scenes import draw\n",
        "motifocal.video": "if TYPE_CHECKING:\n    import motifocal.flow\n",
        "motifocal.loss": "from motifocal import __version__\nimport torch\n",
        "motifocal.scenes.draw": "from motifocal.flow import Flow\n",
    }
    assert wrong_ways(sources) == [
        "motifocal.flow imports motifocal.scenes.draw",
        "motifocal.video imports motifocal.flow",
    ]


def test_a_circle_inside_a_folder_is_found() -> None:
    sources = {
        "motifocal.scenes.a": "from motifocal.scenes import b\n",
        "motifocal.scenes.b": "from motifocal.scenes.a import x\n",
        "motifocal.scenes.c": "from motifocal.scenes.a import x\n",
    }
    assert set(find_cycle(sources)) == {"motifocal.scenes.a", "motifocal.scenes.b"}
    del sources["motifocal.scenes.a"]
    assert find_cycle(sources) == []


def test_no_file_has_a_name_that_says_nothing() -> None:
    files = python_files("motifocal", "tests", "scripts", "benchmarks")
    assert [str(path) for path in files if path.stem in NAMES_THAT_SAY_NOTHING] == []


def test_no_file_is_longer_than_three_hundred_lines() -> None:
    lengths = {
        str(path): len((ROOT / path).read_text(encoding="utf-8").splitlines())
        for path in python_files("motifocal", "scripts", "benchmarks")
    }
    assert {path: lines for path, lines in lengths.items() if lines > MOST_LINES} == {}


def test_json_is_parsed_in_one_place_which_refuses_deep_nesting() -> None:
    call = re.compile(r"\bjson\.loads?\(")
    elsewhere = [str(path) for path in python_files("motifocal")
                 if path.name != "json_text.py" and call.search((ROOT / path).read_text("utf-8"))]
    assert elsewhere == [], "these should call motifocal.json_text.parse_json"


def test_every_module_opens_with_a_docstring() -> None:
    files = python_files("motifocal", "tests", "scripts", "benchmarks")
    bare = [
        str(path)
        for path in files
        if not ast.get_docstring(ast.parse((ROOT / path).read_text(encoding="utf-8")))
    ]
    assert bare == []


@pytest.mark.parametrize("module", ["motifocal", "motifocal.cli"])
def test_importing_is_cheap(module: str) -> None:
    code = f"import sys, {module}; print(*{{name.split('.')[0] for name in sys.modules}})"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, check=True, capture_output=True, text=True
    )
    loaded = set(done.stdout.split())
    assert "motifocal" in loaded
    assert loaded & HEAVY == set()


def lines_with(pattern: re.Pattern[str]) -> list[str]:
    """`file:line` wherever the pattern occurs in a text file of the project."""
    found = []
    for path in project_files():
        try:
            text = (ROOT / path).read_text(encoding="utf-8")
        except UnicodeDecodeError:  # weights, pictures, videos
            continue
        found += [
            f"{path}:{number}"
            for number, line in enumerate(text.splitlines(), start=1)
            if pattern.search(line)
        ]
    return found


def test_no_file_names_the_host_of_a_package_registry() -> None:
    assert lines_with(REGISTRY) == []


def test_no_file_holds_a_path_of_somebodys_machine() -> None:
    assert lines_with(MACHINE_PATH) == []


def test_registries_and_machine_paths_are_recognised() -> None:
    assert REGISTRY.search("https://PyPI" + ".org/simple")
    for path in ("/ho" + "me/ann/clips", "at (/ro" + "ot/x", "C:\\Us" + "ers\\ann"):
        assert MACHINE_PATH.search(path), path
    for fine in ("/usr/bin/env bash", "docs/home/page", "https://example.org/work/x", "a/root/b"):
        assert not MACHINE_PATH.search(fine), fine


def tree_in(text: str) -> tuple[set[str], set[str]] | None:
    """The entries under motifocal/ and the top folders of the tree in a README's fenced block.

    One entry a line, its name first, several parted by ", ", then two spaces and what it is;
    folders end in "/". Deeper levels may be there. None where no block holds a line "motifocal/".
    """
    for block in re.findall(r"^```[^\n]*\n(.*?)^```", text, re.DOTALL | re.MULTILINE):
        lines = [re.sub("[│├└─]", " ", line).rstrip() for line in block.splitlines()]
        entries = [(len(line) - len(line.lstrip()), line) for line in lines if line.strip()]
        names = [re.split(r"\s{2,}", line.strip())[0].split(", ") for _, line in entries]
        if ["motifocal/"] not in names:
            continue
        start = names.index(["motifocal/"])
        base = entries[start][0]
        inside: list[tuple[int, list[str]]] = []
        for (indent, _), found in zip(entries[start + 1 :], names[start + 1 :], strict=True):
            if indent <= base:
                break
            inside.append((indent, found))
        level = min((indent for indent, _ in inside), default=0)
        package = {name for indent, found in inside if indent == level for name in found}
        tops = {
            name
            for (indent, _), found in zip(entries, names, strict=True)
            if indent == base
            for name in found
            if name.endswith("/")
        }
        return package, tops
    return None


def test_the_tree_in_the_readme_names_exactly_what_there_is() -> None:
    readme = ROOT / "README.md"
    if not readme.exists():
        pytest.skip("there is no README.md yet")
    tree = tree_in(readme.read_text(encoding="utf-8"))
    assert tree is not None, "README.md should show the tree in a fenced block"
    package, tops = tree
    files = project_files()
    depth = {path: len(path.parts) for path in files}
    inside = {
        path.parts[1] + ("/" if depth[path] > 2 else "")
        for path in files
        if path.parts[0] == "motifocal" and depth[path] > 1
    }
    assert package == {name for name in inside if not name.startswith("__")}
    assert tops == {
        f"{path.parts[0]}/" for path in files if depth[path] > 1 and path.parts[0][0] != "."
    }


def test_a_tree_is_read_with_and_without_lines() -> None:
    plain = """
```
motifocal/          the package
  video.py          clips
  flow.py, loss.py  others
  scenes/           drawn
    draw.py         paint
tests/              proofs
```
"""
    drawn = """
```text
├── motifocal/
│   ├── video.py  clips
│   ├── flow.py
│   ├── loss.py
│   └── scenes/  drawn
│       └── draw.py
└── tests/
```
"""
    expected = {"video.py", "flow.py", "loss.py", "scenes/"}, {"motifocal/", "tests/"}
    assert tree_in(plain) == tree_in(drawn) == expected
    assert tree_in("no tree\n```\nmake demo\n```\n") is None


def test_links_between_the_documents_lead_somewhere() -> None:
    broken = []
    for page in (path for path in project_files() if path.suffix == ".md"):
        for target in re.findall(r"\]\(([^)\s]+)\)", (ROOT / page).read_text(encoding="utf-8")):
            file = target.partition("#")[0]
            if file and ":" not in file and not (ROOT / page.parent / file).exists():
                broken.append(f"{page}: {target}")
    assert broken == []
