"""A command as a model: hostile prompts, programs that misbehave, templates and time limits."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from command_programs import BEHAVES, FRAMES, HOSTILE, ON_LINUX, OPTIONS, jobs_of

from motifocal.generate.command_model import CommandModel
from motifocal.generate.model import Job, Model
from motifocal.generate.process import TAIL_LETTERS
from motifocal.media.video import read_video


def test_a_command_is_a_model(script: Callable[[str], str]) -> None:
    template = script("") + OPTIONS
    model: Model = CommandModel(template, "Mine", timeout=5)
    assert (model.name, model.format) == ("Mine", None)
    assert model.settings == {"command": template}


def test_videos_land_in_their_places_and_nothing_else_stays(
    tmp_path: Path, stock: Path, script: Callable[[str], str]
) -> None:
    jobs = jobs_of(tmp_path, stock, "good", "matroska")
    model = CommandModel(script(BEHAVES) + OPTIONS, "m", logs=tmp_path / "logs")
    assert model.animate(jobs) == [None, None]
    assert sorted(os.listdir(tmp_path / "videos")) == ["v_0.mp4", "v_1.mp4"]
    assert jobs[0].output.read_bytes() == (stock / "good.mp4").read_bytes()
    assert read_video(jobs[1].output).frames.shape == (FRAMES, 16, 16, 3)
    assert sorted(os.listdir(tmp_path / "logs")) == ["v_0.log", "v_1.log"]
    assert "--seed 1" in (tmp_path / "logs" / "v_1.log").read_text()


BAD = {
    "crash": "exit code 1: .* RuntimeError: CUDA out of memory",
    "nothing": r"wrote no video \(exit code 0: finished\)",
    "empty": r"the file is empty \(exit code 0\)",
    "rubbish": "cannot be opened as a video",
    "truncated": r"\(exit code 0\)",
    "still": "wrote a single frame",
    "elsewhere": "wrote sample_0.mp4, should be v_0.mp4",
    "link": "wrote a link",
    "folder": "wrote a folder",
    "killed": "killed by SIGKILL",
}


@ON_LINUX
def test_what_goes_wrong_with_one_video_is_its_own_reason_and_the_others_go_on(
    tmp_path: Path, stock: Path, script: Callable[[str], str]
) -> None:
    jobs = jobs_of(tmp_path, stock, *BAD, "good")
    jobs = [Job(job.image, job.prompt, 0, job.output) for job in jobs]
    reasons = CommandModel(script(BEHAVES) + OPTIONS, "m", logs=tmp_path / "l").animate(jobs)
    assert reasons.pop() is None
    for number, ((kind, pattern), reason) in enumerate(zip(BAD.items(), reasons, strict=True)):
        assert reason is not None, kind
        assert re.search(pattern.replace("v_0", f"v_{number}"), reason), reason
        assert "\n" not in reason
        assert ".tmp" not in reason
    assert os.listdir(tmp_path / "videos") == [f"v_{len(BAD)}.mp4"]


def test_a_hostile_prompt_arrives_letter_by_letter(
    tmp_path: Path, stock: Path, script: Callable[[str], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    words = script("""
        with open("seen.jsonl", "a") as file:
            file.write(json.dumps([given.prompt, given.seed]) + chr(10))
        shutil.copy(STOCK + "/good.mp4", given.out)
    """)
    jobs = jobs_of(tmp_path, stock, *HOSTILE)
    assert CommandModel(words + OPTIONS, "m").animate(jobs) == [None] * len(HOSTILE)
    seen = [json.loads(line) for line in Path("seen.jsonl").read_text().splitlines()]
    assert seen == [[prompt, str(number)] for number, prompt in enumerate(HOSTILE)]
    assert os.listdir() == ["seen.jsonl"]


def test_a_prompt_that_no_program_could_be_given_is_a_reason(
    tmp_path: Path, stock: Path, script: Callable[[str], str]
) -> None:
    jobs = jobs_of(tmp_path, stock, "null \0", "half \ud83e", "x" * 9_000_000, "good")
    reasons = CommandModel(script(BEHAVES) + OPTIONS, "m").animate(jobs)
    assert reasons == ["the prompt holds a null character",
                       "the prompt contains a lone surrogate (half of a UTF-16 pair)",
                       "the prompt is too long for a command line", None]


def test_a_program_that_does_not_exist_concerns_all_videos(tmp_path: Path, stock: Path) -> None:
    model = CommandModel("no-such-program --i {image} --o {output}", "m")
    with pytest.raises(ValueError, match=r"can be run, got no-such-program \(No such file"):
        model.animate(jobs_of(tmp_path, stock, "good"))
    assert [name for name in os.listdir(tmp_path / "videos") if name[0] == "."] == []


@pytest.mark.parametrize(
    ("template", "words"),
    [
        ("", "should name a program, got none"),
        ("p '{image}", "quotes in pairs"),
        ("p {image} {output", "braces in pairs"),
        ("p {image} {output} }", "braces in pairs"),
        ("p {picture} {output}", r"name only \{image\}, \{prompt\}.*got '\{picture\}'"),
        ("p {image.parent} {output}", "name only"),
        ("p {image!r} {output}", "name only"),
        ("p {seed:05d} {image} {output}", "name only"),
        ("p {} {image} {output}", "name only"),
        ("p {prompt} {output}", r"should name \{image\} and \{output\}"),
        ("p {image} {prompt}", r"should name \{image\} and \{output\}"),
        ("p {image} {output_dir}", r"should name \{image\} and \{output\}"),
        ("p {{image}} {output}", r"should name \{image\} and \{output\}"),
        ("p {batch} {image} {output}", "not both"),
        ("{image} {output}", "start with a program's name"),
    ],
)
def test_a_template_that_cannot_work_is_refused_with_what_is_known(
    template: str, words: str
) -> None:
    with pytest.raises(ValueError, match=words):
        CommandModel(template, "m")


@pytest.mark.parametrize("timeout", [0, -1, float("nan"), float("inf")])
def test_a_time_limit_that_is_none_is_refused(timeout: float) -> None:
    with pytest.raises(ValueError, match="positive number of seconds"):
        CommandModel("p {image} {output}", "m", timeout=timeout)


def test_every_placeholder_is_filled_in_inside_its_word(
    tmp_path: Path, stock: Path, script: Callable[[str], str]
) -> None:
    words = script("""
        folder, _, name = given.out.rpartition("|")
        assert os.listdir(folder) == []
        assert given.batch == "{braces} two words"
        shutil.copy(STOCK + "/good.mp4", os.path.join(folder, name + ".mp4"))
    """)
    template = words + " --image={image} --out '{output_dir}|{name}'"
    template += ' --batch "{{braces}} two words"'
    assert CommandModel(template, "m").animate(jobs_of(tmp_path, stock, "")) == [None]


def test_a_command_without_a_seed_is_not_run_for_several(tmp_path: Path, stock: Path) -> None:
    model = CommandModel("p {image} {output}", "m")
    with pytest.raises(ValueError, match=r"without \{seed\} should get one seed, got 0, 1"):
        model.animate(jobs_of(tmp_path, stock, "a", "b"))


def test_a_process_has_the_caller_s_folder_and_environment_and_nothing_to_read(
    tmp_path: Path, stock: Path, script: Callable[[str], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DUCK", "yellow")
    words = script("""
        print(os.getcwd(), os.environ["DUCK"], repr(sys.stdin.read()), os.path.isabs(given.image))
    """)
    (reason,) = CommandModel(words + OPTIONS, "m").animate(jobs_of(tmp_path, stock, ""))
    assert reason == f"wrote no video (exit code 0: {tmp_path} yellow '' True)"


def test_the_last_words_are_one_short_plain_line(
    tmp_path: Path, stock: Path, script: Callable[[str], str]
) -> None:
    words = script(r"""
        print("x" * 3_000_000)
        print("\r".join(f"{step}%" for step in range(99)), end="\n\n")
        print("\x1b[31mred\x1b[0m\a \u202e end \x00" + "long " * 200)
        sys.exit(3)
    """)
    (reason,) = CommandModel(words + OPTIONS, "m").animate(jobs_of(tmp_path, stock, ""))
    assert reason is not None
    assert reason.isprintable()
    assert reason.endswith("long long")
    assert len(reason) <= TAIL_LETTERS + len("exit code 3: ")
    words = words.replace("infer.py", "infer2.py")
    Path(tmp_path / "infer2.py").write_text(
        "print('\\x1b[31mred\\x1b[0m\\a'); print('97%\\r98%\\n  ~~^^')")
    (reason,) = CommandModel(words + OPTIONS, "m").animate(jobs_of(tmp_path, stock, ""))
    assert reason == "wrote no video (exit code 0: red | 97% | 98%)"
