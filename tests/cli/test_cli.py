"""The command line: quick help, honest examples, one line for an error, a page that is current."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType

import click
import pytest
from script_module import module_at

from motifocal import __version__, cli

ROOT = Path(__file__).parents[2]
HEAVY = {"torch", "cv2", "av", "numpy", "diffusers", "transformers", "PIL", "accelerate"}


@pytest.fixture(scope="module")
def cli_docs() -> ModuleType:
    """scripts/cli_docs.py as a module."""
    return module_at(ROOT / "scripts" / "cli_docs.py")


def motifocal(*arguments: str) -> subprocess.CompletedProcess[str]:
    """`python -m motifocal` as a process of its own."""
    return subprocess.run(
        [sys.executable, "-m", "motifocal", *arguments], cwd=ROOT, capture_output=True, text=True
    )


def loaded_after(code: str) -> set[str]:
    """The top-level modules of a fresh interpreter that has run `code`."""
    tail = "\nimport sys; print(*{n.split('.')[0] for n in sys.modules}, file=sys.stderr)"
    done = subprocess.run(
        [sys.executable, "-c", code + tail], cwd=ROOT, check=True, capture_output=True, text=True
    )
    return set(done.stderr.split())


def leaves(command: click.Command, path: str) -> Iterator[tuple[str, click.Command]]:
    """The commands that do something, each with all the words that call it."""
    if isinstance(command, click.Group):
        context = click.Context(command)
        for name in command.list_commands(context):
            found = command.get_command(context, name)
            assert found is not None, f"{path} {name}"
            yield from leaves(found, f"{path} {name}")
    else:
        yield path, command


def commands_of(name: str) -> list[tuple[str, click.Command]]:
    command = cli.cli.get_command(click.Context(cli.cli), name)
    assert command is not None
    return list(leaves(command, f"motifocal {name}"))


def unknown_in(example: str) -> list[str]:
    """What a command line names that does not exist: its command, or options of it."""
    words = shlex.split(example)
    path, command = words[0], cli.cli
    rest = words[1:]
    while isinstance(command, click.Group) and rest and not rest[0].startswith("-"):
        found = command.get_command(click.Context(command), rest[0])
        if found is None:
            return [f"{path} {rest[0]}"]
        path, command, rest = f"{path} {rest[0]}", found, rest[1:]
    known = {"-h", "--help"}
    for parameter in command.params:
        known |= {*parameter.opts, *parameter.secondary_opts}
    used = [word.partition("=")[0] for word in rest if re.match(r"--?[a-z]", word)]
    return [f"{path} {option}" for option in used if option not in known]


def test_help_names_every_command_and_loads_nothing_heavy() -> None:
    code = "import sys; sys.argv[1:] = ['--help']\nfrom motifocal.cli import main; main()"
    loaded = loaded_after(code)
    assert "click" in loaded
    assert loaded & HEAVY == set()
    done = motifocal("--help")
    assert (done.returncode, done.stderr) == (0, "")
    for name, (_, _, line) in cli.COMMANDS.items():
        assert re.search(rf"^  {name} +{re.escape(line)}$", done.stdout, re.MULTILINE)


def test_the_help_of_no_command_loads_anything_heavy() -> None:
    code = "import runpy; runpy.run_path('scripts/cli_docs.py')['document']()"
    loaded = loaded_after(code)
    assert "motifocal" in loaded
    assert loaded & HEAVY == set()


@pytest.mark.parametrize("name", cli.COMMANDS)
def test_every_command_explains_itself_and_all_its_options(name: str) -> None:
    for path, command in commands_of(name):
        assert command.help, path
        silent = [
            parameter.name
            for parameter in command.params
            if isinstance(parameter, click.Option) and not parameter.help
        ]
        assert silent == [], path


@pytest.mark.parametrize("name", cli.COMMANDS)
def test_every_command_shows_an_example_that_could_be_typed(name: str) -> None:
    for path, command in commands_of(name):
        epilog = (command.epilog or "").replace("\\\n", " ")  # a line that goes on
        lines = [line.strip() for line in epilog.splitlines()]
        examples = [line for line in lines if line.startswith("motifocal ")]
        assert any(f"{line} ".startswith(f"{path} ") for line in examples), path
        assert [fault for line in examples for fault in unknown_in(line)] == [], path


def test_a_command_or_an_option_that_does_not_exist_is_found_in_an_example() -> None:
    assert unknown_in("motifocal train shards/ -o run/ --set steps=5") == []
    assert unknown_in("motifocal trian shards/") == ["motifocal trian"]
    assert unknown_in("motifocal train shards/ --step=5") == ["motifocal train --step"]


def test_the_documents_use_only_commands_and_options_that_exist() -> None:
    faults = []
    for page in (*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")):
        text = page.read_text(encoding="utf-8").replace("\\\n", " ")
        inline = re.findall(r"`(motifocal [a-z][^`\n]*)`", text)
        blocks = "\n".join(re.findall(r"^```[^\n]*\n(.*?)^```", text, re.DOTALL | re.MULTILINE))
        whole = re.findall(r"^(?:\$ )?(motifocal [a-z][^\n#|>]*)", blocks, re.MULTILINE)
        faults += [
            f"{page.name}: {fault}" for line in (*inline, *whole) for fault in unknown_in(line)
        ]
    assert faults == []


@pytest.mark.parametrize(
    "arguments", [["trian"], ["--fast"], ["train", "--fast"], ["scenes", "evaluate"]]
)
def test_an_unknown_command_or_option_is_one_line_of_error_and_exit_code_2(
    arguments: list[str],
) -> None:
    done = motifocal(*arguments)
    assert done.returncode == 2
    assert done.stdout == ""
    errors = [line for line in done.stderr.splitlines() if line.startswith("Error: ")]
    assert len(errors) == 1
    assert arguments[-1] in errors[0]
    assert "Traceback" not in done.stderr


@pytest.fixture
def run_main(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[[BaseException], tuple[int | str | None, str, str]]:
    """Run the command line on a command that raises; gives exit code, stdout and stderr."""

    def run(error: BaseException) -> tuple[int | str | None, str, str]:
        def callback() -> None:
            raise error

        module = ModuleType("motifocal.cli.failing")
        module.__dict__["failing"] = click.Command("failing", callback=callback)
        monkeypatch.setitem(sys.modules, module.__name__, module)
        monkeypatch.setitem(cli.COMMANDS, "failing", ("failing", "failing", "Fails."))
        monkeypatch.setattr(sys, "argv", ["motifocal", "failing"])
        with pytest.raises(SystemExit) as stopped:
            cli.main()
        out, err = capsys.readouterr()
        return stopped.value.code, out, err

    return run


Run = Callable[[BaseException], tuple[int | str | None, str, str]]


@pytest.mark.parametrize("kind", [ValueError, OSError, FloatingPointError])
def test_bad_input_inside_a_command_is_one_line_and_exit_code_1(
    run_main: Run, kind: type[Exception]
) -> None:
    error = kind("heatmap should be (2, 3), got (2, 4)")
    assert run_main(error) == (1, "", "motifocal: heatmap should be (2, 3), got (2, 4)\n")


def test_a_message_of_several_lines_becomes_one_line(run_main: Run) -> None:
    code, out, err = run_main(ValueError("2 faults:\n  steps is 0\n\n  rate is 0"))
    assert (code, out) == (1, "")
    assert err.startswith("motifocal: 2 faults:")
    assert err.count("\n") == 1
    assert "rate is 0" in err


def test_control_c_says_stopped_and_ends_with_130(run_main: Run) -> None:
    # The empty line ends the one in which the terminal shows ^C.
    assert run_main(KeyboardInterrupt()) == (130, "", "\nstopped\n")


def test_a_defect_of_the_program_keeps_its_traceback(run_main: Run) -> None:
    with pytest.raises(TypeError, match="a defect"):
        run_main(TypeError("a defect"))


def test_python_m_motifocal_turns_a_value_error_into_one_line(tmp_path: Path) -> None:
    done = motifocal("scenes", "eval", str(tmp_path), "--pairs", "1")
    assert done.returncode == 1
    assert done.stdout == ""
    assert "Traceback" not in done.stderr
    assert re.findall("^motifocal: .*$", done.stderr, re.MULTILINE) == [
        done.stderr.splitlines()[-1]  # before it, what had been done of the progress bar
    ]


def test_the_version_is_the_package_s() -> None:
    assert motifocal("--version").stdout == f"motifocal, version {__version__}\n"


def test_the_page_of_the_command_line_is_current(cli_docs: ModuleType) -> None:
    # In a process of its own: a command that was once called by itself, without the group above
    # it, keeps the names of its help option.
    code = "import sys, cli_docs; sys.stdout.reconfigure(encoding='utf-8', newline=''); "
    code += "sys.stdout.write(cli_docs.document())"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT / "scripts", check=True,
                          capture_output=True)  # fmt: skip
    page = cli_docs.PATH.read_text(encoding="utf-8")
    assert page == done.stdout.decode(), "run `make docs`"


def test_the_page_does_not_depend_on_the_terminal(
    cli_docs: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = cli_docs.document()
    monkeypatch.setenv("COLUMNS", "40")
    assert cli_docs.document() == before
