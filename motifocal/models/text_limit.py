"""Find the part of a prompt that a text encoder truncates.

Text encoders take a fixed number of tokens, and tokenizers cut what is longer without a word.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

LISTED = 5  # prompts that a note quotes


@dataclass(frozen=True)
class TextLimit:
    """How much a text encoder reads.

    `tokens` counts start and end tokens, and those of `prefix`, which stands before every prompt.
    """

    tokenizer: PreTrainedTokenizerBase
    tokens: int
    prefix: str = ""

    def unread(self, prompt: str) -> str:
        """Return the end of a prompt that is not read: "" where all of it is.

        It begins with the first word that is not read whole, or, where the text has no spaces, with
        the first character.
        """
        if self._fits(prompt):
            return ""
        starts = [word.start() for word in re.finditer(r"\S+", prompt)]
        if len(starts) == 1:
            starts = list(range(starts[0], len(prompt)))
        least, most = 0, len(starts) - 1  # the text before starts[least] fits
        while least < most:
            middle = (least + most + 1) // 2
            if self._fits(prompt[: starts[middle]].rstrip()):
                least = middle
            else:
                most = middle - 1
        return prompt[starts[least] :].rstrip()

    def _fits(self, text: str) -> bool:
        # verbose: else the first long text gets the library's own warning.
        return len(self.tokenizer(self.prefix + text, verbose=False)["input_ids"]) <= self.tokens


def unread_notes(limit: TextLimit, prompts: Iterable[str]) -> list[str]:
    """Lines that say which of the prompts are not read to their end, and what is left out."""
    distinct = [prompt for prompt in dict.fromkeys(prompts) if prompt]
    unread = [(prompt, end) for prompt in distinct if (end := limit.unread(prompt))]
    lines = [f'the end of this prompt was not read: "{end}", of "{prompt}"'
             for prompt, end in unread[:LISTED]]
    if unread:
        lines.append(
            f"longer than the {limit.tokens} tokens that the text encoder reads: {len(unread)} of "
            f"{len(distinct)} prompts"
        )
    return lines
