"""How a burst is getting on, for whoever watches it on a terminal. Read from the board: no query is made."""

from __future__ import annotations

import sys

from django_tasks import clock

from .board import Board


class Progress:
    def __init__(self, board: Board) -> None:
        self.board = board
        self.began = clock.monotonic()
        self.shown = ""

    def show(self) -> None:
        done = self.board.done
        seconds = max(clock.monotonic() - self.began, 1e-3)
        self.shown = f"{done:,} tasks done in {seconds:.1f} s, {done / seconds:,.0f}/s"
        sys.stdout.write(f"\r{self.shown:<60}")
        sys.stdout.flush()

    def close(self) -> None:
        sys.stdout.write("\n")
        sys.stdout.flush()
