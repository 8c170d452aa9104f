"""Decide in advance how often a model is on the left, and when gold items come.

All of it follows from a seed or from an annotator's random id, so nothing has to be stored.
"""

from __future__ import annotations

import random
from dataclasses import dataclass

from motifocal.study.votes import MODEL_A, MODEL_B


def sides(votes: int, *, a_more: bool, order: random.Random) -> tuple[str, ...]:
    """Draw which model is on the left in each of `votes` judgements of one pair.

    Half and half; of an odd number `model_a` gets the larger half where `a_more`.
    """
    of_a = (votes + a_more) // 2
    left_models = [MODEL_A] * of_a + [MODEL_B] * (votes - of_a)
    order.shuffle(left_models)
    return tuple(left_models)


def other_side(shown_left: str) -> str:
    """Return the model on the right."""
    return MODEL_B if shown_left == MODEL_A else MODEL_A


@dataclass(frozen=True)
class GoldPlan:
    """The places of gold items for one annotator, whose random id is `token`.

    Comparisons are counted from 1 and taken in blocks of `every`; one in each block is gold, at a
    place drawn for this annotator and block. The very first comparison never is. `every` 0: none.
    """

    token: str
    every: int

    def due(self, number: int) -> bool:
        """Return whether the annotator's comparison `number` is a gold item."""
        if not self.every:
            return False
        block, place = divmod(number - 1, self.every)
        return place == self._place(block)

    def length(self, real: int) -> int:
        """Count the comparisons that hold so many real ones; the last one is real."""
        if not self.every or real < 1:
            return real
        blocks, rest = divmod(real - 1, self.every - 1)  # whole blocks before the last real one
        return blocks * self.every + rest + 1 + (self._place(blocks) <= rest)

    def drawing(self, number: int) -> random.Random:
        """Return the generator that decides this annotator's comparison `number`."""
        return random.Random(f"{self.token} draws {number}")

    def _place(self, block: int) -> int:
        place = random.Random(f"{self.token} gold {block}")
        return place.randrange(0 if block else 1, self.every)
