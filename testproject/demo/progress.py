"""How far it is: a bar on a terminal, a line now and then elsewhere."""

from __future__ import annotations

import sys
from typing import TextIO


class Progress:
    """`label` and how many of `total` are done."""

    width = 30

    def __init__(self, label: str, total: int, *, to: TextIO | None = None) -> None:
        self.label = label
        self.total = total
        self.to = to or sys.stdout
        self.live = self.to.isatty()
        self.quarters = 0

    def show(self, done: int) -> None:
        """Elsewhere than on a terminal: a line for each quarter reached."""
        share = done / self.total if self.total else 1.0
        if self.live:
            bar = "#" * int(share * self.width)
            end = "\n" if share == 1.0 else ""
            self._print(f"\r  {self.label:<10} {bar:.<{self.width}} {done:>4}/{self.total}", end)
        elif int(share * 4) > self.quarters:
            self.quarters = int(share * 4)
            self._print(f"  {self.label:<10} {done:>4}/{self.total}", "\n")

    def _print(self, text: str, end: str) -> None:
        print(text, end=end, file=self.to, flush=True)
