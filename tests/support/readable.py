"""Every kind of file that the project reads: how a small whole one is made, and who reads it.

A kind's whole files lie in a folder; a damaged copy of the folder differs in one file.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from readable_kind import Kind
from readable_media import image_kind, make_heatmap, read_heatmap, video_kind

CAPTIONS = (("a.mp4", "the duck swims"), ("b.mp4", 'a "red" balloon, rising'), ("c.mp4", "él sube"))


def _captions(name: str) -> Kind:
    def make(folder: Path) -> None:
        for video, _ in CAPTIONS:
            (folder / video).write_bytes(b"")
        if name.endswith(".csv"):
            lines = ["file_name,text"]
            lines += ['{},"{}"'.format(video, text.replace('"', '""')) for video, text in CAPTIONS]
        elif name.endswith(".jsonl"):
            lines = [json.dumps({"file_name": video, "text": text}) for video, text in CAPTIONS]
        else:
            lines = [json.dumps([{"media_path": v, "caption": t} for v, t in CAPTIONS])]
        (folder / name).write_text("\n".join(lines) + "\n", encoding="utf-8")

    def read(folder: Path) -> None:
        from motifocal.data.captions import read_captions

        read_captions(folder if name.startswith("metadata") else folder / name)

    return Kind(make, read, (name,))


def _make_shards(folder: Path) -> None:
    from tiny import tiny_shards

    tiny_shards(folder, clips=6)


def _make_stretches(folder: Path) -> None:
    from tiny import tiny_vae

    from motifocal.data.prepare import PrepareSettings, prepare
    from motifocal.data.sources import SceneClips
    from motifocal.data.stretches import Draw
    from motifocal.loss.latent_grid import LatentGeometry
    from motifocal.motion.heatmap import HeatmapSettings

    settings = PrepareSettings(HeatmapSettings(), LatentGeometry(8, 1), 4, 16, draw=Draw(3, 2))
    list(prepare(SceneClips(6, "train", 16, 6, 0), folder, tiny_vae(), settings, described={},
                 workers=0))


def _make_animate_bench(folder: Path) -> None:
    (folder / "configs").mkdir()
    (folder / "img" / "film").mkdir(parents=True)
    for number in range(2):
        (folder / "img" / "film" / f"{number}.png").write_bytes(b"")
    prompts = "".join(f"- - smiling {number}\n  - 'crying {number}'\n" for number in range(2))
    (folder / "configs" / "film.yaml").write_text(f"base: a.yaml\nprompts:\n{prompts}")


def _read_animate_bench(folder: Path) -> None:
    from motifocal.bench.pairs import read_benchmark

    read_benchmark(folder, own_pairs=True)


def _make_omit(folder: Path) -> None:
    samples = [{"id": f"s{k}", "image-path": f"a/s{k}.png", "prompt": f"cat {k} appears",
                "main-category": "addition",
                "questions": [{"question": "Is there a cat?", "expected_answer": "yes"}]}
               for k in range(3)]
    (folder / "meta.json").write_text(json.dumps(samples))


def _read_omit(folder: Path) -> None:
    from motifocal.bench.judge.question_table import questions_of_benchmark
    from motifocal.bench.pairs import read_benchmark

    questions_of_benchmark(folder, read_benchmark(folder, own_pairs=True).pairs)


def _make_comp(folder: Path) -> None:
    (folder / "prompts").mkdir()
    (folder / "first_frames").mkdir()
    (folder / "prompts" / "motion.txt").write_text("the car turns left\nit stops\n")


def _make_questions(folder: Path) -> None:
    (folder / "questions.csv").write_text(
        "image_id,prompt,kind,question,expected\na,it moves,own,Is it red?,no\n"
        "b,it stops,,Is it blue?,\n")


def _read_questions(folder: Path) -> None:
    from motifocal.bench.judge.question_table import read_questions
    from motifocal.bench.pairs import Pair

    read_questions(folder / "questions.csv", [Pair("", "a", "it moves"), Pair("", "b", "it stops")])


def _make_judge(folder: Path) -> None:
    video = {"model": "m", "scenario": "s", "image_id": "a", "prompt": "it moves", "seed": 0,
             "score": 0.5, "failure": None}
    (folder / "scores.json").write_text(json.dumps(
        {"kind": "motifocal judge", "judge": "J", "verdict": "", "marks": [], "videos": [video]}))
    (folder / "answers.jsonl").write_text(
        json.dumps({"key": "k", "probability": 0.5, "mass": 1.0}) + "\n")


def _read_judge(folder: Path) -> None:
    from motifocal.bench.judge.asking import AnswerCache
    from motifocal.study.stats.judge_votes import read_judge

    AnswerCache(folder / "answers.jsonl")
    read_judge(folder / "scores.json")


def _read_shards(folder: Path) -> None:
    from motifocal.data.shards import Shards

    shards = Shards(folder)
    shards.moving_fractions()
    assert shards.clip_size
    shards.batch(list(range(len(shards))))


def _table(name: str) -> Kind:
    def make(folder: Path) -> None:
        from tiny_bench import write_benchmark

        write_benchmark(folder / "bench")
        rows = [{"image_id": f"picture_{n}", "prompt": f"the ball {n} rises", "scenario": "ball"}
                for n in range(4)]
        if name.endswith(".json"):
            (folder / "bench" / "pairs.csv").unlink()
            (folder / "bench" / name).write_text(json.dumps(rows))
        if name.endswith(".jsonl"):
            (folder / "bench" / "pairs.csv").unlink()
            (folder / "bench" / name).write_text("".join(json.dumps(row) + "\n" for row in rows))

    def read(folder: Path) -> None:
        from motifocal.bench.pairs import read_benchmark

        read_benchmark(folder / "bench", own_pairs=True)

    return Kind(make, read, (f"bench/{name}",))


def _make_results(folder: Path) -> None:
    from tiny_study import tiny_results

    tiny_results(folder)


def _read_results(folder: Path) -> None:
    from motifocal.bench.results import manifest_lines, open_results

    open_results(folder)
    list(manifest_lines(folder))


def _make_checkpoint(folder: Path) -> None:
    import torch

    from motifocal.training.checkpoint import save_checkpoint

    state = {"unet": {"weight": torch.zeros(4, 8)}, "optimizer": {"steps": [1, 2], "rate": 1e-3}}
    save_checkpoint(folder, 3, state)


def _read_checkpoint(folder: Path) -> None:
    from motifocal.training.checkpoint import load_checkpoint

    load_checkpoint(folder)


def _tensors(name: str) -> Kind:
    def make(folder: Path) -> None:
        import torch
        from safetensors.torch import save_file

        tensors = {"a.weight": torch.zeros(4, 8), "a.bias": torch.arange(4.0)}
        if name.endswith(".safetensors"):
            save_file(tensors, folder / name, {"format": "pt"})
        else:
            torch.save(tensors, folder / name)

    def read(folder: Path) -> None:
        from motifocal.files.tensor_file import read_tensors

        read_tensors(folder / name)

    return Kind(make, read, archive=name.endswith(".pt"))


def _make_model(folder: Path) -> None:
    from tiny import tiny_base

    tiny_base(folder)


def _read_model(folder: Path) -> None:
    import torch

    from motifocal.models.folder import load_autoencoder, load_text_encoder, load_tokenizer

    load_autoencoder(folder, torch.float32)
    load_text_encoder(folder, torch.float32)
    load_tokenizer(folder)


def _make_answers(folder: Path) -> None:
    from motifocal.study.offline.folder import checksum
    from motifocal.study.votes import Vote, write_votes

    answer = {"choice": "left", "reasons": ["object_motion"], "milliseconds": 4000, "loops": 2,
              "hidden_milliseconds": 0}
    held = {"format": "motifocal-answers-1", "protocol": "0" * 64, "seed": 0, "participant": 1,
            "worker": "a" * 32, "answers": [{"place": place, **answer} for place in range(3)]}
    (folder / "answers.json").write_text(json.dumps({**held, "checksum": checksum(held)}))
    votes = [Vote(model_a="a", model_b="b", winner="model_a", pair=f"p{n}", image_id="i",
                  left="model_a", worker="0" * 32) for n in range(3)]
    write_votes(folder / "votes.jsonl", votes)


def _read_answers(folder: Path) -> None:
    from motifocal.study.offline.folder import read_answers
    from motifocal.study.votes import read_votes

    read_votes(folder / "votes.jsonl")
    read_answers(folder / "answers.json")


KINDS: Mapping[str, Kind] = {
    **{name: video_kind(f"clip.{name}") for name in ("mp4", "gif")},
    "webm": video_kind("clip.webm", "libvpx-vp9"), "avi": video_kind("clip.avi", "mpeg4"),
    "mov": video_kind("clip.mov", "libx264"), "mkv": video_kind("clip.mkv", "libx264"),
    **{name: image_kind(f"picture.{name}") for name in ("png", "jpg", "webp")},
    "npz": Kind(make_heatmap, read_heatmap, archive=True),
    "captions csv": _captions("metadata.csv"), "captions jsonl": _captions("metadata.jsonl"),
    "captions json": _captions("captions.json"),
    "shards": Kind(_make_shards, _read_shards), "stretches": Kind(_make_stretches, _read_shards),
    "animate bench": Kind(_make_animate_bench, _read_animate_bench, ("configs/*.yaml",)),
    "pairs csv": _table("pairs.csv"), "pairs json": _table("pairs.json"),
    "pairs jsonl": _table("pairs.jsonl"),
    "omit-i2v": Kind(_make_omit, _read_omit), "questions": Kind(_make_questions, _read_questions),
    "i2v-compbench": Kind(_make_comp, _read_animate_bench, ("prompts/*.txt",)),
    "judge": Kind(_make_judge, _read_judge),
    "results": Kind(_make_results, _read_results, ("*.json", "*.csv", "*.jsonl")),
    "checkpoint": Kind(_make_checkpoint, _read_checkpoint, archive=True),
    "safetensors": _tensors("weights.safetensors"), "pt": _tensors("weights.pt"),
    "model folder": Kind(_make_model, _read_model, ("*/*.json", "*/*.safetensors")),
    "answers": Kind(_make_answers, _read_answers),
}  # fmt: skip
