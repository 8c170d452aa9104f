"""The rules of the house: which way imports point, how files are named, what they may hold."""

from __future__ import annotations

import ast
import fnmatch
import os
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Iterable, Mapping
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "motifocal"

# Room of the package -> the rooms it may import. Below stand the rooms that all others may import.
OPEN = {"__init__", "_moved", "extras", "files", "media", "metrics"}
ROOMS: dict[str, set[str]] = {
    "__init__": {"_moved", "extras", "loss", "media", "models", "motion"},
    "_moved": set(),
    "extras": set(),
    "files": {"_moved"},
    "metrics": {"_moved"},
    "media": {"files"},
    "motion": set(),
    "loss": {"motion"},
    "scenes": set(),
    "models": set(),
    "generate": {"models", "scenes"},
    "data": {"loss", "models", "motion", "scenes"},
    "training": {"data", "loss", "models", "motion", "scenes"},
    "inspection": {"data", "models", "motion"},
    "bridges": {"data", "loss", "motion"},
    "bench": {"data", "generate", "models", "motion", "scenes"},
    "study": {"bench", "generate", "motion"},
}
ROOMS["cli"] = set(ROOMS)
ROOMS["__main__"] = {"cli"}
# The same inside the study.
STUDY_ROOMS: dict[str, set[str]] = {
    "votes": set(),
    "protocol": {"votes"},
    "schedule": {"votes"},
    "gold_rule": {"protocol"},
    "messages": {"protocol", "votes"},
    "stats": {"protocol", "schedule", "votes"},
    "store": {"messages", "gold_rule", "protocol", "schedule", "votes"},
    "create": {"gold_rule", "messages", "protocol", "schedule", "store", "votes"},
    "web": {"messages", "protocol", "schedule", "store", "votes"},
    "offline": {"messages", "protocol", "schedule", "store", "votes", "web"},
    "report": {"messages", "protocol", "stats", "store", "votes"},
}
# What commands share; a command imports no other command.
COMMAND_PARTS = ("motifocal.cli.lazy", "motifocal.cli.options.", "motifocal.cli.output.",
                 "motifocal.cli.finetune.")
MOST_ROOMS, MOST_FILES = 17, 16

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


def room_of(module: str, level: int = 1) -> str:
    """The room `scenes` of `motifocal.scenes.drawing.draw`; `__init__` of `motifocal` itself."""
    return [*module.split("."), "__init__"][level]


def forbidden_imports(sources: Mapping[str, str]) -> list[str]:
    """Every import that the table of rooms does not allow."""
    return [
        f"{name} imports {other}"
        for name, source in sources.items()
        for other in sorted(imports_of(name, source, sources))
        if room_of(other) not in {room_of(name)} | ROOMS[room_of(name)] | opened_to(room_of(name))
    ]


def opened_to(room: str) -> set[str]:
    """The rooms that this one may import without naming them: none for those rooms themselves."""
    return set() if room in OPEN else OPEN


def forbidden_in_the_study(sources: Mapping[str, str]) -> list[str]:
    """The same inside the study."""
    study = {name: source for name, source in sources.items()
             if name.startswith("motifocal.study.")}
    return [
        f"{name} imports {other}"
        for name, source in study.items()
        for other in sorted(imports_of(name, source, sources) & set(study))
        if room_of(other, 2) not in {room_of(name, 2)} | STUDY_ROOMS[room_of(name, 2)]
    ]


def imported_commands(sources: Mapping[str, str]) -> list[str]:
    """Every import of a command by another one, or by what commands share."""
    return [
        f"{name} imports {other}"
        for name, source in sources.items()
        if name.startswith("motifocal.cli.")
        for other in sorted(imports_of(name, source, sources))
        if other.startswith("motifocal.cli.") and not f"{other}.".startswith(COMMAND_PARTS)
    ]


def find_cycle(sources: Mapping[str, str]) -> list[str]:
    """Modules that import each other in a circle, or an empty list."""
    graph = {name: imports_of(name, source, sources) for name, source in sources.items()}
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        return list(error.args[1])
    return []


def test_every_module_is_in_a_room_of_the_table() -> None:
    modules = package_sources()
    assert {room_of(name) for name in modules} == set(ROOMS)
    study = {room_of(name, 2) for name in modules if name.startswith("motifocal.study.")}
    assert study == set(STUDY_ROOMS)


def test_tests_lie_in_the_folder_of_their_room() -> None:
    places = [path.parts[1:] for path in python_files("tests")]
    assert [place for place in places if len(place) != 2] == [("conftest.py",)]
    # Large parts of bench and training have a folder of their own.
    folders = set(ROOMS) | {"judge", "finetune", "project", "support"}
    assert {place[0] for place in places if len(place) == 2} <= folders
    tests = [place for place in places if place[-1].startswith("test_")]
    assert [place for place in tests if place[0] == "support"] == []
    assert len({place[-1] for place in tests}) == len(tests)  # pytest imports them by this name


def test_a_room_imports_only_what_the_table_allows() -> None:
    assert forbidden_imports(package_sources()) == []
    assert forbidden_in_the_study(package_sources()) == []


def test_a_command_imports_no_other_command() -> None:
    assert imported_commands(package_sources()) == []


def test_no_modules_import_each_other_in_a_circle() -> None:
    assert find_cycle(package_sources()) == []


def test_the_table_of_rooms_has_no_circle() -> None:
    for table in (ROOMS, STUDY_ROOMS):
        TopologicalSorter({room: allowed - {room} for room, allowed in table.items()}).prepare()


def test_a_breach_of_the_table_is_found_wherever_it_hides() -> None:
    sources = {
        "motifocal.motion.flow": "def f():\n    from motifocal.scenes import draw\n",
        "motifocal.media.video": "if TYPE_CHECKING:\n    import motifocal.motion.flow\n",
        "motifocal.files.atomic": "from motifocal.media.video import read_video\n",
        "motifocal.loss.focal": "from motifocal import __version__\nimport torch\n",
        "motifocal.scenes.draw": "from motifocal.media.picture import Pixels\n",
        "motifocal.study.votes": "from motifocal.study.store.leases import Lease\n",
        "motifocal.study.store.leases": "from motifocal.study.votes import Vote\n",
        "motifocal.cli.train": "from motifocal.cli.options.declare import Size\n"
                               "from motifocal.cli.prepare import prepare\n",
        "motifocal.cli.prepare": "import motifocal.cli.lazy\n",
    }
    assert forbidden_imports(sources) == [
        "motifocal.motion.flow imports motifocal.scenes.draw",
        "motifocal.media.video imports motifocal.motion.flow",
        "motifocal.files.atomic imports motifocal.media.video",
    ]
    assert forbidden_in_the_study(sources) == [
        "motifocal.study.votes imports motifocal.study.store.leases",
    ]
    assert imported_commands(sources) == ["motifocal.cli.train imports motifocal.cli.prepare"]


def test_videos_are_decoded_and_encoded_in_one_room() -> None:
    importing = re.compile(r"^\s*(?:import av\b|from av\b)", re.MULTILINE)
    elsewhere = [str(path) for path in python_files("motifocal")
                 if path.parts[1] != "media" and importing.search((ROOT / path).read_text("utf-8"))]
    assert elsewhere == []


def test_rooms_and_folders_stay_small_enough_to_be_looked_over() -> None:
    tops = {room_of(name) for name in package_sources()} - {"__init__", "__main__", "_moved"}
    assert len(tops) <= MOST_ROOMS
    folders = Counter(path.parent for path in project_files() if path.parts[0] == "motifocal")
    assert {str(path): count for path, count in folders.items() if count > MOST_FILES} == {}


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
    assert elsewhere == [], "these should call motifocal.files.json_text.parse_json"


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
    """The entries under motifocal/ and the top folders of the tree in a fenced block.

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


def test_the_tree_in_contributing_names_exactly_what_there_is() -> None:
    tree = tree_in((ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8"))
    assert tree is not None, "CONTRIBUTING.md should show the tree in a fenced block"
    package, tops = tree
    files = project_files()
    depth = {path: len(path.parts) for path in files}
    inside = {
        path.parts[1] + ("/" if depth[path] > 2 else "")
        for path in files
        if path.parts[0] == "motifocal" and depth[path] > 1
    }
    assert package == {name for name in inside if not name.startswith("_")}
    assert tops == {
        f"{path.parts[0]}/" for path in files if depth[path] > 1 and path.parts[0][0] != "."
    }


def test_contributing_shows_the_table_of_rooms() -> None:
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    rows = dict(re.findall(r"^\| ([a-z]+) \| ([^|]*) \|$", text, re.MULTILINE))
    expected = {room: ", ".join(sorted(name for name in allowed if name[0] != "_")) or "—"
                for room, allowed in ROOMS.items() if room[0] != "_"}
    assert rows == expected | {"cli": "everything"}


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
