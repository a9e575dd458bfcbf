"""What a scenario came to, and the table that all of them make."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    number: int
    fault: str
    #: Broker and database.
    where: str
    sent: int
    #: Bodies that began.
    ran: int
    #: Sent, and it neither ran nor does its row say what became of it.
    lost: int
    #: Runs beyond those that are promised.
    doubled: int
    #: Waiting, owned or stored when all should be over.
    unended: int
    #: The longest time from a fault to the end of what it broke, in seconds.
    recovery: float
    figures: str = ""

    @property
    def is_clean(self) -> bool:
        return self.lost == self.doubled == self.unended == 0

    def keep(self, file: Path) -> None:
        with file.open("a") as lines:
            lines.write(json.dumps(dataclasses.asdict(self)) + "\n")


def kept(file: Path) -> list[Result]:
    return [Result(**json.loads(line)) for line in file.read_text().splitlines()] if file.exists() else []


HEAD = (
    "#",
    "fault",
    "where",
    "sent",
    "ran",
    "lost",
    "doubled",
    "without ending",
    "seconds to recover",
    "figures",
)


def table(results: Iterable[Result]) -> str:
    """As Markdown, in the order given."""
    lines = [HEAD, ("---",) * len(HEAD), *map(_cells, results)]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def _cells(result: Result) -> tuple[str, ...]:
    counts = (result.sent, result.ran, result.lost, result.doubled, result.unended)
    return (
        str(result.number),
        result.fault,
        result.where,
        *(f"{count:,}" for count in counts),
        f"{result.recovery:.1f}",
        result.figures,
    )
