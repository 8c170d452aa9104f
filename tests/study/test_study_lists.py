"""The lists of comparisons that a study without a server gives its participants."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise

import pytest

from motifocal.study.offline.assignment import lists_of
from motifocal.study.offline.import_votes import Item
from motifocal.study.protocol import Protocol


def items_of(pictures: int, sentences: int, gold: int = 0) -> list[Item]:
    """Real items, their repeats, and `gold` still ones, as a study has them."""
    real = [Item(number, f"picture{number % pictures}", "s", (f"a{number}", f"b{number}"))
            for number in range(pictures * sentences)]
    repeats = [Item(1000 + one.id, one.image, "s", (f"c{one.id}", f"d{one.id}"), "repeat", one.id)
               for one in real if gold]
    still = [Item(2000 + n, f"picture{n % pictures}", "s", (f"e{n}", f"f{n}"), "still")
             for n in range(gold)]
    return [*real, *repeats, *still]


@pytest.mark.parametrize(("pictures", "sentences", "cap", "votes"), [
    (10, 1, 4, 5), (10, 3, 7, 5), (4, 2, 40, 3), (2, 5, 10, 1), (88, 4, 40, 5),
])  # fmt: skip
def test_every_item_is_in_exactly_as_many_lists_as_it_wants_votes(
    pictures: int, sentences: int, cap: int, votes: int
) -> None:
    items = items_of(pictures, sentences, gold=6)
    protocol = Protocol(votes=votes, cap=cap, gold_every=4, gold_kinds=("still", "repeat"),
                        gold_counted=("still",))
    lists = lists_of(items, protocol, seed=3)
    real = [one for each in lists for one in each if one.item.gold is None]
    assert Counter(one.item.id for one in real) == {n: votes for n in range(pictures * sentences)}
    left = Counter(one.item.id for one in real if one.left == 0)
    assert all(abs(2 * left[n] - votes) <= 1 for n in range(pictures * sentences))
    for each in lists:
        assert sum(one.item.gold is None for one in each) <= cap
        assert len({one.item.id for one in each}) == len(each)
        assert all(a.item.image != b.item.image for a, b in pairwise(each))


def test_gold_comes_as_often_as_the_rules_say_and_repeats_come_exchanged() -> None:
    items = items_of(20, 2, gold=10)
    protocol = Protocol(votes=2, cap=40, gold_every=5, gold_kinds=("still", "repeat"),
                        gold_counted=("still",))
    lists = lists_of(items, protocol, seed=0)
    kinds = Counter(one.item.gold for each in lists for one in each)
    assert kinds["still"] + kinds["repeat"] == pytest.approx(kinds[None] / 4, abs=len(lists))
    assert min(kinds["still"], kinds["repeat"]) > len(lists)
    for each in lists:
        place = {one.item.id: n for n, one in enumerate(each)}
        for one in each:
            if one.item.gold == "repeat":
                first = place[one.item.of]
                assert place[one.item.id] - first > 3
                assert each[first].left == 1 - one.left
        assert each[0].item.gold is None


def test_the_same_seed_gives_the_same_lists_and_another_gives_others() -> None:
    items, protocol = items_of(8, 2), Protocol(gold_every=0)
    assert lists_of(items, protocol, 1) == lists_of(items, protocol, 1)
    assert lists_of(items, protocol, 1) != lists_of(items, protocol, 2)


def test_a_study_of_one_picture_cannot_be_laid_out() -> None:
    with pytest.raises(ValueError, match="twice in a row"):
        lists_of(items_of(1, 3), Protocol(gold_every=0), 0)
