"""`motifocal scenes probe` and `scenes compare`: measure networks, and compare arms of runs."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from motifocal.commands.device_option import chosen_device, device_option
from motifocal.commands.progress import announce, progress, quiet_option
from motifocal.commands.variant_options import variant_of, variant_options

if TYPE_CHECKING:
    from motifocal.scenes.probe_table import ProbeRow

FOLDER = click.Path(path_type=Path, exists=True, file_okay=False)
BUNDLED = "bundled"


@click.command("probe", epilog="""
\b
Examples:
  motifocal scenes probe bundled -o probe
  motifocal scenes probe run/ --text base/ -o probe --pairs 80
  motifocal scenes probe run/kept/step-00000400 --text base/ -o probe-400
""")
@click.argument("source")
@click.option("-o", "--output", type=click.Path(path_type=Path, file_okay=False), required=True,
              help="Folder of probe.csv, report.md.")
@click.option("--text", type=FOLDER, help="Model folder with vae/, text_encoder/ and tokenizer/.  "
              "[default: SOURCE, where it is a whole model]")
@click.option("--pairs", type=click.IntRange(min=1), default=320, show_default=True,
              help="How many images with a prompt.")
@click.option("--size", type=click.IntRange(min=16), default=64, show_default=True,
              help="Side of the images, pixels.")
@variant_options
@click.option("--batch", type=click.IntRange(min=1), default=16, show_default=True,
              help="Pairs in one forward pass.")
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True,
              help="Of the noise, which is the same for all networks.")
@device_option()
@quiet_option
def probe(source: str, output: Path, text: Path | None, pairs: int, size: int, batch: int,
          seed: int, device: str, **options: Any) -> None:
    """Measure by one forward pass a pair whether a network follows its prompts.

    SOURCE is `bundled`, a run of `motifocal train` (its averaged weights), weights kept by
    `train --keep-every`, or a model folder. At t = 999 the input is pure noise, so the predicted
    clean latents are the network's mean guess without guidance. Printed per scenario and kind of
    prompt: the share that follows, the share that stands still, and the margin, with 95 % intervals
    over images. `scenes eval` samples videos instead; docs/proof.md says how well both agree.
    """
    from motifocal.training.folders import check_denoiser, check_parts

    folder = _folder(source)
    base = text or folder
    check_denoiser(folder)
    check_parts(base, "vae", "text_encoder", "tokenizer")
    announce("loading")
    import torch

    from motifocal.scenes.evaluate import eval_pairs
    from motifocal.scenes.probe_report import to_markdown
    from motifocal.scenes.probe_table import PROBE_TABLE, add_to_table
    from motifocal.training.base import load_denoiser, load_text, load_vae, move
    from motifocal.training.probe import encode_probe_set
    from motifocal.training.probe import probe as measure
    from motifocal.training.probe_curve import table_rows

    unet, schedule = load_denoiser(folder)
    features, vae = load_text(base), load_vae(base)
    place = torch.device(chosen_device(device))
    for model in (unet, features.tower, vae):
        move(model, place)
    wanted = eval_pairs(pairs, size, variant_of(options))
    with progress("encoding true clips", len({pair.image_id for pair in wanted})) as bar:
        probe_set = encode_probe_set(wanted, vae, bar.advance)
    with progress("probing", len(wanted)) as bar:
        scores = measure(unet, schedule, features, probe_set, batch=batch, seed=seed,
                         progress=bar.advance)
    output.mkdir(parents=True, exist_ok=True)
    rows = table_rows(0, probe_set, scores)
    (output / PROBE_TABLE).unlink(missing_ok=True)
    add_to_table(output / PROBE_TABLE, rows)
    _write_report(output / "report.md", folder.name, rows)
    click.echo(to_markdown(folder.name, rows))
    for file in (PROBE_TABLE, "report.md"):
        click.echo(output / file)


def _folder(source: str) -> Path:
    if source == BUNDLED:
        from motifocal.pipeline import BUNDLED as FOLDER_OF_BUNDLED

        return FOLDER_OF_BUNDLED
    if not Path(source).is_dir():
        raise click.BadParameter(f"{source} is no folder", param_hint="SOURCE")
    return Path(source)


def _write_report(path: Path, title: str, rows: list[ProbeRow]) -> None:
    from motifocal.scenes.export import write_text
    from motifocal.scenes.probe_report import to_markdown

    write_text(path, to_markdown(title, rows))


@click.command("compare", epilog="""
\b
Examples:
  motifocal scenes compare "lambda 0=plain/" "lambda 1=run/" -o compare
  motifocal scenes compare "lambda 0=a0/,a1/,a2/" "lambda 1=b0/,b1/,b2/" -o compare
  motifocal scenes compare "lambda 0=eval-a/" "lambda 1=eval-b/" -o compare --scenario bulbs
""")
@click.argument("arms", nargs=-1, required=True, metavar="NAME=PLACE,PLACE...")
@click.option("-o", "--output", type=click.Path(path_type=Path, file_okay=False), required=True,
              help="Folder of compare.md, compare.csv, curves.png.")
@click.option("--scenario", "scenarios", multiple=True, help="Only pairs of this scenario; "
              "repeatable.")
@click.option("--kind", "kinds", multiple=True, help="Only prompts of this kind; repeatable.")
def compare(arms: tuple[str, ...], output: Path, scenarios: tuple[str, ...],
            kinds: tuple[str, ...]) -> None:
    """Compare arms of an experiment pair by pair, seed by seed; the first is the baseline.

    A PLACE is a run with a learning curve (`train --probe-every`), a probe.csv or probe.csv.gz, the
    folder that `scenes probe` wrote, or a report of `scenes eval`: one for each seed, in the same
    order in every arm. Written are differences with 95 % intervals over seeds and images, the steps
    needed until 25, 50 and 75 % follow, and the curves as a picture.
    """
    from motifocal.scenes.arms import align, read_arm
    from motifocal.scenes.comparison import compare as compare_arms
    from motifocal.scenes.comparison import draw_curves, to_csv, to_markdown
    from motifocal.scenes.export import write_text

    read = []
    for arm in arms:
        name, equals, places = arm.rpartition("=")
        if not (name and equals and places):
            raise click.BadParameter(f"should be NAME=PLACE,PLACE..., got {arm!r}",
                                     param_hint="ARMS")
        read.append(read_arm(name, [Path(place) for place in places.split(",")]))
    comparison = compare_arms(align(read, scenarios, kinds))
    output.mkdir(parents=True, exist_ok=True)
    text = to_markdown(comparison)
    write_text(output / "compare.md", text)
    write_text(output / "compare.csv", to_csv(comparison))
    click.echo(text)
    files = ["compare.md", "compare.csv"]
    if len(comparison.aligned.steps) > 1:
        draw_curves(output / "curves.png", comparison)
        files.append("curves.png")
    for file in files:
        click.echo(output / file)
