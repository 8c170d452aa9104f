"""Read votes from a study's database or a file of votes, and the votes it should have."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from motifocal.study.protocol import Protocol
from motifocal.study.stats.agreement import gold_failures
from motifocal.study.stats.tally import comparisons
from motifocal.study.store.store import Store
from motifocal.study.votes import Vote, read_votes, validate

SQLITE_START = b"SQLite format 3\x00"
MOST_PROBLEMS = 5
NO_RULE = "no protocol with a rule for gold items was given, so nobody is excluded"


@dataclass(frozen=True)
class ExpectedVotes:
    """The votes that one comparison should have: so many pairs with so many votes each."""

    models: frozenset[str]
    pairs: int
    votes: int


@dataclass(frozen=True)
class Source:
    """All votes of a study, and what was decided before.

    protocol: None for a file of votes without one. expected: for each comparison in the order of
    the first votes, those without a vote last. marks: what every output should say of the study, as
    that it is a part of a benchmark.
    """

    votes: tuple[Vote, ...]
    protocol: Protocol | None
    protocol_sha256: str
    expected: tuple[ExpectedVotes, ...]
    benchmark: str = ""
    marks: tuple[str, ...] = ()

    @property
    def rule(self) -> str:
        """The rule for failing gold items, in words."""
        rules = self.protocol
        if rules is None:
            return NO_RULE
        if not rules.gold_every or not rules.gold_counted:
            return "the study has no gold items that count, so nobody is excluded"
        return (f"out is who has answered at least {rules.gold_least} gold items "
                f"({', '.join(rules.gold_counted)}) and got less than {rules.gold_share:.0%} right")

    def failed(self) -> frozenset[str]:
        """Return the workers who fail the protocol's rule for gold items."""
        if self.protocol is None:
            return frozenset()
        counted = [vote for vote in self.votes
                   if vote.gold is None or vote.gold in self.protocol.gold_counted]
        return frozenset(worker for worker, gold in gold_failures(counted).items()
                         if self.protocol.fails_gold(gold.seen, gold.seen - gold.failed))


def read_source(
    place: str | Path, *, protocol: Path | None = None, votes_per_pair: int | None = None
) -> Source:
    """Read a study by file or PostgreSQL URL, or a JSONL of votes from `motifocal study export`.

    `protocol` (the rules that `export --protocol` writes) and `votes_per_pair` are for votes
    alone: without the first no annotator can be excluded, without both a pair should have as
    many votes as the one that has most. Raises ValueError for a place that holds neither, votes
    that cannot be true, and a protocol that is not that of the votes.
    """
    is_url = "://" in str(place)
    if not is_url:
        with Path(place).open("rb") as file:
            if file.read(len(SQLITE_START)) != SQLITE_START:
                return _of_votes(Path(place), protocol, votes_per_pair)
    if protocol is not None or votes_per_pair is not None:
        name = "the database" if is_url else place  # a URL may hold a password
        raise ValueError(f"{name} is a study and holds its protocol: another, or a number of "
                         "votes, cannot be given")
    return _of_store(place)


def _of_store(place: str | Path) -> Source:
    with Store(place) as store:
        votes = tuple(store.votes())
        comparisons = store.progress().comparisons
        rules = store.protocol
        expected = tuple(
            ExpectedVotes(frozenset((comparison.model_a, comparison.model_b)),
                          comparison.wanted // rules.votes, rules.votes)
            for comparison in comparisons)
        mark = str(store.material.get("mark", ""))
        return Source(votes, rules, rules.digest(), expected,
                      str(store.material.get("benchmark", "")), (mark,) if mark else ())


def _of_votes(path: Path, protocol: Path | None, votes_per_pair: int | None) -> Source:
    votes = tuple(read_votes(path))
    _check(votes, path)
    digest = votes[0].protocol
    rules = None if protocol is None else _rules(protocol, digest)
    if rules is not None and votes_per_pair not in (None, rules.votes):
        raise ValueError(f"the protocol wants {rules.votes} votes a pair, got {votes_per_pair}")
    number = votes_per_pair if rules is None else rules.votes
    return Source(votes, rules, digest, _expected_votes(votes, number))


def _check(votes: Sequence[Vote], path: Path) -> None:
    if not any(vote.gold is None for vote in votes):
        raise ValueError(f"{path} should hold votes, got none")
    problems = validate(votes)
    if problems:
        more = len(problems) - MOST_PROBLEMS
        listed = "; ".join(problems[:MOST_PROBLEMS]) + (f"; {more} more" if more > 0 else "")
        raise ValueError(f"{path} holds votes that cannot be true (motifocal study validate lists "
                         f"all): {listed}")


def _rules(path: Path, digest: str) -> Protocol:
    """Read the protocol in a file, which must be that of the votes: rules are not chosen
    afterwards."""
    from pydantic import ValidationError

    try:
        rules = Protocol.model_validate_json(path.read_bytes())
    except ValidationError as error:
        raise ValueError(f"{path} should be a protocol as motifocal study export --protocol writes "
                         f"it, got {error.error_count()} faults") from error
    if rules.digest() != digest:
        raise ValueError(f"{path} should be the protocol of the votes, {digest or 'none'}, got "
                         f"{rules.digest()}")
    return rules


def _expected_votes(votes: Sequence[Vote], number: int | None) -> tuple[ExpectedVotes, ...]:
    """Expect all pairs that any comparison has of each comparison: a file does not name others."""
    pairs = {(vote.pair, vote.seed) for vote in votes if vote.gold is None}
    most = max(votes_per_unit(votes).values()) if number is None else number
    return tuple(ExpectedVotes(frozenset(models), len(pairs), most)
                 for models in comparisons(votes))


def votes_per_unit(votes: Iterable[Vote]) -> Counter[tuple[frozenset[str], str, int]]:
    """Count the votes on each item (two models, a pair, a seed), gold aside."""
    return Counter(vote.unit for vote in votes if vote.gold is None)
