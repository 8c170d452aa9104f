"""The command adapter: hostile prompts, misbehaving programs, time limits, batches, wrappers."""

from __future__ import annotations

import json
import os
import re
import shlex
import signal
import sys
import textwrap
import threading
import time
from collections.abc import Callable
from pathlib import Path

import av
import numpy as np
import pytest

from motifocal.generate.command_model import CommandModel
from motifocal.generate.model import Job, Model
from motifocal.generate.process import TAIL_LETTERS
from motifocal.media.video import read_video, write_image, write_video

FRAMES = 6
ON_LINUX = pytest.mark.skipif(sys.platform != "linux", reason="signals, and /proc to look")


@pytest.fixture(scope="module")
def stock(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Files that a program may leave: good.mp4, short.mp4, still.mp4, other.mkv, picture.png."""
    folder = tmp_path_factory.mktemp("stock")
    frames = np.random.default_rng(0).integers(0, 255, (FRAMES, 16, 16, 3), dtype=np.uint8)
    write_video(folder / "good.mp4", frames, 8)
    write_video(folder / "short.mp4", frames[:3], 8)
    write_video(folder / "still.mp4", frames[:1], 8)
    with av.open(str(folder / "other.mkv"), "w") as container:
        stream = container.add_stream("mpeg4", rate=8)
        stream.width = stream.height = 16
        for frame in frames:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        container.mux(stream.encode())
    write_image(folder / "picture.png", frames[0])
    return folder


@pytest.fixture
def script(tmp_path: Path, stock: Path) -> Callable[[str], str]:
    """Write a program; gives the words that start it. It knows STOCK and the usual options."""

    def written(body: str) -> str:
        path = tmp_path / "infer.py"
        path.write_text(f"STOCK = {str(stock)!r}\n" + textwrap.dedent(HEAD)
                        + textwrap.dedent(body), encoding="utf-8")
        return f"{shlex.quote(sys.executable)} {shlex.quote(str(path))}"

    return written


HEAD = """
import argparse, json, os, pathlib, shutil, subprocess, sys, time
parser = argparse.ArgumentParser()
for name in ("image", "prompt", "out", "seed", "batch"):
    parser.add_argument("--" + name)
given = parser.parse_args()
"""
OPTIONS = " --image {image} --prompt={prompt} --out {output} --seed {seed}"
#: What a program does, chosen by its sentence.
BEHAVES = """
out = pathlib.Path(given.out)
def copy(name, to=out):
    shutil.copy(pathlib.Path(STOCK, name), to)
def crash():
    copy("good.mp4")
    print("loading", flush=True)
    raise RuntimeError("CUDA out of memory")
def truncated():
    data = pathlib.Path(STOCK, "good.mp4").read_bytes()
    out.write_bytes(data[:len(data) // 2])
def folder():
    out.mkdir()
    copy("picture.png", out / "0.png")
    copy("picture.png", out / "1.png")
{
    "good": lambda: copy("good.mp4"),
    "matroska": lambda: copy("other.mkv"),
    "crash": crash,
    "nothing": lambda: print("finished"),
    "empty": lambda: out.touch(),
    "rubbish": lambda: out.write_text("no video at all" * 99),
    "truncated": truncated,
    "still": lambda: copy("still.mp4"),
    "elsewhere": lambda: copy("good.mp4", out.with_name("sample_0.mp4")),
    "link": lambda: out.symlink_to(pathlib.Path(STOCK, "good.mp4")),
    "folder": folder,
    "killed": lambda: os.kill(os.getpid(), 9),
}[given.prompt]()
"""


def jobs_of(tmp_path: Path, stock: Path, *prompts: str) -> list[Job]:
    (tmp_path / "videos").mkdir(exist_ok=True)
    return [Job(stock / "picture.png", prompt, number, tmp_path / "videos" / f"v_{number}.mp4")
            for number, prompt in enumerate(prompts)]


def alive(pid: int) -> bool:
    """Whether a process still runs; one that is dead and not yet waited for does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except FileNotFoundError:
        return False


def dies(pid: int) -> bool:
    """Whether a process ends; one that was killed may take a moment, on a busy machine long."""
    for _ in range(3000):
        if not alive(pid):
            return True
        time.sleep(0.02)
    return False


def pid_in(path: Path) -> int:
    """The number that a process writes to a file, once it is there."""
    for _ in range(3000):
        if path.exists() and path.read_text().strip():
            return int(path.read_text())
        time.sleep(0.02)
    raise AssertionError(f"{path} was not written")


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


HOSTILE = [
    'a "quoted" duck', "it's a duck", "$(touch pwned) `touch pwned` $HOME", "; touch pwned #",
    "& touch pwned | cat > pwned", "two\nlines\r\nand a\ttab", "--help", "-h", "",
    "{image} {0} {{seed}} {", "é 猫 🦆 \u202e", "\\ \\\\ \\n", "*", "~", "%PATH%", "  spaces  ",
]


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
                       "the prompt holds half a letter (a lone surrogate)",
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


LIMITS = (2, 10, 60)  # seconds, each tried where a busy machine does not get as far within the last
HANGS = {
    "asleep": "time.sleep(600)",
    "deaf": "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(600)",
    "a deaf child of it": """
child = "import os, signal, sys, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); "
child += "open(sys.argv[1], 'w').write(str(os.getpid())); time.sleep(600)"
subprocess.run([sys.executable, "-c", child, os.environ["PID_FILE"]])
""",
}


@ON_LINUX
@pytest.mark.slow
@pytest.mark.parametrize("kind", HANGS)
def test_a_process_that_hangs_is_ended_with_all_that_it_started(
    tmp_path: Path, stock: Path, script: Callable[[str], str], kind: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setenv("PID_FILE", str(tmp_path / "pid"))
    words = script("shutil.copy(STOCK + '/good.mp4', given.out)\n"
                   "open(os.environ['PID_FILE'], 'w').write(str(os.getpid()))\n" + HANGS[kind]
                   + "\nopen(os.environ['PID_FILE'] + '.awake', 'w').close()")
    for limit in LIMITS:
        model = CommandModel(words + OPTIONS, "m", timeout=limit, grace=0.2)
        assert model.animate(jobs_of(tmp_path, stock, "")) == [f"took longer than {limit} s"]
        if (tmp_path / "pid").exists():
            break
    assert dies(pid_in(tmp_path / "pid"))
    assert not (tmp_path / "pid.awake").exists()  # it was ended, and did not end by itself
    assert [path.suffix for path in (tmp_path / "videos").iterdir()] == [".log"]


@ON_LINUX
def test_what_a_process_leaves_running_ends_with_it(
    tmp_path: Path, stock: Path, script: Callable[[str], str]
) -> None:
    words = script("""
        child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
        print(child.pid, flush=True)
        shutil.copy(STOCK + "/good.mp4", given.out)
    """)
    assert CommandModel(words + OPTIONS, "m").animate(jobs_of(tmp_path, stock, "")) == [None]
    pid = int((tmp_path / "videos" / "v_0.log").read_text().split()[-1])
    assert dies(pid)


@ON_LINUX
def test_control_c_ends_the_process_too(
    tmp_path: Path, stock: Path, script: Callable[[str], str]
) -> None:
    words = script(f"open({str(tmp_path / 'pid')!r}, 'w').write(str(os.getpid())); time.sleep(60)")
    main = threading.main_thread().ident
    assert main is not None

    def interrupt() -> None:
        pid_in(tmp_path / "pid")
        signal.pthread_kill(main, signal.SIGINT)

    thread = threading.Thread(target=interrupt)
    # A shell starts what runs in its background deaf to Ctrl-C, and these tests with it.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        thread.start()
        with pytest.raises(KeyboardInterrupt):
            CommandModel(words + OPTIONS, "m", grace=5).animate(jobs_of(tmp_path, stock, ""))
        thread.join()
    finally:
        signal.signal(signal.SIGINT, before)
    assert dies(pid_in(tmp_path / "pid"))
    assert [name for name in os.listdir(tmp_path / "videos") if name[0] == "."] == []


BATCH = """
jobs = [json.loads(line) for line in open(given.batch, encoding="utf-8")]
for job in jobs:
    if job["prompt"] == "crash":
        raise RuntimeError("a bad picture")
    if job["prompt"] == "sleep":
        time.sleep(600)
    if job["prompt"] != "skip":
        name = {"short": "short.mp4"}.get(job["prompt"], "good.mp4")
        shutil.copy(STOCK + "/" + name, job["output"])
        print(sorted(job), job["seed"], os.path.isfile(job["image"]))
"""


def test_a_batch_is_one_process_with_a_line_for_every_job(
    tmp_path: Path, stock: Path, script: Callable[[str], str]
) -> None:
    jobs = jobs_of(tmp_path, stock, *HOSTILE, "null \0", "half \ud83e", "skip", "short")
    model = CommandModel(script(BATCH) + " --batch {batch}", "m", logs=tmp_path / "logs")
    reasons = model.animate(jobs)
    (log,) = (tmp_path / "logs").iterdir()
    lines = log.read_text().splitlines()[1:]
    assert len(lines) == len(jobs) - 1
    assert lines[3] == "['image', 'output', 'prompt', 'seed'] 3 True"
    skipped = reasons.pop(-2)
    assert skipped is not None
    assert skipped.startswith("wrote no video (exit code 0")
    assert reasons == [None] * len(reasons)
    assert sorted(os.listdir(tmp_path / "videos")) == sorted(
        job.output.name for job in jobs if job.prompt != "skip")
    assert model.animate([]) == []


@pytest.mark.slow
@pytest.mark.parametrize("ending", ["crash", "sleep"])
def test_whole_videos_of_a_batch_that_failed_are_kept(
    tmp_path: Path, stock: Path, script: Callable[[str], str], ending: str
) -> None:
    jobs = jobs_of(tmp_path, stock, "a", "b", "short", ending, "c")
    template = script(BATCH) + " --batch {batch}"
    for limit in LIMITS:
        model = CommandModel(template, "m", timeout=limit, grace=0.2, logs=tmp_path / "logs")
        made, also, *others = model.animate(jobs)
        if others[0] is None or "is cut short" in others[0]:
            break
    assert (made, also) == (None, None)
    how = {"crash": "exit code 1: ", "sleep": f"took longer than {limit} s"}[ending]
    for reason, words in zip(others, ["is cut short, 3 frames of 6", "wrote no video",
                                      "wrote no video"], strict=True):
        assert reason is not None
        assert reason.startswith(f"{words} ({how}")
    assert sorted(os.listdir(tmp_path / "videos")) == ["v_0.mp4", "v_1.mp4"]


# The wrappers in docs/models.md, against stand-ins that read and name files as the models' own
# scripts do. A stand-in's video has as many frames as its sentence asks for.

PAGE = (Path(__file__).parents[2] / "docs" / "models.md").read_text(encoding="utf-8")
WRAPPERS = {name: body for body, name in re.findall(
    r'^```python\n("""(\w+\.py): .*?)^```', PAGE, re.DOTALL | re.MULTILINE)}
COMMON = """
import argparse, glob, json, os, pathlib, re, shutil, sys
from PIL import Image
parser = argparse.ArgumentParser()
def options(*names):
    for name in names:
        parser.add_argument(name)
    return parser.parse_known_args()[0]
def make(sentence, picture, seed, path):
    os.makedirs(os.path.dirname(path), exist_ok=True)
    shutil.copy(f"{CLIPS}/{2 + len(sentence) % 7}.mp4", path)
    with open(f"{CLIPS}/seen.jsonl", "a") as file:
        shown = Image.open(picture)
        print(json.dumps([sentence, shown.size, shown.getpixel((0, 0)), seed]), file=file)
"""
FOLDER_SCRIPT = """
given = options("--seed", "--prompt_dir", "--cond_input", "--prompt_file", "--savedir", "--M")
folder = given.prompt_dir or given.cond_input
pictures = sorted(glob.glob(os.path.join(folder, "*.png")))
(text,) = glob.glob(os.path.join(folder, "*.txt"))
assert given.prompt_file in (None, text)
sentences = [line.strip() for line in open(text) if line.strip()]
assert len(sentences) == len(pictures)
for sentence, picture in zip(sentences, pictures):
    name = os.path.split(picture)[-1][:-4]
    made = f"samples_separate/{name}_sample0.mp4" if given.prompt_dir else f"{name}.mp4"
    if given.M:
        made = f"{given.M}/{name}_sample0.mp4"
    make(sentence, picture, given.seed, os.path.join(given.savedir, made))
"""
CINEMO = """
import yaml
config = yaml.safe_load(open(options("--config").config))
assert config["seed"] and config["guidance_scale"] == 7.5
for i, (image, prompt) in enumerate(config["image_prompts"]):
    make(prompt, "./animated_images/" + image, config["seed"] - 1,
         config["save_img_path"] + prompt.replace(" ", "_") + "_%04d" % i
         + "_%04d" % config["run_time"] + "-imageio.mp4")
"""
SEINE = """
import yaml
config = yaml.safe_load(open(options("--config").config))
assert config["seed"] and config["cfg_scale"] == 8.0
(prompt,) = config["text_prompt"]
make(prompt, config["input_path"], config["seed"] - 1,
     os.path.join(config["save_path"], prompt.replace(" ", "_") + ".mp4"))
"""
TI2V_ZERO = """
import torch
os.environ["CUDA_VISIBLE_DEVICES"] = "1"
# input = "another example"
input = "A mesmerizing display."
img_path = "examples/northern_lights_sd.jpg"
output_dir = "./example-video"
output_img_dir = "./example-image"
assert os.environ.get("CUDA_VISIBLE_DEVICES") != "1"
postfix = "-resample04"
for sample_idx in range(1):
    output_filename = input.replace(" ", "_")[:-1] + "%s-%02d.gif" % (postfix, 15)
    make(input, img_path, torch.seed, os.path.join(output_dir, output_filename))
    img_path = os.path.join(output_img_dir, "000.jpg")
"""
ANIMATE_ANYTHING = """
import yaml
parser.add_argument("--eval", action="store_true")
parser.add_argument("--config")
parser.add_argument("rest", nargs=argparse.REMAINDER)
given = parser.parse_args()
assert given.eval
values = {word.partition("=")[0]: yaml.safe_load(word.partition("=")[2]) for word in given.rest}
picture = values["validation_data.prompt_image"]
for t in range(6):
    out = f"output/demo/{os.path.basename(picture).split('.')[0]}/{t}.gif"
    if t == 0:
        make(values["validation_data.prompt"], picture, values["seed"], out.replace("gif", ".mp4"))
    shutil.copy(CLIPS + "/3.mp4", out)
"""
CONSISTI2V = """
import yaml
given = options("--prompt_config")
extra = dict(word.split("=") for word in sys.argv if re.match("[a-z_]+=", word))
prompts = yaml.safe_load(open(given.prompt_config))
folder = f"{extra['output_dir']}/{extra['output_name']}-2024-01-01T00-00-00"
zipped = zip(prompts["prompts"], prompts["path_to_first_frames"], prompts["seeds"], strict=True)
for index, (prompt, picture, seed) in enumerate(zipped):
    name = "-".join(prompt.replace("/", "").split(" ")[:10]).replace(":", "")
    make(prompt, picture, seed, f"{folder}/sample/{index}-{name}.mp4")
"""
#: Name on the page -> the script that its wrapper calls, the stand-in, and the pictures' size.
STAND_INS: dict[str, tuple[str, str, tuple[int, int]]] = {
    "DynamiCrafter": ("scripts/evaluation/inference.py", FOLDER_SCRIPT, (512, 320)),
    "VideoCrafter1": ("scripts/evaluation/inference.py", FOLDER_SCRIPT, (512, 320)),
    "Cond-Leak": ("scripts/evaluation/inference.py", FOLDER_SCRIPT, (512, 384)),
    "Cinemo": ("pipelines/animation.py", CINEMO, (512, 320)),
    "SEINE": ("sample_scripts/with_mask_sample.py", SEINE, (512, 320)),
    "TI2V-Zero": ("demo_img2vid.py", TI2V_ZERO, (16, 16)),
    "AnimateAnything": ("train.py", ANIMATE_ANYTHING, (16, 16)),
    "ConsistI2V": ("scripts/animate.py", CONSISTI2V, (256, 256)),
}


def template_on_the_page(name: str, folder: Path, repo: Path) -> str:
    """The template of a model, its wrapper saved and its paths put in place."""
    found = re.search(rf'--name {re.escape(name)} [^`]*?--command "(.*?)"', PAGE, re.DOTALL)
    assert found is not None
    template = found[1].replace("\\\n", " ")
    for wrapper, body in WRAPPERS.items():
        if wrapper in template:
            (folder / wrapper).write_text(body, encoding="utf-8")
            template = template.replace(wrapper, shlex.quote(str(folder / wrapper)))
    template = re.sub(r"--repo \S+", f"--repo {shlex.quote(str(repo))}", template)
    return re.sub(r"(?<![\w/.-])(?:envs/\w+/bin/)?python(?= )", shlex.quote(sys.executable),
                  template)


@pytest.mark.parametrize("name", STAND_INS)
def test_a_wrapper_on_the_page_brings_every_video_to_its_job(
    name: str, tmp_path: Path, stock: Path
) -> None:
    path, body, size = STAND_INS[name]
    repo, clips = tmp_path / "repo", tmp_path / "clips"
    for folder in ("configs", "animated_images", str(Path(path).parent)):
        (repo / folder).mkdir(parents=True, exist_ok=True)
    clips.mkdir()
    (repo / path).write_text(f"CLIPS = {str(clips)!r}\n{COMMON}{body}")
    (repo / "configs" / "sample.yaml").write_text(
        "image_size: [320, 512]\nguidance_scale: 7.5 #\nseed:\nrun_time: 0\n"
        "image_prompts: [\n  ['aircraft.jpg', 'aircrafts flying'],\n  ]\n")
    (repo / "configs" / "sample_i2v.yaml").write_text(
        "image_size: [240, 560]\ncfg_scale: 8.0\nseed:\ntext_prompt: []\n")
    (repo / "torch.py").write_text("def manual_seed(number):\n    global seed\n    seed = number\n")
    frames = np.zeros((9, 16, 16, 3), np.uint8)
    for count in range(2, 9):
        write_video(clips / f"{count}.mp4", frames[:count], 8)
    jobs = jobs_of(tmp_path, stock, "the duck dives", "a car: it's fast", "a cat", "the cat jumps")
    jobs = [Job(tmp_path / f"{number}.png", job.prompt, number // 2, job.output)
            for number, job in enumerate(jobs)]
    for number, job in enumerate(jobs):
        write_image(job.image, np.full((16, 16, 3), 50 * number, np.uint8))
    model = CommandModel(template_on_the_page(name, tmp_path, repo), name, logs=tmp_path / "logs")
    assert model.animate(jobs) == [None] * len(jobs)
    for job in jobs:
        assert len(read_video(job.output).frames) == 2 + len(job.prompt) % 7, job.prompt
    seen = [json.loads(line) for line in (clips / "seen.jsonl").read_text().splitlines()]
    assert sorted([sentence, int(seed), *colour] for sentence, _, colour, seed in seen) == sorted(
        [job.prompt, job.seed, *[50 * number] * 3] for number, job in enumerate(jobs))
    assert {tuple(found) for _, found, _, _ in seen} == {size}


def test_every_wrapper_on_the_page_is_tried() -> None:
    used = set(re.findall(r"\b(\w+\.py) \{batch\}", PAGE))
    assert used == set(WRAPPERS)
    assert all(len(body.splitlines()) <= 40 for body in WRAPPERS.values())
