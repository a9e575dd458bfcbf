"""How a worker is, told from the memory that its processes share: no database is asked, and nothing is waited for.

Live: the loops that keep it going turn; if not, only a restart helps. Ready: it takes on tasks now.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass

from django_tasks import clock, conf

from .board import ALIVE, Board, Seat
from .trouble import SAYS


@dataclass(frozen=True, slots=True, kw_only=True)
class Health:
    """What is wrong. The words name parts of the worker and counts: no task, queue, host or address."""

    reasons: tuple[str, ...] = ()

    @property
    def is_well(self) -> bool:
        return not self.reasons


def longest_silence(interval: float) -> float:
    """Seconds after which a loop that should turn every `interval` stands still.

    The lease at the least: a turn may wait for a slow database, and that long the other workers are patient, too.
    """
    return max(3 * interval, conf.current().WORKER_LEASE)


def liveness(board: Board) -> Health:
    return Health(
        reasons=tuple(
            f"The housekeeper's loop {pulse.name!r} has not turned for {pulse.silent_for:.0f} s."
            for pulse in board.pulses
            if pulse.stands_still
        )
    )


def readiness(board: Board, *, wanted: int, has_housekeeper: bool = True, is_ending: bool = False) -> Health:
    """`wanted` is how many task processes there should be."""
    reasons = [*liveness(board).reasons]
    if is_ending:
        reasons.append("The worker is ending: it takes on no more tasks.")
    if not has_housekeeper:
        reasons.append("The housekeeper died, and is to be started again.")
    if not board.has_lease():
        reasons.append("The worker has no lease: the database has not been reached for too long, or not yet.")
    reasons += _of_loops(board)
    reasons += _of_processes(board, wanted)
    return Health(reasons=tuple(reasons))


def _of_loops(board: Board) -> list[str]:
    failing = defaultdict(list)
    for pulse in board.pulses:
        failing[pulse.trouble].append(pulse.name)
    return [
        f"{said} (housekeeper: {', '.join(failing[code])})." for code, said in SAYS.items() if code in failing
    ]


def _of_processes(board: Board, wanted: int) -> list[str]:
    living = [seat for seat in board.seats if seat.state == ALIVE]
    reasons = []
    if len(living) < wanted:
        reasons.append(f"{len(living)} of {wanted} task processes are there.")
    if beginning := [seat for seat in living if not seat.received and not seat.trouble]:
        reasons.append(f"{_processes(beginning, living)} have not yet begun to receive.")
    if silent := [seat for seat in living if _is_silent(seat)]:
        reasons.append(f"{_processes(silent, living)} have stopped asking for tasks without saying why.")
    for code, said in SAYS.items():
        if troubled := [seat for seat in living if seat.trouble == code]:
            reasons.append(f"{said} ({_processes(troubled, living)}).")
    return reasons


def _is_silent(seat: Seat) -> bool:
    """Stopped, or kept from turning by a task that never lets go of the interpreter."""
    return bool(seat.received and clock.monotonic() - seat.received > longest_silence(1.0))


def _processes(some: list[Seat], living: list[Seat]) -> str:
    return f"{len(some)} of {len(living)} processes"
