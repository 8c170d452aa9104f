"""`motifocal scenes probe`: measure in one forward pass per pair how often a network follows."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from motifocal.cli.options.declare import FOLDER, output_option
from motifocal.cli.options.device import chosen_device, device_option
from motifocal.cli.options.scenes import SIZE, source_folder, variant_of, variant_options
from motifocal.cli.output.locking import lock_output
from motifocal.cli.output.progress import announce, progress, quiet_option

if TYPE_CHECKING:
    from motifocal.scenes.evaluation.probe_table import ProbeRow


@click.command("probe", epilog="""
\b
Examples:
  motifocal scenes probe bundled -o probe
  motifocal scenes probe run/ --text base/ -o probe --pairs 80
  motifocal scenes probe run/kept/step-00000400 --text base/ -o probe-400
""")
@click.argument("source")
@output_option("Folder of probe.csv, report.md.")
@click.option("--text", type=FOLDER, help="Model folder with vae/, text_encoder/ and tokenizer/.  "
              "[default: SOURCE, where it is a whole model]")
@click.option("--pairs", type=click.IntRange(min=1), default=320, show_default=True,
              help="How many images with a prompt.")
@click.option("--size", type=SIZE, help="Side of the images, pixels. [default: the model's own, "
              "that of the clips that a run was trained on, else 64]")
@variant_options
@click.option("--batch", type=click.IntRange(min=1), default=16, show_default=True,
              help="Pairs in one forward pass.")
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True,
              help="Seed of the noise, which is the same for all networks.")
@device_option()
@quiet_option
def probe(source: str, output: Path, text: Path | None, pairs: int, size: int | None,
          batch: int, seed: int, device: str, **options: Any) -> None:
    """Measure by one forward pass a pair whether a network follows its prompts.

    SOURCE is `bundled`, a run of `motifocal train` (its averaged weights), weights kept by
    `train --keep-every`, or a model folder. At t = 999 the input is pure noise, so the predicted
    clean latents are the network's mean guess without guidance. Printed per scenario and kind of
    prompt: the share that follows, the share that stands still, and the margin, with 95 % intervals
    over images. `scenes eval` samples videos instead; docs/proof.md says how well both agree.
    """
    from motifocal.training.folders import check_denoiser, check_parts

    folder = source_folder(source)
    base = text or folder
    check_denoiser(folder)
    check_parts(base, "vae", "text_encoder", "tokenizer")
    lock_output(output)
    announce("loading")
    import torch
    from torch import nn

    from motifocal.models.folder import load_image_encoder
    from motifocal.scenes.evaluation.evaluate import eval_pairs
    from motifocal.training.measurement.probe import encode_probe_set
    from motifocal.training.measurement.probe import probe as measure
    from motifocal.training.measurement.probe_curve import table_rows
    from motifocal.training.run_folder import load_denoiser, load_text, load_vae

    unet, schedule = load_denoiser(folder)
    features, vae = load_text(base), load_vae(base)
    place = torch.device(chosen_device(device))
    wants_tokens = unet.unet_config.takes_encoded_tokens
    tower = load_image_encoder(base, torch.float32) if wants_tokens else None
    for model in filter(None, (unet, features.text_encoder, vae, tower)):
        nn.Module.to(model, place)
    chosen = eval_pairs(pairs, size or own_size(folder), variant_of(options))
    with progress("encoding true clips", len({pair.image_id for pair in chosen})) as bar:
        probe_set = encode_probe_set(chosen, vae, bar.advance, unet.unet_config, tower)
    with progress("probing", len(chosen)) as bar:
        scores = measure(unet, schedule, features, probe_set, batch=batch, seed=seed,
                         progress=bar.advance)
    _write(output, folder.name, table_rows(0, probe_set, scores))


def own_size(folder: Path) -> int:
    """The side of the images that a model or a run is for; 64 where its folder does not say."""
    from motifocal.models.folder_files import INDEX, read_index
    from motifocal.training.run_folder import load_clip_size

    if (folder / INDEX).exists():
        return int(read_index(folder).get("sample_height", 64))
    # Weights of --keep-every lie in kept/ of their run.
    kept = folder.resolve().parent.name == "kept"
    clip = load_clip_size(folder.resolve().parents[1] if kept else folder)
    return 64 if clip is None else clip[1]


def _write(output: Path, name: str, rows: Sequence[ProbeRow]) -> None:
    """Write the table and the report of a network, and print the report and both paths."""
    from motifocal.files.atomic import write_text
    from motifocal.scenes.evaluation.probe_report import to_markdown
    from motifocal.scenes.evaluation.probe_table import PROBE_TABLE, add_to_table

    output.mkdir(parents=True, exist_ok=True)
    (output / PROBE_TABLE).unlink(missing_ok=True)
    add_to_table(output / PROBE_TABLE, rows)
    report = to_markdown(name, rows)
    write_text(output / "report.md", report)
    click.echo(report)
    for file in (PROBE_TABLE, "report.md"):
        click.echo(output / file)
