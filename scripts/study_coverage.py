"""Thousands of simulated studies become the tables of docs/statistics.md: are the intervals right?

    .venv/bin/python scripts/study_coverage.py --studies 500 --write

S studies. The truth is known here, so one can count how often an interval covers it and how often
a test sounds a false alarm.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import click
import numpy as np
from rich.console import Console
from rich.progress import Progress
from scipy import stats
from study_population import Population, population, population_scores

from motifocal.study.stats.agreement import agreement, left_bias
from motifocal.study.stats.bradley_terry import Ties, edges_of, scores_of
from motifocal.study.stats.compare import majority, majority_test, preference_test, vote_share
from motifocal.study.stats.intervals import Estimate, Resampling
from motifocal.study.stats.simulation import Drawn, draw
from motifocal.study.stats.simulation_design import Design, Truth
from motifocal.study.stats.tally import LOST, WON, Tally
from motifocal.study.stats.two_way import two_way_share

PAGE = Path(__file__).parents[1] / "docs" / "statistics.md"
ALARM = 0.05
MORE_FOR_TESTS = 10  # a test is quick, and 5 % of 500 studies is few

PLAIN = Truth()
STRONG = replace(PLAIN, picture_sd=1.0, pair_sd=1.0)
MESSY = replace(PLAIN, ties=0.15, left=0.57, careless=0.1)
SETTINGS = {
    "60 %": PLAIN,
    "50 %": replace(PLAIN, shares=(0.5,)),
    "72 %": replace(PLAIN, shares=(0.72,)),
    "90 %": replace(PLAIN, shares=(0.9,)),
    "60 %, stronger effects of items": STRONG,
    "60 %, ties, left bias, careless annotators": MESSY,
}
NULLS = {
    "effects of items": replace(PLAIN, shares=(0.5,)),
    "stronger effects of items": replace(STRONG, shares=(0.5,)),
    "ties, left bias, careless annotators": replace(MESSY, shares=(0.5,)),
}
BLIND = {
    "as assumed, 40 annotators": (Design(), PLAIN),
    "scenarios differ (sd 0.5)": (Design(), replace(PLAIN, scenario_sd=0.5)),
    "40 annotators differ (sd 0.5)": (Design(), replace(PLAIN, annotator_sd=0.5)),
    "200 annotators differ (sd 0.5)": (Design(annotators=200), replace(PLAIN, annotator_sd=0.5)),
}
WIDER = ("over images", "over scenarios", "over images and annotators")
LEAGUE = Design(baselines=("first", "second", "third"), round_robin=True, annotators=120)
LEAGUE_SHARES = (0.45, 0.6, 0.72)
LEAGUES: dict[str, tuple[Truth, Ties]] = {
    "no effects of items": (replace(PLAIN, shares=LEAGUE_SHARES, picture_sd=0, pair_sd=0),
                            "dropped"),
    "effects of items": (replace(PLAIN, shares=LEAGUE_SHARES), "dropped"),
    "effects of items, ties, Davidson": (replace(PLAIN, shares=LEAGUE_SHARES, ties=0.15),
                                         "davidson"),
}  # fmt: skip

Tick = Callable[[], None]


@dataclass
class Record:
    """How one statistic fared: its values, and where its interval missed a truth."""

    truth: float
    values: list[float]
    missed: int = 0

    def add(self, found: Estimate) -> None:
        """An interval that is not known covers nothing."""
        self.values.append(found.value)
        self.missed += not found.low <= self.truth <= found.high

    @property
    def covered(self) -> str:
        return f"{1 - self.missed / len(self.values):.1%}"

    def cells(self, shape: str = ".3f") -> list[str]:
        return [f"{self.truth:{shape}}", f"{np.mean(self.values):{shape}}", self.covered]


def over_votes(tally: Tally) -> Estimate:
    """The interval that takes all votes for independent: share +- 1.96 standard errors."""
    won, lost = tally.outcomes[:, WON].sum(), tally.outcomes[:, LOST].sum()
    value, votes = won / (won + lost), won + lost
    width = stats.norm.ppf(0.975) * np.sqrt(value * (1 - value) / votes)
    return Estimate(value, value - width, value + width, votes, "normal")


#: column -> its estimate, and what it estimates
STATISTICS: Mapping[
    str, tuple[Callable[[Tally, Resampling], Estimate], Callable[[Population], float]]
] = {
    "raw share": (vote_share, lambda truth: truth.share),
    "majority": (lambda tally, resampling: majority(tally, resampling).score,
                 lambda truth: truth.majority),
    "alpha": (agreement, lambda truth: truth.alpha),
    "left choices": (left_bias, lambda truth: truth.left),
    "raw share, over votes": (lambda tally, resampling: over_votes(tally),
                              lambda truth: truth.share),
}


def drawn_studies(
    design: Design, truth: Truth, studies: int, seed: Sequence[int]
) -> Iterable[Drawn]:
    """So many studies, each with pictures, votes and annotators of its own. `seed` is several
    numbers: each row of each table has its own studies, so that chance is not shared."""
    for child in np.random.SeedSequence(seed).spawn(studies):
        yield draw(design, truth, np.random.default_rng(child))


def coverage(truth: Truth, studies: int, seed: Sequence[int], tick: Tick) -> dict[str, Record]:
    """Statistic -> how it fared over so many studies."""
    known = population(Design(), truth)
    records = {name: Record(true(known), []) for name, (_, true) in STATISTICS.items()}
    for number, drawn in enumerate(drawn_studies(Design(), truth, studies, seed)):
        tally = drawn.tally()
        for name, (statistic, _) in STATISTICS.items():
            records[name].add(statistic(tally, Resampling(seed=number)))
        tick()
    return records


def wider(
    design: Design, truth: Truth, studies: int, seed: Sequence[int], tick: Tick
) -> list[Record]:
    """How the raw share fared with each of the intervals in `WIDER`."""
    records = [Record(population(design, truth).share, []) for _ in WIDER]
    for number, drawn in enumerate(drawn_studies(design, truth, studies, seed)):
        resampling = Resampling(seed=number)
        won, picture = (drawn.outcome == WON).astype(float), design.pictures[1][drawn.pair]
        records[0].add(vote_share(drawn.tally(), resampling))
        records[1].add(vote_share(drawn.tally(cluster_by="scenario"), resampling))
        records[2].add(two_way_share(won, picture, drawn.worker, resampling))
        tick()
    return records


def false_alarms(truth: Truth, studies: int, seed: Sequence[int], tick: Tick) -> list[float]:
    """How often each test says 5 % although no model is better: over votes, pairs, naively."""
    alarms = np.zeros(3)
    for drawn in drawn_studies(Design(), truth, studies, seed):
        tally = drawn.tally()
        won, lost = (int(tally.outcomes[:, side].sum()) for side in (WON, LOST))
        alarms += np.array([
            preference_test(tally).p, majority_test(tally).p,
            stats.binomtest(won, won + lost).pvalue,
        ]) <= ALARM  # fmt: skip
        tick()
    return [float(share) for share in alarms / studies]


def league(
    truth: Truth, ties: Ties, studies: int, seed: Sequence[int], tick: Tick
) -> dict[str, Record]:
    """Model -> how its Bradley-Terry score fared where all models meet."""
    known = population_scores(LEAGUE, truth, ties)
    records = {name: Record(score, []) for name, score in zip(LEAGUE.models, known, strict=True)}
    for drawn in drawn_studies(LEAGUE, truth, studies, seed):
        met = [drawn.tally(c) for c in range(len(LEAGUE.comparisons))]
        found = scores_of(edges_of(met), anchor=LEAGUE.ours, ties=ties)
        for m, name in enumerate(found.models):
            score, low, high = (float(of[m]) for of in (found.score, found.low, found.high))
            records[name].add(Estimate(score, low, high, found.clusters, "sandwich"))
        tick()
    del records[LEAGUE.ours]
    return records


def markdown(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    rule = ["---", *["---:"] * (len(header) - 1)]
    return "\n".join(f"| {' | '.join(row)} |" for row in (header, rule, *rows))


def tables(studies: int, seed: int, progress: Progress) -> dict[str, str]:
    """Marker in the page -> its table."""
    work = studies * (len(SETTINGS) + len(BLIND) + MORE_FOR_TESTS * len(NULLS) + len(LEAGUES))
    task = progress.add_task("simulated studies", total=work)

    def tick() -> None:
        progress.advance(task)

    found = {name: coverage(truth, studies, (seed, 0, row), tick)
             for row, (name, truth) in enumerate(SETTINGS.items())}
    alarms = {name: false_alarms(truth, studies * MORE_FOR_TESTS, (seed, 1, row), tick)
              for row, (name, truth) in enumerate(NULLS.items())}
    leagues = {name: league(truth, ties, studies, (seed, 2, row), tick)
               for row, (name, (truth, ties)) in enumerate(LEAGUES.items())}
    blind = {name: wider(design, truth, studies, (seed, 3, row), tick)
             for row, (name, (design, truth)) in enumerate(BLIND.items())}
    return {
        "coverage": markdown(
            ["true share", *STATISTICS],
            [[name, *(of[column].covered for column in STATISTICS)] for name, of in found.items()],
        ),
        "values": markdown(
            ["true share", *(f"{column}: {what}" for column in tuple(STATISTICS)[:-1]
                             for what in ("truth", "mean"))],
            [[name, *(cell for column in tuple(STATISTICS)[:-1]
                      for cell in of[column].cells()[:2])] for name, of in found.items()],
        ),
        "alarms": markdown(
            ["no model is better, but there are", "sign-flip, votes", "sign-flip, pairs",
             "binomial, over votes"],
            [[name, *(f"{share:.1%}" for share in shares)] for name, shares in alarms.items()],
        ),
        "scores": markdown(
            ["four models, all meet", "model", "true score", "mean", "covered"],
            [[name, model, *record.cells(".2f")] for name, of in leagues.items()
             for model, record in of.items()],
        ),
        "blind": markdown(
            ["raw share, true share 60 %", *WIDER],
            [[name, *(record.covered for record in records)] for name, records in blind.items()],
        ),
        "majority": majority_table(),
    }  # fmt: skip


def majority_table() -> str:
    """What the majority of five makes of a share, by quadrature: nothing is drawn."""
    kinds = {
        "independent votes": replace(PLAIN, picture_sd=0, pair_sd=0),
        "effects of items": PLAIN,
        "stronger effects of items": STRONG,
    }
    shares = (0.5, 0.55, 0.6, 0.65, 0.72, 0.8, 0.9)
    rows = [[name, *(f"{population(Design(), replace(truth, shares=(share,))).majority:.1%}"
                     for share in shares)] for name, truth in kinds.items()]  # fmt: skip
    return markdown(["share of votes", *(f"{share:.0%}" for share in shares)], rows)


def replaced(page: str, name: str, text: str) -> str:
    """The page with `text` between the markers of `name`. ValueError unless each is there once."""
    begin, end = f"<!-- begin {name} -->", f"<!-- end {name} -->"
    if page.count(begin) != 1 or page.count(end) != 1 or page.index(begin) > page.index(end):
        raise ValueError(f"the page should hold {begin} and then {end}, each once")
    head, rest = page.split(begin)
    return f"{head}{begin}\n\n{text.strip()}\n\n{end}{rest.split(end)[1]}"


@click.command()
@click.option("--studies", type=click.IntRange(1), default=500, show_default=True,
              help="Simulated studies of each kind; ten times as many for the tests.")
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True)
@click.option("--write", is_flag=True, help="Also put the tables into docs/statistics.md.")
def main(studies: int, seed: int, write: bool) -> None:  # fmt: skip
    """Print how often intervals cover the truth and tests sound false alarms."""
    with Progress(console=Console(stderr=True)) as progress:
        made = tables(studies, seed, progress)
    for name, table in made.items():
        print(f"\n### {name}\n\n{table}")
    if write:
        page = PAGE.read_text(encoding="utf-8")
        for name, table in made.items():
            page = replaced(page, name, table)
        PAGE.write_text(page, encoding="utf-8")


if __name__ == "__main__":
    main()
