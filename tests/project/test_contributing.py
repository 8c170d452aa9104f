"""CONTRIBUTING.md shows the tree as it is, and links between documents lead somewhere."""

from __future__ import annotations

import re

from project_files import ROOT, project_files


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
