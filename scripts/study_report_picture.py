"""Simulated votes between models that do not exist become the report's figure in the docs."""

from __future__ import annotations

import shutil
from pathlib import Path
from tempfile import TemporaryDirectory

import click

from motifocal.study.report.files import write_files
from motifocal.study.report.report import make_report
from motifocal.study.report.source import read_source
from motifocal.study.stats.simulation import simulate
from motifocal.study.stats.simulation_design import Design, Truth
from motifocal.study.votes import write_votes

ROOT = Path(__file__).parents[1]
SHARES = {"Alder": 0.72, "Birch": 0.63, "Cedar": 0.52}
SEED = 3


@click.command()
@click.option("-o", "--output", type=click.Path(path_type=Path, dir_okay=False),
              default=ROOT / "docs" / "images" / "study_report.png", help="The picture.")
def main(output: Path) -> None:
    """Draw docs/images/study_report.png anew."""
    design = Design(ours="Rowan", baselines=tuple(SHARES))
    with TemporaryDirectory() as folder:
        votes = Path(folder) / "votes.jsonl"
        write_votes(votes, simulate(design, Truth(shares=tuple(SHARES.values())), SEED))
        write_files(make_report(read_source(votes)), Path(folder) / "report")
        shutil.copyfile(Path(folder) / "report" / "figure4.png", output)
    click.echo(f"{output}: {output.stat().st_size // 1000} kB")


if __name__ == "__main__":
    main()
