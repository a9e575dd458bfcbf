"""What a measure is: what it does in one round, and what its numbers mean."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

from ..bench import Bench
from ..system import OURS, System


@dataclass(frozen=True, slots=True, kw_only=True)
class Number:
    key: str
    title: str
    #: Whether more is better; where less is, ratios are turned over.
    more: bool = True
    #: Which raw limit it stands beside: its key, in which {queue} is the service that carries the tasks.
    limit: str = ""
    #: The ratio to ours is shown for this one.
    compared: bool = False
    digits: int = 0


class Measure(ABC):
    name: str
    title: str
    #: What is done, and how to read it; for the reader of the table.
    says: str
    numbers: tuple[Number, ...]
    #: Not part of the default selection.
    on_request = False
    #: Part of a quick look.
    quick = True

    #: Not for other settings of a peer, for which the rates tell enough.
    main_only = False

    def applies(self, system: System) -> bool:
        return not (self.main_only and system.variant and system.family != OURS)

    def limit(self, bench: Bench) -> float:
        """Seconds after which it is given up, with all its preparations."""
        return 120 + 30 * bench.seconds

    @abstractmethod
    def measure(self, bench: Bench) -> dict[str, float]:
        """One round, by key of the numbers; those that do not apply are left out."""
