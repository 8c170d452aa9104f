"""`motifocal study create`: put folders of results into one study file."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from motifocal.cli.options.declare import FILE, FOLDER, RATE, Size
from motifocal.cli.options.renamed import warn_of_old_name
from motifocal.cli.output.progress import phases, quiet_option

if TYPE_CHECKING:
    from motifocal.study.create.encoding import Layout
    from motifocal.study.protocol import Protocol

SERVICES = ("prolific", "connect", "sona")
TEXTS = ("consent", "instructions", "thanks")


def split_kinds(
    ctx: click.Context, param: click.Parameter, value: str | None
) -> tuple[str, ...] | None:
    """Split "still,repeat" into its words; "none" gives none."""
    if value is None:
        return None
    from motifocal.study.votes import GOLD_NAMES

    kinds = []
    stored = {name: kind for kind, name in GOLD_NAMES.items()}
    for word in value.split(",") if value != "none" else ():
        name = word.strip()
        if name not in stored and name in GOLD_NAMES:
            warn_of_old_name(f"{param.opts[0]} {name} is now {GOLD_NAMES[name]}; "
                             "the old name will go")
            name = GOLD_NAMES[name]
        if name not in stored:
            raise click.BadParameter(f"should be some of {', '.join(stored)}, or none, got {value}")
        kinds.append(stored[name])
    return tuple(kinds)


def split_addresses(
    ctx: click.Context, param: click.Parameter, value: tuple[str, ...]
) -> dict[str, str] | None:
    """Parse ("prolific=https://...",) as {"prolific": "https://..."}."""
    addresses = {}
    for pair in value:
        service, equals, address = pair.partition("=")
        if not equals or service not in SERVICES:
            raise click.BadParameter(f"should be {'|'.join(SERVICES)}=https://..., got {pair}")
        addresses[service] = address
    return addresses or None


# fmt: off
@click.command(epilog="""\b
Examples:
  motifocal study create --a results/ours --b results/theirs --votes 5 -o study.db
  motifocal study create --a results/ours --b results/cinemo --b results/seine --common -o study.db
  motifocal study create --a results/ours --b results/wan --size 320x512 --fps 8 --seconds 2
  motifocal study create --a results/ours --b results/theirs --consent consent.md --dry-run
""")
@click.option("--a", "ours", type=FOLDER, required=True,
              help="Results of the model that is compared with all others.")
@click.option("--b", "theirs", type=FOLDER, required=True, multiple=True,
              help="Results of a model to compare it with; may be given several times.")
@click.option("-o", "--output", default="study.db", show_default=True, metavar="FILE|URL",
              help="The new study: a file, or the URL of an empty PostgreSQL database.")
@click.option("--bench", type=FOLDER, help="Make sure that the pairs are those of this benchmark.")
@click.option("--common", is_flag=True, help="Use the pairs that all models have videos of.")
@click.option("--size", type=Size(), metavar="HEIGHTxWIDTH",
              help="Scale all videos to this size.  [default: they must have the same]")
@click.option("--fit", type=click.Choice(["crop", "stretch"]), default="crop", show_default=True,
              help="How videos of other proportions are brought to --size.")
@click.option("--fps", type=RATE,
              help="Resample all videos to this rate.  [default: they must have the same]")
@click.option("--frames", type=click.IntRange(min=1), metavar="N",
              help="Show the first N frames of each.  [default: they must have the same number]")
@click.option("--seconds", type=click.FloatRange(min=0, min_open=True), metavar="S",
              help="Show the first S seconds of each.")
@click.option("--crf", type=click.IntRange(0, 51), default=12, show_default=True,
              help="Quality at which all videos are encoded alike, lower is better.")
@click.option("--seed", default=0, show_default=True,
              help="Seed of sides, order and gold items. Names of media files are random "
              "regardless.")
@click.option("--protocol", "base", type=FILE, metavar="FILE",
              help="JSON of the rules and wording, as --dry-run prints them; the options below "
              "override it.")
@click.option("--title", help="What annotators see on top.")
@click.option("--votes", type=click.IntRange(1, 99), help="Judgements of each pair.  [default: 5]")
@click.option("--ties/--no-ties", default=None,
              help="May annotators find no difference?  [default: no-ties, as in the paper]")
@click.option("--cap", type=click.IntRange(min=1),
              help="Most judgements of one annotator, gold items aside.  [default: 40]")
@click.option("--gold-every", type=click.IntRange(min=0), metavar="N",
              help="One comparison in N has a known answer; 0: none.  [default: 8]")
@click.option("--gold", "gold_kinds", callback=split_kinds, metavar="KINDS",
              help="Which: some of still,shuffled,other_prompt,repeat.  [default: all]")
@click.option("--gold-counted", callback=split_kinds, metavar="KINDS",
              help="The kinds by which annotators are judged.  [default: all but repeat]")
@click.option("--gold-least", type=click.IntRange(min=1), metavar="N",
              help="Nobody fails before N of those.  [default: 4]")
@click.option("--gold-share", type=click.FloatRange(0, 1),
              help="Annotators with less than this share of them right fail.  [default: 0.6]")
@click.option("--lease", "lease_seconds", type=click.FloatRange(1, 86_400), metavar="SECONDS",
              help="How long a comparison is reserved for an annotator.  [default: 600]")
@click.option("--least-seconds", type=click.FloatRange(0, 600), metavar="SECONDS",
              help="The soonest that a vote counts.  [default: one loop of the longest video]")
@click.option("--question", help="What is asked below the videos.")
@click.option("--consent", type=FILE, metavar="FILE.md", help="Your consent form.")
@click.option("--instructions", type=FILE, metavar="FILE.md", help="Your instructions.")
@click.option("--thanks", type=FILE, metavar="FILE.md", help="Your last page.")
@click.option("--check", type=FILE, metavar="FILE.json|.toml", help="Comprehension check with two "
              "tries: a list `check` of question, answers, right (counted from 0, or in words).")
@click.option("--completion-code", help="Shown at the end.  [default: a random one]")
@click.option("--screen-out-code", help="Shown to those who fail the check.  [default: a random "
                                   "one]")
@click.option("--completion-url", "completion_urls", multiple=True, callback=split_addresses,
              metavar="SERVICE=URL", help="Where prolific, connect or sona redirects participants "
                                     "at the end.")
@click.option("--keep-ids", is_flag=True, default=None, help="Also store recruitment services' "
              "numbers as they are, to pay by; no export has them.")
@click.option("--dry-run", is_flag=True, help="Print what would be made, and stop.")
@quiet_option
def create(ours: Path, theirs: tuple[Path, ...], output: str, bench: Path | None, common: bool,
           size: tuple[int, int] | None, fit: str, fps: float | None, frames: int | None,
           seconds: float | None, crf: int, seed: int, dry_run: bool, **rules: Any) -> None:
    # fmt: on
    """Make a study: which of two videos do people find better, and why?

    Everything is decided and written down before the first annotator comes: pairs, sides, order,
    rules, wording, and their hash. All videos are encoded alike, so that nothing but what they show
    tells two models apart. Folders of results are what `motifocal bench run` and `ingest` write.
    """
    from motifocal.bench.pairs import read_benchmark
    from motifocal.bench.results import open_results
    from motifocal.study.create.matching import Reconcile, check_pairs, match_results
    from motifocal.study.create.study import lay_out, write_layout
    from motifocal.study.create.writing import check_free
    from motifocal.study.store.database import parse_url, url_for_display

    if frames is not None and seconds is not None:
        raise click.UsageError("--frames and --seconds say the same thing: give one")
    protocol = _protocol(rules)
    place = parse_url(output)
    if not dry_run:
        check_free(place)
    a, bs = open_results(ours), [open_results(folder) for folder in theirs]
    if bench is not None:
        part = common or bool(a.benchmark.subset)
        check_pairs(match_results(a, bs, common=common), read_benchmark(bench, own_pairs=True),
                    part=part)
    reconcile = Reconcile(common, size, fit, fps, frames, seconds)
    with phases() as show_progress:
        layout = lay_out(a, bs, protocol, seed=seed, reconcile=reconcile, crf=crf,
                         progress=show_progress)
    _describe(layout)
    if dry_run:
        click.echo(json.dumps(_resolved(layout), indent=1, ensure_ascii=False))
        return
    with phases() as show_progress:
        write_layout(place, layout, seed=seed, progress=show_progress)
    click.echo(url_for_display(place) if "://" in output else output)  # a URL may hold a password


def _protocol(rules: Mapping[str, Any]) -> Protocol:
    """Return the protocol of --protocol, or the default one, with what the options say."""
    from motifocal.study.protocol import read_protocol

    values: dict[str, Any] = {}
    if rules["base"] is not None:
        content = _parsed(rules["base"])
        content = content if isinstance(content, dict) else {"protocol": content}
        values |= content.get("protocol", content)
    for name in TEXTS:
        if rules[name] is not None:
            values[f"{name}_md"] = rules[name].read_text(encoding="utf-8")
    if rules["check"] is not None:
        values["check"] = _check(rules["check"])
    given = {name: value for name, value in rules.items()
             if value is not None and name not in ("base", "check", *TEXTS)}
    values |= given
    if given.get("gold_kinds") == ():
        values["gold_every"] = 0
    if "gold_kinds" in given and "gold_counted" not in given:
        counted = values.get("gold_counted", [kind for kind in given["gold_kinds"]
                                              if kind != "repeat"])
        values["gold_counted"] = [kind for kind in counted if kind in given["gold_kinds"]]
    return read_protocol(values)


def _check(path: Path) -> list[dict[str, Any]]:
    """Read the questions of a file; a right answer given in words is replaced by its number."""
    content = _parsed(path)
    questions = content.get("check") if isinstance(content, dict) else content
    if not isinstance(questions, list) or not all(
            isinstance(question, dict) for question in questions):
        raise ValueError(f"{path} should hold a list of questions, each with question, answers "
                         "and right")
    for question in questions:
        answers = question.get("answers")
        if isinstance(answers, list) and question.get("right") in answers:
            question["right"] = answers.index(question["right"])
    return questions


def _parsed(path: Path) -> Any:
    from motifocal.files.json_text import parse_strict_json
    from motifocal.files.toml_text import parse_toml

    is_toml = path.suffix.lower() == ".toml"
    try:
        text = path.read_text(encoding="utf-8")
        return parse_toml(text) if is_toml else parse_strict_json(text)
    except ValueError as error:
        raise ValueError(f"{path} should be {'TOML' if is_toml else 'JSON'}: {error}") from error


def _describe(layout: Layout) -> None:
    """Say in a few lines what the study will be."""
    from motifocal.study.gold_rule import warning
    from motifocal.study.votes import GOLD_NAMES

    if layout.material["mark"]:
        click.echo(layout.material["mark"], err=True)
    gold = Counter(damaged.kind for damaged in layout.gold)
    lines = [
        f"{layout.models[0]} beside {', '.join(layout.models[1:])}: {len(layout.groups)} pairs, "
        f"{len(layout.items)} items, {layout.votes} votes",
        "gold items: " + (", ".join(f"{count} {GOLD_NAMES[kind]}" for kind, count in gold.items())
                          or "none made"),
        f"protocol {layout.protocol.digest()}",
    ]
    if toothless := warning(layout.protocol, len(layout.items)):
        lines.append(f"warning: {toothless}")
    for line in lines:
        click.echo(line, err=True)


def _resolved(layout: Layout) -> dict[str, Any]:
    protocol = layout.protocol
    return {"protocol": protocol.model_dump(mode="json"), "protocol_sha256": protocol.digest(),
            "wording_sha256": protocol.wording_digest(), "material": layout.material,
            "items": len(layout.items), "votes": layout.votes}
