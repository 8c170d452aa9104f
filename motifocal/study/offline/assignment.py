"""Draw the participants' lists of items for a study without a server.

I items, N votes, P participants. The lists hold every real item N times and show each video of it
on the left about half of the time. List p does not depend on other participants, so a list that is
handed out twice, or never, leaves some items with more, or fewer, answers.
"""

from __future__ import annotations

import random
from collections import Counter, defaultdict
from collections.abc import Sequence

from motifocal.study.offline.import_votes import Item, ShownItem
from motifocal.study.protocol import Protocol
from motifocal.study.schedule import GoldPlan
from motifocal.study.store.gold_slots import REPEAT_AFTER


def lists_of(items: Sequence[Item], protocol: Protocol, seed: int) -> list[tuple[ShownItem, ...]]:
    """Draw the lists of all participants; the same items, protocol and seed give the same lists.

    Raises ValueError where a list cannot be ordered so that no image comes twice in a row.
    """
    real = [item for item in items if item.gold is None]
    gold = [item for item in items if item.gold is not None]
    if not real:
        raise ValueError("a study should have items, got none")
    order = ordered(real, random.Random(f"{seed} order"))
    length = min(protocol.cap, len(order))
    shown_items = [ShownItem(item, (place + turn) % 2)
                   for turn in range(protocol.votes) for place, item in enumerate(order)]
    lists = []
    for start in range(0, len(shown_items), length):
        name = f"{seed} {start}"
        part = shown_items[start : start + length]
        lists.append(_with_gold(part, gold, protocol, GoldPlan(name, protocol.gold_every)))
    return lists


def ordered(items: Sequence[Item], rng: random.Random) -> list[Item]:
    """Draw an order of the items in which no image comes twice in a row."""
    left, chosen = Remaining([ShownItem(item, 0) for item in items]), list[Item]()
    while left.count:
        chosen.append(left.draw(chosen[-1].image if chosen else "", rng).item)
    return chosen


class Remaining:
    """The items still to be placed, by image."""

    def __init__(self, items: Sequence[ShownItem]) -> None:
        self._by_image: dict[str, list[ShownItem]] = defaultdict(list)
        for item in items:
            self._by_image[item.item.image].append(item)
        self.count = len(items)

    def draw(self, last: str, rng: random.Random) -> ShownItem:
        """Draw an item of another image than `last` that leaves a rest that can be ordered."""
        images = [name for name in self._by_image if name != last]
        rng.shuffle(images)
        for image in images:
            if self.can_follow(image, taken=True):
                same_image = self._by_image[image]
                drawn = same_image.pop(rng.randrange(len(same_image)))
                self.count -= 1
                if not same_image:
                    del self._by_image[image]
                return drawn
        raise ValueError("no image should come twice in a row, and too many of these comparisons "
                         "show the same one: a larger cap mixes more of them")

    def can_follow(self, last: str, *, taken: bool = False) -> bool:
        """Return whether the rest can be ordered after the image `last`, `taken` of it or not.

        An image fits into every second place, `last` itself not into the first.
        """
        total = self.count - taken
        return all(len(same_image) <= ((total + 1) // 2 if name != last else total // 2 + taken)
                   for name, same_image in self._by_image.items())


def _with_gold(
    part: Sequence[ShownItem], gold: Sequence[Item], protocol: Protocol, plan: GoldPlan
) -> tuple[ShownItem, ...]:
    """Draw an order of the real items, with gold items where the plan has them."""
    rng = random.Random(f"{plan.token} list")
    left, placed = Remaining(part), list[ShownItem]()
    while left.count:
        last = placed[-1].item.image if placed else ""
        due = plan.due(len(placed) + 1)
        gold_item = _gold(placed, gold, left, protocol, rng) if due else None
        placed.append(left.draw(last, rng) if gold_item is None else gold_item)
    return tuple(placed)


def _gold(
    placed: Sequence[ShownItem], gold: Sequence[Item], left: Remaining, protocol: Protocol,
    rng: random.Random,
) -> ShownItem | None:  # fmt: skip
    """Draw a gold item that is new to this participant and fits here; the kinds take turns."""
    seen = {shown.item.id for shown in placed}
    sides = {shown.item.id: shown.left for shown in placed[: max(0, len(placed) - REPEAT_AFTER)]}
    last = placed[-1].item.image if placed else ""
    used = Counter(shown.item.gold for shown in placed)
    for kind in sorted(protocol.gold_kinds, key=lambda kind: (used[kind], rng.random())):
        fitting = [item for item in gold if item.gold == kind and item.id not in seen
                   and (item.of is None or item.of in sides)
                   and item.image != last and left.can_follow(item.image)]
        if fitting:
            item = rng.choice(fitting)
            # A repeat exchanges left and right.
            return ShownItem(item, rng.randrange(2) if item.of is None else 1 - sides[item.of])
    return None
