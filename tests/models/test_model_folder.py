"""A model folder runs no code of its own, and a damaged or foreign one is a ValueError."""

from __future__ import annotations

import ast
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from click.testing import CliRunner
from project_files import ROOT, python_files
from safetensors.torch import load_file, save_file
from tiny import tiny_shards
from tiny_diffusers import save_tiny
from tiny_model import tiny_folder
from transformers import CLIPTextConfig

from motifocal.bench.score.learned import ClipAlignment
from motifocal.cli import cli
from motifocal.generate.model import Sampling
from motifocal.generate.open import open_model
from motifocal.models.folder_files import refuse_code
from motifocal.models.pipeline import TI2VPipeline
from motifocal.models.text import load_tokenizer
from motifocal.models.videocrafter2 import load_released
from motifocal.training.folders import text_width_of, unet_config_of
from motifocal.training.run_folder import load_text
from motifocal.training.run_folder import load_vae as load_training_vae

LOADERS = {"from_pretrained", "from_config", "from_single_file"}
#: Our own loader takes no such argument: it passes False to every part.
OWN = {"TI2VPipeline", "cls"}


def calls_that_may_run_code(source: str) -> list[int]:
    """The lines of calls that load a model or a configuration without trust_remote_code=False."""
    lines = []
    for call in (node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Call)):
        function = call.func
        if not isinstance(function, ast.Attribute) or function.attr not in LOADERS:
            continue
        if isinstance(function.value, ast.Name) and function.value.id in OWN:
            continue
        given = {word.arg: word.value for word in call.keywords}
        value = given.get("trust_remote_code")
        if not (isinstance(value, ast.Constant) and value.value is False):
            lines.append(call.lineno)
    return lines


def test_every_loader_in_the_tree_refuses_code_of_the_model() -> None:
    files = python_files("motifocal", "scripts", "examples", "benchmarks", "tests", "runs")
    sources = {path: (ROOT / path).read_text(encoding="utf-8") for path in files}
    assert sum(".from_pretrained(" in source for source in sources.values()) > 10
    missing = [
        f"{path}:{line}" for path, source in sources.items()
        for line in calls_that_may_run_code(source)
    ]  # fmt: skip
    assert missing == []


def test_a_loader_that_says_nothing_of_code_is_noticed() -> None:
    source = "A.from_pretrained(x)\nA.from_config(x, trust_remote_code=True)\n"
    assert calls_that_may_run_code(source + "a.b.from_pretrained(x, **options)\n") == [1, 2, 3]
    assert calls_that_may_run_code("A.from_pretrained(x, trust_remote_code=False)") == []


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tiny_folder(tmp_path / "model")


@pytest.fixture
def agreeing(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Somebody who answers "y" to every question; the questions."""
    questions: list[str] = []

    def answer(question: str = "") -> str:
        questions.append(question)
        return "y"

    monkeypatch.setattr("builtins.input", answer)
    return questions


def add_code(part: Path, marker: Path) -> None:
    """Python files in the part that write `marker` when they are run, named where they can be."""
    classes = "".join(f"class {name}:\n    pass\n" for name in ("Odd", "OddConfig"))
    (part / "odd.py").write_text(f"open({str(marker)!r}, 'w').close()\n{classes}")
    (part / "custom_generate").mkdir()
    shutil.copy(part / "odd.py", part / "custom_generate" / "generate.py")
    name_code(part)


def name_code(part: Path) -> None:
    """Configurations that name those files, for a class that transformers does not know."""
    names = {"AutoTokenizer": [None, "odd.Odd"], "AutoConfig": "odd.OddConfig",
             "AutoModel": "odd.Odd"}  # fmt: skip
    for name in ("config.json", "tokenizer_config.json"):
        path = part / name
        kept = json.loads(path.read_text()) if path.exists() else {}
        kept |= {"auto_map": names, "tokenizer_class": "Odd"}
        path.write_text(json.dumps(kept))


READERS: dict[str, Callable[[Path], Any]] = {
    "animate": TI2VPipeline.from_pretrained,
    "train": load_text,
    "bench": lambda folder: open_model(str(folder), Sampling()),
}


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize("part", ["tokenizer", "text_encoder"])
def test_a_model_folder_runs_no_code(
    folder: Path, part: str, reader: str, agreeing: list[str], tmp_path: Path
) -> None:
    add_code(folder / part, tmp_path / "ran")
    with pytest.raises(ValueError, match=r"should hold no code; none of it is run"):
        READERS[reader](folder)
    (folder / part / "odd.py").unlink()
    shutil.rmtree(folder / part / "custom_generate")
    with pytest.raises(ValueError, match="auto_map names code, which is not run here"):
        READERS[reader](folder)
    assert agreeing == []
    assert not (tmp_path / "ran").exists()


def test_a_diffusers_folder_runs_no_code(agreeing: list[str], tmp_path: Path) -> None:
    folder = save_tiny("ltx", tmp_path / "ltx")
    index = json.loads((folder / "model_index.json").read_text())
    index["tokenizer"] = ["transformers", "AutoTokenizer"]
    (folder / "model_index.json").write_text(json.dumps(index))
    add_code(folder / "tokenizer", tmp_path / "ran")
    with pytest.raises(ValueError, match=r"tokenizer.*should hold no code"):
        open_model(str(folder), Sampling())
    (folder / "tokenizer" / "odd.py").unlink()
    shutil.rmtree(folder / "tokenizer" / "custom_generate")
    with pytest.raises(ValueError, match=r"tokenizer.*auto_map names code"):
        open_model(str(folder), Sampling())
    assert agreeing == []
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("config", [
    {"attn_implementation": "somebody/kernel"}, {"_attn_implementation": {"": "somebody/kernel"}},
    {"text_config": {"attn_implementation": "somebody/kernel@main:function"}},
])  # fmt: skip
def test_a_configuration_that_names_a_kernel_on_the_hub_is_refused(
    config: dict[str, Any], folder: Path
) -> None:
    path = folder / "text_encoder" / "config.json"
    kept = json.loads(path.read_text())
    path.write_text(json.dumps(kept | config))
    with pytest.raises(ValueError, match="attn_implementation names code, which is not run here"):
        TI2VPipeline.from_pretrained(folder)
    path.write_text(json.dumps(kept | {"attn_implementation": "sdpa"}))
    TI2VPipeline.from_pretrained(folder)


@pytest.mark.parametrize("text", [
    r'{"attn_implementatio\u006e": "somebody/kernel"}', r'{"auto\u005Fmap": {}}',
    '{"parts": [{"auto_map": {}}]}', '{"a": ' * 400 + '{"auto_map": {}}' + "}" * 400,
])  # fmt: skip
def test_code_is_found_however_its_key_is_spelled(text: str, tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(text)
    with pytest.raises(ValueError, match=r"(auto_map|attn_implementation) names code"):
        refuse_code(tmp_path)


def test_a_clip_or_tokenizer_folder_runs_no_code(
    folder: Path, agreeing: list[str], tmp_path: Path
) -> None:
    add_code(folder / "tokenizer", tmp_path / "ran")
    (folder / "tokenizer" / "config.json").write_text(
        json.dumps({"model_type": "odd", "auto_map": {"AutoConfig": "odd.OddConfig"}})
    )
    with pytest.raises(ValueError, match="should hold one of clip"):
        ClipAlignment(str(folder / "tokenizer"))
    with pytest.raises(ValueError, match="tokenizer should have"):
        load_tokenizer(folder / "tokenizer", CLIPTextConfig())
    assert agreeing == []
    assert not (tmp_path / "ran").exists()


SPOILED: dict[str, Callable[[bytes], bytes]] = {
    "empty": lambda content: b"",
    "bytes": lambda content: bytes(range(256)) * 4,
    "half": lambda content: content[: len(content) // 2],
    "object": lambda content: b"{}",
    "list": lambda content: b"[]",
    "deep": lambda content: b"[" * 100_000,
    "wrong type": lambda content: b'{"hidden_size": "x", "block_out_channels": 3, "version": 1}',
    "pickle": lambda content: b"\x80\x04cos\nsystem\n.",
}
FILES = (
    "model_index.json", "scheduler/scheduler_config.json", "text_encoder/config.json",
    "text_encoder/model.safetensors", "tokenizer/tokenizer.json", "tokenizer/tokenizer_config.json",
    "unet/config.json", "unet/diffusion_pytorch_model.safetensors", "vae/config.json",
    "vae/diffusion_pytorch_model.safetensors",
)  # fmt: skip
#: Without it the tokenizer is told by tokenizer.json alone.
SPARE = {("tokenizer/tokenizer_config.json", kind) for kind in ("object", "wrong type")}


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_a_damaged_file_of_a_model_folder_is_a_value_error_that_names_it(folder: Path) -> None:
    for file in FILES:
        path = folder / file
        content = path.read_bytes()
        for kind, spoil in SPOILED.items():
            if (file, kind) in SPARE:
                continue
            path.write_bytes(spoil(content))
            with pytest.raises(ValueError, match=str(folder)) as error:
                TI2VPipeline.from_pretrained(folder)
            assert file.partition("/")[0] in str(error.value), (file, kind)
        path.write_bytes(content)
    TI2VPipeline.from_pretrained(folder)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("part", ["text_encoder", "unet", "vae"])
def test_weights_that_lack_a_tensor_are_refused_rather_than_drawn(folder: Path, part: str) -> None:
    (path,) = (folder / part).glob("*.safetensors")
    tensors = load_file(path)
    del tensors[min(tensors)]
    save_file(tensors, path, metadata={"format": "pt"})
    with pytest.raises(ValueError, match=f"{part} cannot be loaded"):
        TI2VPipeline.from_pretrained(folder)


def test_training_on_a_diffusers_folder_of_another_model_says_so(tmp_path: Path) -> None:
    other = save_tiny("ltx", tmp_path / "ltx")
    with pytest.raises(ValueError, match=r"model_type 'clip_text_model', got 't5': it is of"):
        text_width_of(other)
    with pytest.raises(ValueError, match=r"_class_name 'AutoencoderKL', got 'AutoencoderKLLTX"):
        load_training_vae(other)
    with pytest.raises(ValueError, match=r"model_type 'clip_text_model', got 't5'"):
        load_text(other)
    shutil.copytree(other / "transformer", other / "unet")
    with pytest.raises(ValueError, match=r"_class_name 'TI2VUNet', got 'LTXVideoTransformer3D"):
        unet_config_of(other)


@pytest.mark.parametrize("command", ["train", "prepare"])
def test_a_command_given_a_model_of_diffusers_refuses_options_of_our_own_models(
    command: str, tmp_path: Path
) -> None:
    other = save_tiny("ltx", tmp_path / "ltx")
    if command == "train":
        tiny_shards(tmp_path / "shards", clips=1)
        words = ["train", tmp_path / "shards", "--dry-run", "--preset", "scenes"]
    else:
        words = ["prepare", "scenes", "--size", "64", "--clips", "1"]
    words += ["--model", other, "-o", tmp_path / "out"]
    result = CliRunner().invoke(cli, [str(word) for word in words])
    assert result.exit_code == 2
    option = {"train": "--preset", "prepare": "--clips"}[command]
    assert f"{option} is not for models of diffusers" in " ".join(result.output.split())


@pytest.mark.parametrize("name", ["garbage.ckpt", "garbage.safetensors", "list.ckpt", "other.ckpt"])
def test_a_checkpoint_that_is_none_is_a_value_error(name: str, tmp_path: Path) -> None:
    file = tmp_path / name
    if name.startswith("garbage"):
        file.write_bytes(bytes(range(256)) * 4)
    else:
        torch.save([1, 2] if name.startswith("list") else {"state_dict": {"a": "b"}}, file)
    with pytest.raises(ValueError, match=name):
        load_released(file)
