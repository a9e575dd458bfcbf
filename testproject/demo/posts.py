"""What is posted, and what is to become of each post."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum


class Fate(StrEnum):
    """What is to become of a posted comment."""

    ROLLED_BACK = "rolled back"
    SPAM = "spam"
    HAM = "ham"
    FAILED = "failed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Post:
    """A comment as it is typed into the form. `text` is different for each."""

    author: str
    text: str
    fate: Fate


#: Of 20 comments in a row. The author and the texts are what the block list and the Akismet stub go by.
ROUND = (
    *[("Mallory", "You won't even keep this one.", Fate.ROLLED_BACK)] * 3,
    *[("Sam Pammer", "Best CASINO in town!", Fate.SPAM)] * 4,
    ("Dana", "I write while Akismet is down.", Fate.FAILED),
    *[("Alex", "Thank you for this entry.", Fate.HAM)] * 12,
)
#: Every other round fails in this way instead.
OTHER_FAILURE = "I write while Akismet is confused."


def posts(count: int) -> Iterator[Post]:
    """So many different comments, all fates mixed: `7 * n % 20` visits every place of the round once."""
    for number in range(count):
        author, text, fate = ROUND[7 * number % len(ROUND)]
        if fate is Fate.FAILED and number // len(ROUND) % 2:
            text = OTHER_FAILURE
        yield Post(author=author, text=f"{text} ({number + 1})", fate=fate)
