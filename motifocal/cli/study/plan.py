"""`motifocal study plan`: compute the hours and cost of a study, and what it could show."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

import click

from motifocal.cli.options.renamed import old_option
from motifocal.cli.output.console import print_table

if TYPE_CHECKING:
    from motifocal.study.stats.power import Plan

SHARE = click.FloatRange(0, 1, min_open=True, max_open=True)
CORRELATION = click.FloatRange(0, 1)


@click.command(epilog="""\b
Examples:
  motifocal study plan --pairs 320 --models 9 --votes 5
  motifocal study plan --pairs 100 --images 40 --models 2 --wage 15 --currency EUR
  motifocal study plan --models 1 --true-share 0.55
""")
@click.option("--pairs", type=click.IntRange(min=1), default=320, show_default=True,
              help="Pairs of an image and a prompt.")
@click.option("--images", type=click.IntRange(min=1), help="Images that the pairs are of.  "
              "[default: 88 of 320, and so in proportion]")
@old_option("--pictures", "--images", "images")
@click.option("--models", type=click.IntRange(min=1), default=9, show_default=True,
              help="Models that yours is compared with.")
@click.option("--votes", type=click.IntRange(1, 99), default=5, show_default=True,
              help="Judgements of each pair and comparison.")
@click.option("--wage", type=click.FloatRange(min=0), default=12.0, show_default=True,
              help="Pay per hour, without the recruitment service's fee.")
@click.option("--currency", default="USD", show_default=True, help="Of the wage.")
@click.option("--seconds", type=click.FloatRange(min=0, min_open=True), default=30.0,
              show_default=True, help="Time that one judgement takes, loading included.")
@click.option("--gold", type=click.FloatRange(min=0, max=1), default=round(1 / 7, 3),
              show_default=True, help="Gold items for each real one; one comparison in eight, "
              "create's default, is 1 in 7.")
@click.option("--true-share", type=SHARE, default=0.6, show_default=True,
              help="Share of votes that your model would get from everybody, for the power.")
@click.option("--pair-correlation", type=CORRELATION, default=0.15, show_default=True,
              help="Of two votes on one pair.")
@click.option("--image-correlation", type=CORRELATION, default=0.05, show_default=True,
              help="Of two votes on two pairs of one image.")
@old_option("--picture-correlation", "--image-correlation", "image_correlation")
@click.option("--json", "as_json", is_flag=True, help="Print the numbers as JSON.")
def plan(pairs: int, images: int | None, models: int, votes: int, wage: float, currency: str,
         seconds: float, gold: float, true_share: float, pair_correlation: float,
         image_correlation: float, as_json: bool) -> None:
    """Compute what a study takes, and what it could show.

    A share of votes is significant by the sign-flip test over images at 5 %, with Holm's
    correction over the models: the hardest case is that no other model differs, the easiest that
    all others do. Try smaller studies here before paying for one.
    """
    from motifocal.files.json_text import format_json
    from motifocal.study.stats.power import plan as reckon

    if images is None:
        images = max(1, round(pairs * 88 / 320))
    if images > pairs:
        raise click.BadParameter(f"should be at most --pairs {pairs}, got {images}",
                                 param_hint="--images")
    if image_correlation > pair_correlation:
        raise click.BadParameter(f"should be at most --pair-correlation {pair_correlation}, got "
                                 f"{image_correlation}", param_hint="--image-correlation")
    made = reckon(pairs, models, votes, wage=wage, seconds_per_judgement=seconds,
                  true_share=true_share, gold=gold, images=images,
                  pair_correlation=pair_correlation, image_correlation=image_correlation)
    if as_json:
        click.echo(format_json(asdict(made)), nl=False)
        return
    _print(made, models, currency)
    click.echo(
        f"Assumed: {pairs} pairs spread evenly over {images} images; {seconds:g} s a "
        f"judgement; {wage:g} {currency} an hour, without fees; {gold:.0%} more for gold items; "
        f"two votes on one pair correlate by {pair_correlation:g}, on two pairs of one image by "
        f"{image_correlation:g}, so {votes * pairs} votes of a comparison tell as much as "
        f"{votes * pairs / made.design_effect:.0f} independent ones. Annotators with tastes of "
        "their own are not reckoned with: ask many people for few judgements each."
    )


def _print(made: Plan, models: int, currency: str) -> None:
    columns = ("hardest for Holm", "easiest") if models > 1 else ("",)
    whole = [
        ("judgements", f"{made.judgements:,}".replace(",", " ")),
        ("gold judgements", f"{made.gold_judgements:,}".replace(",", " ")),
        ("hours", f"{made.hours:.1f}"),
        ("cost", f"{made.cost:,.0f} {currency}".replace(",", " ")),
    ]
    outcomes = {
        "smallest significant share of votes": made.smallest_share,
        "true share found four times in five": made.detectable_share,
        f"power at a true share of {made.true_share:.0%}": made.power,
    }
    rows = [(name, *map(_percent, shares[: len(columns)])) for name, shares in outcomes.items()]
    print_table("A study of this size", ("", *columns), [*whole, *rows], width=100,
                sections=(len(whole) - 1,))


def _percent(value: float) -> str:
    return "none" if value != value else f"{100 * value:.1f} %"
