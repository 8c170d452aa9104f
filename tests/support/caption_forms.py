"""The same captioned clips in every form that data sets have."""

from __future__ import annotations

import csv
import json
from pathlib import Path

WANTED = [("b/two.mp4", "the duck swims"), ("one.mp4", "the sun rises")]


def write_jsonl(path: Path, *rows: object) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def as_videofolder(folder: Path) -> Path:
    write_jsonl(folder / "metadata.jsonl", *({"file_name": n, "text": t} for n, t in WANTED))
    return folder


def as_csv(folder: Path) -> Path:
    with (folder / "metadata.csv").open("w", newline="", encoding="utf-8-sig") as file:
        writer = csv.writer(file)
        writer.writerows([("file_name", "text"), *WANTED])
    return folder


def as_table(folder: Path) -> Path:
    rows = ({"video": n, "caption": t, "fps": 8} for n, t in WANTED)
    return write_jsonl(folder / "mine.jsonl", *rows)


def as_text_beside(folder: Path) -> Path:
    for name, text in WANTED:
        (folder / name).with_suffix(".txt").write_text(text + "\n")
    return folder


def as_written(folder: Path) -> Path:
    rows = [json.dumps({"file_name": name, "text": text}) for name, text in WANTED]
    (folder / "metadata.jsonl").write_text("\n".join(rows))
    return folder


def as_musubi(folder: Path) -> Path:
    """It takes absolute paths."""
    rows = ({"video_path": str(folder.resolve() / n), "caption": t} for n, t in WANTED)
    return write_jsonl(folder / "dataset.jsonl", *rows)


def as_musubi_toml(folder: Path) -> Path:
    as_musubi(folder)
    sets = (f'[[datasets]]\nvideo_jsonl_file = "dataset.jsonl"\ntarget_frames = [{n}]\n'
            for n in (25, 49))  # fmt: skip
    (folder / "dataset.toml").write_text("[general]\nresolution = [960, 544]\n" + "".join(sets))
    return folder / "dataset.toml"


def as_diffsynth(folder: Path) -> Path:
    with (folder / "data.csv").open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([("video", "prompt"), *WANTED])
    return folder


def as_spreadsheet(folder: Path) -> Path:
    """What spreadsheets write where the comma is the decimal point."""
    with (folder / "data.csv").open("w", newline="", encoding="utf-8-sig") as file:
        csv.writer(file, delimiter=";").writerows([("video", "prompt"), *WANTED])
    return folder


def as_tabs(folder: Path) -> Path:
    with (folder / "metadata.csv").open("w", newline="", encoding="utf-8") as file:
        csv.writer(file, delimiter="\t").writerows([("file_name", "text"), *WANTED])
    return folder


def as_diffsynth_json(folder: Path) -> Path:
    rows = [{"video": n, "prompt": t, "input_audio": n} for n, t in WANTED]
    (folder / "metadata.json").write_text(json.dumps(rows))
    return folder


def as_ltx(folder: Path) -> Path:
    rows = [{"caption": t, "media_path": n} for n, t in WANTED]
    (folder / "dataset.json").write_text(json.dumps(rows, indent=2))
    (folder / "other.json").write_text(json.dumps({"steps": 3}))
    (folder / "scores.csv").write_text("file_name,score\none.mp4,3\n")
    return folder


def as_finetrainers(folder: Path) -> Path:
    (folder / "videos.txt").write_text("".join(f"{n}\n" for n, _ in WANTED))
    (folder / "prompt.txt").write_text("".join(f"{t}\n" for _, t in WANTED))
    return folder


FORMS = {
    as_videofolder: "Hugging Face videofolder (metadata.jsonl)",
    as_csv: "Hugging Face videofolder (metadata.csv)",
    as_table: "DiffSynth-Studio (mine.jsonl)",
    as_text_beside: "text files beside",
    as_written: "Hugging Face videofolder (metadata.jsonl)",
    as_musubi: "musubi-tuner (dataset.jsonl)",
    as_diffsynth: "DiffSynth-Studio (data.csv)",
    as_spreadsheet: "DiffSynth-Studio (data.csv)",
    as_tabs: "Hugging Face videofolder (metadata.csv)",
    as_diffsynth_json: "DiffSynth-Studio (metadata.json)",
    as_ltx: "LTX trainer (dataset.json)",
    as_finetrainers: "finetrainers' two lists",
}
