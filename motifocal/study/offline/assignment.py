"""Items become lists, one a participant, for a study that no server leads.

I items, N votes, P participants. The lists hold every real item N times and show each video of it
on the left about half of the time. Who gets list p depends on nobody else, so a list that is handed
out twice, or never, leaves some items with more, or fewer, answers.
"""

from __future__ import annotations

import random
from collections import Counter, defaultdict
from collections.abc import Sequence

from motifocal.study.offline.import_votes import Item, Shown
from motifocal.study.protocol import Protocol
from motifocal.study.schedule import GoldPlan
from motifocal.study.store.gold_slots import REPEAT_AFTER


def lists_of(items: Sequence[Item], protocol: Protocol, seed: int) -> list[tuple[Shown, ...]]:
    """The lists of all participants; the same items, protocol and seed give the same lists.

    Raises ValueError where a list cannot be ordered so that no picture comes twice in a row.
    """
    real = [item for item in items if item.gold is None]
    gold = [item for item in items if item.gold is not None]
    if not real:
        raise ValueError("a study should have items, got none")
    order = ordered(real, random.Random(f"{seed} order"))
    length = min(protocol.cap, len(order))
    wanted = [Shown(item, (place + turn) % 2)
              for turn in range(protocol.votes) for place, item in enumerate(order)]
    lists = []
    for start in range(0, len(wanted), length):
        name = f"{seed} {start}"
        part = wanted[start : start + length]
        lists.append(_with_gold(part, gold, protocol, GoldPlan(name, protocol.gold_every)))
    return lists


def ordered(items: Sequence[Item], rng: random.Random) -> list[Item]:
    """The items in random order, no picture twice in a row."""
    left, chosen = Remaining([Shown(item, 0) for item in items]), list[Item]()
    while left.count:
        chosen.append(left.draw(chosen[-1].picture if chosen else "", rng).item)
    return chosen


class Remaining:
    """What is still to be placed, by picture."""

    def __init__(self, shown: Sequence[Shown]) -> None:
        self._by_picture: dict[str, list[Shown]] = defaultdict(list)
        for one in shown:
            self._by_picture[one.item.picture].append(one)
        self.count = len(shown)

    def draw(self, last: str, rng: random.Random) -> Shown:
        """One that shows another picture than `last` and leaves a rest that can be ordered."""
        pictures = [name for name in self._by_picture if name != last]
        rng.shuffle(pictures)
        for picture in pictures:
            if self.can_follow(picture, taken=True):
                held = self._by_picture[picture]
                drawn = held.pop(rng.randrange(len(held)))
                self.count -= 1
                if not held:
                    del self._by_picture[picture]
                return drawn
        raise ValueError("no picture should come twice in a row, and too many of these comparisons "
                         "show the same one: a larger cap mixes more of them")

    def can_follow(self, last: str, *, taken: bool = False) -> bool:
        """Can the rest be ordered after the picture `last`, which is `taken` of the rest or not?

        A picture fits into every second place, `last` itself not into the first.
        """
        total = self.count - taken
        return all(len(held) <= ((total + 1) // 2 if name != last else total // 2 + taken)
                   for name, held in self._by_picture.items())


def _with_gold(
    part: Sequence[Shown], gold: Sequence[Item], protocol: Protocol, plan: GoldPlan
) -> tuple[Shown, ...]:
    """The real ones in random order, gold ones among them where the plan has them."""
    rng = random.Random(f"{plan.token} list")
    left, placed = Remaining(part), list[Shown]()
    while left.count:
        last = placed[-1].item.picture if placed else ""
        due = plan.due(len(placed) + 1)
        found = _gold(placed, gold, left, protocol, rng) if due else None
        placed.append(left.draw(last, rng) if found is None else found)
    return tuple(placed)


def _gold(
    placed: Sequence[Shown], gold: Sequence[Item], left: Remaining, protocol: Protocol,
    rng: random.Random,
) -> Shown | None:  # fmt: skip
    """A gold item that this participant has not seen and that fits here; the kinds take turns."""
    seen = {one.item.id for one in placed}
    sides = {one.item.id: one.left for one in placed[: max(0, len(placed) - REPEAT_AFTER)]}
    last = placed[-1].item.picture if placed else ""
    used = Counter(one.item.gold for one in placed)
    for kind in sorted(protocol.gold_kinds, key=lambda kind: (used[kind], rng.random())):
        fitting = [item for item in gold if item.gold == kind and item.id not in seen
                   and (item.of is None or item.of in sides)
                   and item.picture != last and left.can_follow(item.picture)]
        if fitting:
            item = rng.choice(fitting)
            # A repeat exchanges left and right.
            return Shown(item, rng.randrange(2) if item.of is None else 1 - sides[item.of])
    return None
