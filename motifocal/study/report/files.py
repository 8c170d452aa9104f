"""Write a report as JSON, CSV, Markdown, LaTeX, figures, and the sentence for the paper.

A file is a function of the report alone: no times, no places of the machine.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np
import scipy

from motifocal import __version__
from motifocal.files.atomic import write_text
from motifocal.files.csv_text import csv_text
from motifocal.files.json_text import format_json, with_earlier_names
from motifocal.study.report.report import Report
from motifocal.study.report.tables import to_latex, to_markdown
from motifocal.study.report.words import sentence
from motifocal.study.stats.intervals import Estimate
from motifocal.study.stats.tally import LOST, TIED, WON
from motifocal.study.votes import REASONS

#: Field now -> its earlier name, which is written beside it for one more release.
EARLIER = {"images": "pictures"}


def write_files(report: Report, output: Path, *, figures: bool = True) -> list[Path]:
    """Write all files into `output`, and return their paths.

    Raises ValueError where figures are wanted and matplotlib is not installed.
    """
    texts = {"report.json": to_json(report), "comparisons.csv": to_comparisons_csv(report),
             "pairs.csv": to_pairs_csv(report), "scenarios.csv": to_scenarios_csv(report),
             "table.md": to_markdown(report), "table.tex": to_latex(report),
             "sentence.txt": sentence(report)}
    if report.metrics is not None:
        texts["metrics.csv"] = to_metrics_csv(report)
    if report.judges:
        texts["judges.csv"] = to_judges_csv(report)
    output.mkdir(parents=True, exist_ok=True)
    for name, text in texts.items():
        write_text(output / name, text)
    written = [output / name for name in texts]
    if figures:
        from motifocal.study.report.plots import draw_figure4, draw_graph

        written += [output / "figure4.png", output / "figure4.pdf"]
        draw_figure4(report, *written[-2:])
        if report.scores:
            written.append(output / "graph.png")
            draw_graph(report, written[-1])
    return written


def to_json(report: Report) -> str:
    """Return everything as JSON. Unknown is null, shares are in [0, 1], times in milliseconds."""
    content = {
        "marks": report.marks,
        "sentence": sentence(report).strip(),
        "ours": report.ours,
        "benchmark": report.source.benchmark,
        "protocol_sha256": report.source.protocol_sha256,
        "settings": {"over": report.cluster_by, "seed": report.resampling.seed,
                     "level": report.resampling.level, "resamples": report.resampling.resamples},
        "votes": {"cast": report.total_votes, "excluded": report.excluded,
                  "counted": len(report.counted_votes), "of_ours": report.votes},
        "pairs": report.pairs,
        "images": report.images,
        "annotators": report.annotators,
        "gold": {"rule": report.source.rule, "failed_annotators": sorted(report.failed),
                 "kinds": [asdict(part) for part in report.gold]},
        "missing": [asdict(part) for part in report.missing],
        "comparisons": [asdict(part) | {"milliseconds": asdict(took)} for part, took in
                        zip(report.comparisons, report.times, strict=True)],
        "averages": None if report.averages is None else dict(
            zip(("share", "majority"), map(asdict, report.averages), strict=True)),
        "milliseconds": asdict(report.all_times),
        "ties_reported": report.ties_reported,
        "davidson": {name: asdict(part) for name, part in report.davidson.items()},
        "graph": [{"models": pair, "won": won, "lost": lost, "tied": tied}
                  for pair, (won, lost, tied) in report.edges.items()],
        "bradley_terry": {kind: asdict(part) for kind, part in report.scores.items()},
        "no_bradley_terry": report.no_scores,
        "scenarios": [asdict(part) for part in report.scenarios],
        "metrics": None if report.metrics is None else asdict(report.metrics),
        "judges": [asdict(judge) for judge in report.judges],
        "versions": {"motifocal": __version__, "numpy": np.__version__,
                     "scipy": scipy.__version__},
    }  # fmt: skip
    return format_json(with_earlier_names(content, EARLIER))


def to_comparisons_csv(report: Report) -> str:
    """Return a CSV with one line a comparison, every number with its interval."""
    rows: list[dict[str, object]] = []
    for comparison, times, davidson in zip(report.comparisons, report.times, _davidson(report),
                                           strict=True):
        row: dict[str, object] = {
            "ours": comparison.ours, "theirs": comparison.theirs, "pairs": comparison.pairs,
            "images": comparison.images, "pictures": comparison.images,
            "votes": comparison.votes,
            "pairs_won": comparison.majority.won,
            "pairs_lost": comparison.majority.lost, "pairs_even": comparison.majority.even,
        }  # fmt: skip
        row |= _bounds("majority", comparison.majority.score) | _bounds("share", comparison.share)
        row |= _bounds("share_both_ways", comparison.share_both_ways)
        row |= {"p": comparison.test.p, "p_holm": comparison.p_holm,
                "majority_p": comparison.majority_test.p,
                "majority_p_holm": comparison.majority_p_holm}
        row |= _bounds("alpha", comparison.alpha) | _bounds("left", comparison.left)
        for side, model in (("ours", comparison.ours), ("theirs", comparison.theirs)):
            for reason in REASONS:
                row |= _bounds(f"{side}_{reason}", comparison.reasons[model][reason])
        if report.ties_reported:
            row |= _bounds("ties", comparison.ties) | davidson
            row |= _bounds("share_ties_halved", comparison.share_ties_halved)
        row |= {"median_ms": times.median, "lower_ms": times.lower, "upper_ms": times.upper,
                "under_3_s": times.under_3_s, "timed": times.known}
        rows.append(row)
    return _csv(rows, report)


def _davidson(report: Report) -> list[dict[str, object]]:
    models = [report.davidson.get(comparison.theirs) for comparison in report.comparisons]
    return [{} if model is None else _bounds("share_davidson", model.share) | {"nu": model.nu}
            for model in models]


def _bounds(name: str, value: Estimate) -> dict[str, object]:
    return {name: value.value, f"{name}_low": value.low, f"{name}_high": value.high}


def to_pairs_csv(report: Report) -> str:
    """Return a CSV with one line a comparison and pair: its votes and their reasons."""
    rows: list[dict[str, object]] = []
    expected = {comparison.models: comparison.votes for comparison in report.source.expected}
    for tally, units in zip(report.tallies, report.units, strict=True):
        for place, unit in enumerate(units):
            won, lost, tied = (int(tally.outcomes[place, kind]) for kind in (WON, LOST, TIED))
            row: dict[str, object] = {
                "ours": tally.ours, "theirs": tally.theirs, "scenario": unit.scenario,
                "image_id": unit.image_id, "prompt": unit.prompt, "pair": unit.pair,
                "seed": unit.seed, "won": won, "lost": lost, "tied": tied,
                "wanted": expected[unit.unit[0]],
                "on_left": int(tally.left[place].sum()),  # of the decided votes
            }  # fmt: skip
            row |= {f"{side}_{reason}": int(tally.reasons[place, kind, r])
                    for kind, side in ((WON, "ours"), (LOST, "theirs"))
                    for r, reason in enumerate(REASONS)}
            rows.append(row)
    return _csv(rows, report)


def to_scenarios_csv(report: Report) -> str:
    """Return a CSV with one line a comparison and scenario."""
    return _csv([{"ours": report.ours, "theirs": scenario.theirs, "scenario": scenario.name,
                  "images": scenario.images, "pictures": scenario.images,
                  "pairs": scenario.pairs, "votes": scenario.votes}
                 | _bounds("majority", scenario.majority) | _bounds("share", scenario.share)
                 for scenario in report.scenarios], report)


def to_metrics_csv(report: Report) -> str:
    """Return a CSV with one line a measure and comparison; `theirs` is empty for all of them."""
    assert report.metrics is not None
    return _csv([{"measure": row.measure, "better": row.better, "ours": report.ours,
                  "theirs": row.theirs, "pairs": row.pairs, "missing": row.missing,
                  "even": row.even}
                 | _bounds("agreement", row.agreement) | _bounds("tau", row.tau)
                 for row in report.metrics.rows], report)


def to_judges_csv(report: Report) -> str:
    """Return a CSV with one line a judge, comparison and part of its pairs."""
    return _csv([{"judge": judge.judge, "ours": report.ours, "theirs": row.theirs,
                  "part": row.part, "pairs": row.pairs, "not_asked": row.not_asked,
                  "failed": row.failed, "even": row.even}
                 | _bounds("agreement", row.agreement) | _bounds("alpha_people", row.alpha_people)
                 | _bounds("alpha_with", row.alpha_with)
                 for judge in report.judges for row in judge.rows], report)


def _csv(rows: Sequence[Mapping[str, object]], report: Report) -> str:
    head, marks = [*rows[0], "marks"], "; ".join(report.marks)
    return csv_text(head, ([*row.values(), marks] for row in rows), free=head)
