"""The rooms of the house: which way imports point, and how large a room may be."""

from __future__ import annotations

import ast
import re
from collections import Counter
from collections.abc import Iterable, Mapping
from graphlib import CycleError, TopologicalSorter

from project_files import ROOT, project_files, python_files

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


def test_no_file_of_tests_imports_a_test_file() -> None:
    importing = re.compile(r"^\s*(?:from|import) (test_\w+|conftest)\b", re.MULTILINE)
    found = {str(path): importing.findall((ROOT / path).read_text("utf-8"))
             for path in python_files("tests")}
    assert {path: names for path, names in found.items() if names} == {}


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


def test_contributing_shows_the_table_of_rooms() -> None:
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    rows = dict(re.findall(r"^\| ([a-z]+) \| ([^|]*) \|$", text, re.MULTILINE))
    expected = {room: ", ".join(sorted(name for name in allowed if name[0] != "_")) or "—"
                for room, allowed in ROOMS.items() if room[0] != "_"}
    assert rows == expected | {"cli": "everything"}
