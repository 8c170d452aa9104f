"""Compute how many annotators the rule for gold items can judge in a study of a given size.

An annotator can fail only after `gold_least` gold items that count; one who judges few items meets
fewer of them.
"""

from __future__ import annotations

from math import comb

from motifocal.study.protocol import Protocol

FEW = 0.5  # below this share of annotators the rule is worth a warning
MOST = 0.9  # what an advice should reach


def judged_share(protocol: Protocol, items: int) -> float:
    """Return the share of annotators who meet `gold_least` gold items that count, in [0, 1].

    Of those who judge all that is given to one person in a study of `items` real items: up to
    `cap`. Gold items come as `schedule.GoldPlan` has them, their kinds in turn.
    """
    real = min(items, protocol.cap)
    if not protocol.gold_every or real < 1:
        return 0.0
    blocks, rest = divmod(real - 1, protocol.gold_every - 1)
    # The last block has its gold item before its last real one, or after it, out of reach.
    places = protocol.gold_every if blocks else protocol.gold_every - 1
    one_more = (rest + (blocks > 0)) / places
    return ((1 - one_more) * _reached(protocol, blocks) + one_more * _reached(protocol, blocks + 1))


def _reached(protocol: Protocol, gold: int) -> float:
    """Return the probability that this many gold items hold enough that count, in random order."""
    kinds, counted = len(protocol.gold_kinds), len(protocol.gold_counted)
    turns, rest = divmod(gold, kinds)
    lacking = protocol.gold_least - turns * counted
    ways = sum(comb(counted, k) * comb(kinds - counted, rest - k)
               for k in range(max(0, lacking), rest + 1))
    return ways / comb(kinds, rest)


def warning(protocol: Protocol, items: int) -> str | None:
    """Return one line where the rule judges few annotators or none, with what would change that."""
    if not protocol.gold_every:
        return None
    if not protocol.gold_counted:
        return "the rule for gold items excludes nobody: no kind of them counts (--gold-counted)"
    share, real = judged_share(protocol, items), min(items, protocol.cap)
    if share >= FEW:
        return None
    return (f"the rule for gold items can exclude {share:.0%} of the annotators: nobody fails "
            f"before {protocol.gold_least} gold items that count, and few meet so many in {real} "
            f"items a person, one comparison in {protocol.gold_every} being gold"
            + _advice(protocol, items))


def _advice(protocol: Protocol, items: int) -> str:
    """Return the smallest changes with which most annotators can be judged."""
    ways = {"gold_every": range(protocol.gold_every - 1, 1, -1),
            "gold_least": range(protocol.gold_least - 1, 0, -1)}
    advice = []
    for name, values in ways.items():
        value = next((value for value in values if judged_share(
            protocol.model_copy(update={name: value}), items) >= MOST), None)
        if value is not None:
            advice.append(f"--{name.replace('_', '-')} {value}")
    return f"; {' or '.join(advice)} changes that" if advice else ""
