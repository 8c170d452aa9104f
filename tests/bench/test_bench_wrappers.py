"""The wrappers in docs/models.md, against stand-ins for the models' own scripts.

The stand-ins read and name files as those scripts do; a video has as many frames as its prompt asks
for.
"""

from __future__ import annotations

import json
import re
import shlex
import sys
from pathlib import Path

import numpy as np
import pytest
from command_programs import jobs_of
from PIL import Image

from motifocal.generate.command_model import CommandModel
from motifocal.generate.model import Job
from motifocal.media.video import read_image, read_video, write_video

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


def upside_down(path: Path, grey: int) -> None:
    """Save an image that, turned as its EXIF says and put on white, is grey on its left."""
    pixels = np.zeros((16, 16, 4), np.uint8)
    pixels[:, :8] = 255
    pixels[:, 8:, 3] = 255 - grey  # black, which lets so much of the white through
    turned = Image.Exif()
    turned[0x0112] = 3  # by half a turn
    Image.fromarray(pixels).save(path, exif=turned)
    assert (read_image(path)[:, :8] == grey).all()


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
        upside_down(job.image, 50 * number)
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
