"""`motifocal study simulate`: draw votes of annotators whose preferences are known."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from motifocal.cli.options.declare import NEW_FILE

if TYPE_CHECKING:
    from motifocal.study.protocol import Protocol
    from motifocal.study.stats.simulation_design import Design

MOST_PAIRS = 320
DEFAULT_SHARE = 0.6


def split_shares(
    ctx: click.Context, param: click.Parameter, value: tuple[str, ...]
) -> dict[str, float]:
    """Parse ("Cinemo=0.7",) as {"Cinemo": 0.7}."""
    shares: dict[str, float] = {}
    for pair in value:
        name, equals, number = pair.rpartition("=")
        try:
            share = float(number)
        except ValueError:
            share = -1.0
        if not (equals and name.strip() and 0 < share < 1):
            raise click.BadParameter(f"should be NAME=SHARE with a share between 0 and 1, got "
                                     f"{pair}")
        if name in shares:
            raise click.BadParameter(f"should name each model once, got {name} twice")
        shares[name] = share
    return shares


@click.command(epilog="""\b
Examples:
  motifocal study simulate -o votes.jsonl
  motifocal study simulate -o votes.jsonl --share Cinemo=0.7 --share SEINE=0.55 --careless 0.1
  motifocal study simulate -o votes.jsonl --protocol protocol.json --gold 8 --ties 0.1 --seed 1
""")
@click.option("-o", "--output", type=NEW_FILE, required=True, metavar="FILE",
              help="The file to write, one line of JSON a vote.")
@click.option("--protocol", type=NEW_FILE, metavar="FILE",
              help="Also write the rules of the simulated study, for report.")
@click.option("--ours", default="ours", show_default=True, metavar="NAME",
              help="The model that is compared with all others.")
@click.option("--share", "shares", multiple=True, callback=split_shares, metavar="NAME=0.6",
              help="Another model, and how often ours is truly preferred to it; repeatable.")
@click.option("--models", type=click.IntRange(1, 99), help="So many other models; those without a "
              "--share have 0.6.  [default: as many as --share, or 1]")
@click.option("--pairs", type=click.IntRange(1, MOST_PAIRS), default=MOST_PAIRS, show_default=True,
              help="Pairs, the first of a benchmark in the paper's arrangement.")
@click.option("--votes", type=click.IntRange(1, 99), default=5, show_default=True,
              help="Judgements of each pair and comparison.")
@click.option("--annotators", type=click.IntRange(min=1), default=40, show_default=True,
              help="How many people share the work.")
@click.option("--gold", type=click.IntRange(min=0), default=8, show_default=True,
              help="Gold items of each annotator.")
@click.option("--left-bias", type=click.FloatRange(0, 1, min_open=True, max_open=True),
              default=0.5, show_default=True,
              help="Share of left choices where both videos are equally good.")
@click.option("--careless", type=click.FloatRange(0, 1), default=0.0, show_default=True,
              help="Share of annotators who click at random.")
@click.option("--ties", type=click.FloatRange(0, 1, max_open=True), default=0.0, show_default=True,
              help="Share of ties where both videos are equally good.")
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True,
              help="The same seed gives the same votes.")
def simulate(output: Path, protocol: Path | None, ours: str, shares: dict[str, float],
             models: int | None, pairs: int, votes: int, annotators: int, gold: int,
             left_bias: float, careless: float, ties: float, seed: int) -> None:
    """Draw the votes of a whole study whose truth is known: a rehearsal of the report.

    Images, pairs and annotators differ as in docs/statistics.md. Report and validate take the
    file like any other. Such votes say nothing about any real model.
    """
    from dataclasses import replace

    from motifocal.files.atomic import write_text
    from motifocal.study.stats.simulation import simulate as draw
    from motifocal.study.stats.simulation_design import Design, Truth, paper_pairs
    from motifocal.study.votes import write_votes

    if votes > annotators:
        raise click.BadParameter(f"should be at least --votes {votes}, got {annotators}",
                                 param_hint="--annotators")
    named = _with_more(shares, models, ours)
    design = Design(pairs=paper_pairs()[:pairs], ours=ours, baselines=tuple(named), votes=votes,
                    annotators=annotators, gold=gold)
    truth = Truth(shares=tuple(named.values()), left=left_bias, careless=careless, ties=ties)
    rules = _rules(design, ties > 0)
    drawn = draw(design, truth, seed)
    write_votes(output, (replace(vote, protocol=rules.digest()) for vote in drawn))
    if protocol is not None:
        write_text(protocol, rules.to_json() + "\n")
    click.echo(f"{len(drawn)} simulated votes", err=True)
    for path in (output, protocol):
        if path is not None:
            click.echo(path)


def _with_more(shares: dict[str, float], models: int | None, ours: str) -> dict[str, float]:
    """Fill up the baselines to the number that was asked for."""
    number_of_models = max(len(shares), 1) if models is None else models
    if number_of_models < len(shares):
        raise click.BadParameter(f"should be at least {len(shares)}, the number of --share, got "
                                 f"{number_of_models}", param_hint="--models")
    named, number = dict(shares), 1
    while len(named) < number_of_models:
        named.setdefault(f"baseline {number}", DEFAULT_SHARE)
        number += 1
    if ours in named:
        raise click.BadParameter(f"should differ from --ours, got {ours}", param_hint="--share")
    return named


def _rules(design: Design, ties: bool) -> Protocol:
    from motifocal.study.protocol import Protocol

    return Protocol(title="Simulated votes", votes=design.votes, ties=ties,
                    gold_every=8 if design.gold else 0)
